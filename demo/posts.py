"""Make an X data archive from text that nobody here wrote: Debian's `fortunes`, short sayings of tweet's length.

The archive has what real ones have: retweets, replies, links, entities, posts that are too short to learn from. It is
the same at each call.
"""

import json
import random
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster import debian
from cluster.paths import Paths

FORTUNES = Path("/usr/share/games/fortunes")
CATEGORIES = ("fortunes", "wisdom", "platitudes", "work", "people", "computers", "science")
SHORTEST, LONGEST = 40, 140
RETWEETS, SHORT = 40, 30
FIRST_POST = datetime(2024, 1, 1, 12, tzinfo=UTC)


def install_fortunes() -> None:
    """Install Debian's packages of sayings, if they are missing."""
    debian.install(_missing_packages, Paths.from_environment())


def _missing_packages() -> Sequence[str]:
    return () if (FORTUNES / CATEGORIES[-1]).exists() else ("fortunes", "fortunes-min")


def read_sayings(folder: Path = FORTUNES, categories: Sequence[str] = CATEGORIES) -> list[str]:
    """Return the one-paragraph sayings of tweet's length, in the order of the files."""
    sayings: list[str] = []
    for category in categories:
        for entry in (folder / category).read_text().split("\n%\n"):
            lines = [line for line in entry.splitlines() if not line.lstrip().startswith("--")]
            text = " ".join(" ".join(lines).split())
            if SHORTEST <= len(text) <= LONGEST:
                sayings.append(text)
    return sayings


def make_posts(sayings: Sequence[str], count: int, seed: int = 2026) -> list[dict[str, object]]:
    """Return `count` posts to keep, with retweets and short ones among them, as the archive's tweet objects."""
    chosen = random.Random(seed)  # noqa: S311 - shuffling, not secrecy
    texts = chosen.sample(list(sayings), count + RETWEETS)
    posts = [_decorate(text, position) for position, text in enumerate(texts[:count])]
    posts += [f"RT @someone: {text}" for text in texts[count:]]
    posts += [f"@friend{number} thanks! https://t.co/{number:06x}" for number in range(SHORT)]
    chosen.shuffle(posts)
    return [_tweet(text, position) for position, text in enumerate(posts)]


def _decorate(text: str, position: int) -> str:
    """Give some posts what real ones carry: a link, a hashtag; and escape as X's archive does."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if position % 9 == 0:
        text += f" https://t.co/{position:06x}"
    return text


def _tweet(text: str, position: int) -> dict[str, object]:
    created = FIRST_POST + timedelta(hours=7 * position)
    return {
        "tweet": {
            "id_str": str(1_700_000_000_000_000_000 + position),
            "full_text": text,
            "created_at": created.strftime("%a %b %d %H:%M:%S +0000 %Y"),
            "retweeted": False,
        }
    }


def write_archive(path: Path, handle: str, display_name: str, posts: Sequence[dict[str, object]]) -> None:
    """Write the zip file as X sends it: JavaScript files that assign one JSON array each."""
    account = [{"account": {"username": handle, "accountDisplayName": display_name, "accountId": "1"}}]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/account.js", f"window.YTD.account.part0 = {json.dumps(account)}")
        archive.writestr("data/tweets.js", f"window.YTD.tweets.part0 = {json.dumps(list(posts), indent=1)}")
