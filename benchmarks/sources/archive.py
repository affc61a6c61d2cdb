"""An X archive of any number of posts, written as a stream, the same for the same number."""

import json
import random
import zipfile
from pathlib import Path
from typing import IO, Final

_POSTS_IN_PART: Final = 400_000
_WORDS: Final = (
    *("moon", "tea", "river", "stone", "cloud", "train", "garden", "winter", "letter", "harbour", "the", "and", "of"),
    *(
        "with",
        "to",
        "my",
        "we",
        "on",
        "again",
        "never",
        "always",
        "東京",
        "きょう",
        "🥚",
        "🌊",
        "café",
        "&amp;",
        "very",
    ),
)


def write_archive(path: Path, num_posts: int, username: str) -> Path:
    """Write the archive: a tenth retweets, a tenth short, a thousandth repeated."""
    rng = random.Random(num_posts)  # noqa: S311 - reproducible, not secret
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        account = {"account": {"username": username, "accountDisplayName": username.title()}}
        archive.writestr("data/account.js", f"window.YTD.account.part0 = {json.dumps([account])}")
        for part, start in enumerate(range(0, num_posts, _POSTS_IN_PART)):
            name = f"data/tweets-part{part}.js" if part else "data/tweets.js"
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(f"window.YTD.tweets.part{part} = [".encode())
                _write_posts(file, range(start, min(start + _POSTS_IN_PART, num_posts)), rng)
                file.write(b"\n]")
    return path


def _write_posts(file: IO[bytes], numbers: range, rng: random.Random) -> None:
    for number in numbers:
        post_id = 1_000_000_000_000_000_000 + (number - number % 1000 if number % 1000 == 1 else number) * 4_194_304
        tweet = {
            "edit_info": {"initial": {"editTweetIds": [str(post_id)], "editsRemaining": "5", "isEditEligible": True}},
            "retweeted": False,
            "source": '<a href="https://mobile.twitter.com" rel="nofollow">Twitter Web App</a>',
            "entities": {"hashtags": [], "symbols": [], "user_mentions": [], "urls": []},
            "display_text_range": ["0", "140"],
            "favorite_count": str(number % 97),
            "id_str": str(post_id),
            "truncated": False,
            "retweet_count": "0",
            "id": str(post_id),
            "created_at": "Mon Jan 05 08:36:41 +0000 2026",
            "favorited": False,
            "full_text": _text(number, rng),
            "lang": "en",
        }
        separator = ",\n  " if number > numbers.start else "\n  "
        file.write((separator + json.dumps({"tweet": tweet}, ensure_ascii=False)).encode())


def _text(number: int, rng: random.Random) -> str:
    words = " ".join(rng.choices(_WORDS, k=rng.randrange(8, 32)))
    match number % 10:
        case 0:
            return f"RT @someone: {words}"
        case 5:
            return f"gm https://t.co/{number}"
        case _:
            return f"{words} {number}"
