"""A maker of a file for each shape of posts that is read, with the traps of its kind, and what is to come of it."""

import codecs
import csv
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.factories import make_archive, make_jsonl, ytd

HANDLE = "thisisaito"
TIME = datetime(2026, 1, 5, 8, 36, 41, tzinfo=UTC)
X_TIME = "Mon Jan 05 08:36:41 +0000 2026"
ISO_TIME = "2026-01-05T08:36:41.000Z"
ID = 1_480_000_000_000_000_000
LONG = "A & B went up the hill & this is what they saw: " + "far away " * 40 + "home."
PUBLIC = "https://www.w3.org/ns/activitystreams#Public"


@dataclass(frozen=True)
class Case:
    """A file and what is read from it."""

    write: Callable[[Path], Path]
    """Writes the file into a folder."""
    shape: str
    want: Sequence[tuple[str, str]]
    """Kind and text of each post, in order; the texts are raw."""
    has_time: bool = True
    """Whether the first post has the time above."""
    lang: str | None = None
    """The first post's language."""


def write_json(path: Path, value: Any, **options: Any) -> Path:
    path.write_text(json.dumps(value, ensure_ascii=False, **options), encoding="utf-8")
    return path


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], *, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0].keys(), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def x_archive(folder: Path) -> Path:
    """The present layout: parts, a long post, an edit, deleted posts and messages, counts as text, a semicolon."""
    cut = LONG.replace("&", "&amp;")[:274] + "… https://t.co/AbCdEf"

    def tweet(number: int, text: str, **fields: Any) -> dict[str, Any]:
        return {"tweet": {
            "retweeted": False, "favorite_count": "12", "id_str": str(ID + number), "id": str(ID + number),
            "created_at": X_TIME, "full_text": text, "lang": "en", **fields,
        }}  # fmt: skip

    def versions(*numbers: int) -> dict[str, Any]:
        return {"editTweetIds": [str(ID + number) for number in numbers], "editsRemaining": "4"}

    note = {"noteTweet": {"noteTweetId": "9", "createdAt": "2026-01-05T08:36:41.500Z", "core": {"text": LONG}}}
    others = {
        "data/tweets-part1.js": ytd("tweets", [tweet(7, "in part one")], 1, end=";\n"),
        "data/tweets-part10.js": ytd("tweets", [tweet(10, "in part ten")], 10),
        "data/tweets-part2.js": ytd("tweets", [tweet(8, "in part two"), tweet(1, "hello there, a repeated id")], 2),
        "data/note-tweet.js": ytd("note_tweet", [note]),
        "data/deleted-tweets.js": ytd("deleted_tweets", [tweet(20, "deleted words")]),
        "data/direct-messages.js": ytd("direct_messages", [tweet(21, "private words")]),
        "assets/js/tweets.js": ytd("tweets", [tweet(22, "not the data folder")]),
    }
    texts = [
        tweet(1, "hello there, world &amp; all"),
        tweet(2, "RT @other: theirs, with retweeted: false"),
        tweet(3, "@friend yes", in_reply_to_status_id_str="5"),
        tweet(4, cut),
        tweet(5, "teh first version", edit_info={"initial": versions(5, 6)}),
        tweet(6, "the last version", edit_info={"edit": {
            "initialTweetId": str(ID + 5), "editControlInitial": versions(5, 6),
        }}),
    ]  # fmt: skip
    return make_archive(folder / "twitter-2026.zip", [item["tweet"] for item in texts], others=others)


def old_x_archive(folder: Path) -> Path:
    """The older layout: `tweet.js` at the top, items without a wrapper, no account, notes in another shape."""
    cut = {"full_text": LONG.replace("&", "&amp;")[:200] + "…", "created_at": X_TIME, "id_str": "77"}
    with zipfile.ZipFile(folder / "old.zip", "w") as archive:
        archive.writestr("tweet.js", "\ufeff" + ytd("tweet", [{"full_text": "bare", "created_at": X_TIME}, cut]))
        note = {"noteTweet": {"createdAt": ISO_TIME, "noteTweetResults": {"text": LONG}}}
        archive.writestr("data/note-tweet.js", ytd("note_tweet", [note]))
    return folder / "old.zip"


def bare_tweets_js(folder: Path) -> Path:
    """The data file alone, taken out of its archive."""
    (folder / "tweets.js").write_text(ytd("tweets", [{"tweet": {"full_text": "hello", "created_at": X_TIME}}], end=";"))
    return folder / "tweets.js"


def outbox() -> dict[str, Any]:
    """An outbox with a boost, a reply, a content warning, and posts that not everybody may read."""
    actor = f"https://social.example/users/{HANDLE}"

    def create(number: int, content: str, to: Sequence[str], cc: Sequence[str] = (), **fields: Any) -> dict[str, Any]:
        note = {
            "id": f"{actor}/statuses/{number}", "type": "Note", "published": ISO_TIME, "attributedTo": actor,
            "to": list(to), "cc": list(cc), "content": content, "contentMap": {"en": content}, **fields,
        }  # fmt: skip
        return {"id": f"{actor}/statuses/{number}/activity", "type": "Create", "actor": actor, "object": note}

    followers = f"{actor}/followers"
    boost = {"id": f"{actor}/statuses/9/activity", "type": "Announce", "actor": actor, "published": ISO_TIME,
             "to": [PUBLIC], "object": "https://other.example/users/x/statuses/1"}  # fmt: skip
    link = '<a href="https://a.example/x"><span class="invisible">https://</span><span>a.example/x</span></a>'
    mention = '<span class="h-card"><a href="https://b/@bob" class="u-url mention">@<span>bob</span></a></span>'
    return {
        "@context": "https://www.w3.org/ns/activitystreams",
        "id": "outbox.json",
        "type": "OrderedCollection",
        "totalItems": 7,
        "orderedItems": [
            create(1, f"<p>Tea &amp; cake &lt;3<br>{link}</p><p>Second &#39;part&#39;</p>", [PUBLIC], [followers]),
            boost,
            create(2, f"<p>{mention} yes of course</p>", [followers], [PUBLIC], inReplyTo="https://b/1"),
            create(3, "<p>for followers only</p>", [followers]),
            create(4, f"<p>{mention} a direct message</p>", ["https://b/users/bob"]),
            create(5, "<p>The egg hatches</p>", [PUBLIC], summary="film spoilers", sensitive=True),
            {"id": "x", "type": "Delete", "actor": actor, "to": [PUBLIC], "object": f"{actor}/statuses/8"},
        ],
    }


OUTBOX_WANT = (
    ("original", "Tea & cake <3\nhttps://a.example/x\n\nSecond 'part'"),
    ("repost", ""),
    ("reply", "@bob yes of course"),
    ("original", "The egg hatches"),
)


def mastodon_tar(folder: Path) -> Path:
    """The archive as a server makes it, pictures before the outbox."""
    path = folder / "archive-20260105.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (
            ("./media_attachments/files/1.png", bytes(range(256)) * 40),
            ("./likes.json", b"{}"),
            ("./actor.json", json.dumps({"preferredUsername": HANDLE, "name": "aito 🥚"}).encode()),
            ("./outbox.json", json.dumps(outbox()).encode()),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def mastodon_zip(folder: Path) -> Path:
    """The same as a zip."""
    with zipfile.ZipFile(folder / "mastodon.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("actor.json", json.dumps({"preferredUsername": HANDLE, "name": "aito 🥚"}))
        archive.writestr("outbox.json", json.dumps(outbox(), indent=2))
    return folder / "mastodon.zip"


def v2_tweet(number: int, text: str, author: str = "1", **fields: Any) -> dict[str, Any]:
    """Return a post as version 2 of X's API gives it."""
    post_id = str(ID + number)
    return {"id": post_id, "text": text, "author_id": author, "created_at": ISO_TIME, "lang": "en",
            "edit_history_tweet_ids": [post_id], **fields}  # fmt: skip


def v2_tweets() -> list[dict[str, Any]]:
    """Posts in their newest-first order, with a long one, an edited one in two versions, and another's."""
    history = [str(ID + 4), str(ID + 5)]
    return [
        v2_tweet(6, "someone else's own words", author="2"),
        v2_tweet(5, "the last version", edit_history_tweet_ids=history),
        v2_tweet(4, "teh first version", edit_history_tweet_ids=history),
        v2_tweet(3, "@bob agreed", referenced_tweets=[{"type": "replied_to", "id": "1"}]),
        v2_tweet(2, "RT @bob: theirs, cut sho…", referenced_tweets=[{"type": "retweeted", "id": "1"}]),
        v2_tweet(1, LONG[:270] + "…", note_tweet={"text": LONG}),
    ]


V2_WANT = (
    ("original", "the last version"),
    ("reply", "@bob agreed"),
    ("repost", "RT @bob: theirs, cut sho…"),
    ("original", LONG),
)
USERS = {"1": "ThisIsAito", "2": "bob"}


def twarc2(folder: Path) -> Path:
    """Whole answers of the API, one a line, and one that holds errors only."""
    tweets = v2_tweets()
    users = [{"id": number, "username": name} for number, name in USERS.items()]
    pages = [
        {"data": tweets[:3], "includes": {"users": users, "tweets": [v2_tweet(9, "quoted", "2")]}, "meta": {}},
        {"errors": [{"title": "Not Found Error"}], "meta": {"result_count": 0}, "__twarc": {"version": "2"}},
        {"data": tweets[3:], "includes": {"users": users}, "__twarc": {"url": "https://x"}},
    ]
    return make_jsonl(folder / "search.jsonl", pages)


def twarc2_flat(folder: Path) -> Path:
    """Posts with their authors inside, packed."""
    tweets = [{**tweet, "author": {"username": USERS[tweet["author_id"]]}} for tweet in v2_tweets()]
    lines = "".join(json.dumps(tweet) + "\n" for tweet in tweets)
    (folder / "flat.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return folder / "flat.jsonl.gz"


def twarc1(folder: Path) -> Path:
    """Version 1.1: extended and compatible mode, a retweet without its mark in the text, a notice of the stream."""
    user = {"id_str": "1", "screen_name": "ThisIsAito"}
    base = {"created_at": X_TIME, "lang": "ja", "user": user}
    lines = [
        {**base, "id": ID + 1, "id_str": str(ID + 1), "full_text": "in full\nover two lines", "truncated": False},
        {**base, "id_str": "2", "text": "cut sho…", "truncated": True, "extended_tweet": {"full_text": LONG}},
        {**base, "id_str": "3", "text": "theirs", "retweeted_status": {"text": "theirs"}, "retweeted": False},
        {"delete": {"status": {"id": 5}}},
        {**base, "id_str": "4", "text": "@bob yes", "in_reply_to_status_id_str": "9"},
        {**base, "id_str": "5", "text": "look at this", "is_quote_status": True, "quoted_status": {"text": "x"}},
        {**base, "id_str": "6", "text": "another's own", "user": {"id_str": "2", "screen_name": "bob"}},
        {**base, "id_str": "4", "text": "@bob yes", "in_reply_to_status_id_str": "9"},
    ]
    return make_jsonl(folder / "tweets.jsonl", lines)


def snscrape(folder: Path, text: str = "rawContent") -> Path:
    """The new field names, or the old ones."""
    user = {"username": "thisisaito"}
    base = {"_type": "snscrape.modules.twitter.Tweet", "date": "2026-01-05T08:36:41+00:00", "user": user, "lang": "en"}
    lines = [
        {**base, "id": ID + 1, text: "own words &amp; more", "renderedContent": "own words & more"},
        {**base, "id": ID + 2, text: "theirs", "retweetedTweet": {text: "theirs"}},
        {**base, "id": ID + 3, text: "@bob yes", "inReplyToTweetId": 5},
        {**base, "id": ID + 4, text: "look", "quotedTweet": {text: "x"}},
        {**base, "id": ID + 5, text: "another's", "user": {"username": "bob"}},
    ]
    return make_jsonl(folder / "user-tweets.jsonl", lines)


SNSCRAPE_WANT = (("original", "own words &amp; more"), ("repost", "theirs"), ("reply", "@bob yes"), ("quote", "look"))


def academictwitter_data(folder: Path) -> Path:
    """An array of posts that name their author by number only."""
    tweets = [tweet for tweet in v2_tweets() if tweet["author_id"] == "1"]
    return write_json(folder / "data_1480000000000000000.json", tweets)


def academictwitter_tidy(folder: Path) -> Path:
    """The tidy format with R's NA, in a table."""
    row = {"created_at": ISO_TIME, "lang": "en", "author_id": "1", "in_reply_to_user_id": "NA"}
    rows = [
        {"tweet_id": ID + 1, "user_username": "thisisaito", "text": "own, with \"quotes\"\nand a line",
         **row, "sourcetweet_type": "NA"},
        {"tweet_id": ID + 2, "user_username": "thisisaito", "text": "theirs", **row, "sourcetweet_type": "retweeted"},
        {"tweet_id": ID + 3, "user_username": "thisisaito", "text": "look", **row, "sourcetweet_type": "quoted"},
        {"tweet_id": ID + 4, "user_username": "thisisaito", "text": "@bob yes", **row,
         "in_reply_to_user_id": "2", "sourcetweet_type": ""},
        {"tweet_id": ID + 5, "user_username": "bob", "text": "another's", **row, "sourcetweet_type": "NA"},
    ]  # fmt: skip
    return write_csv(folder / "tidy.csv", rows)


def twarc_csv(folder: Path) -> Path:
    """The table that twarc's plugin makes of version 2 posts."""
    row = {"author.username": "ThisIsAito", "created_at": ISO_TIME, "lang": "en",
           "referenced_tweets.retweeted.id": "", "referenced_tweets.replied_to.id": ""}  # fmt: skip
    rows = [
        {"id": ID + 1, "text": "own words", **row},
        {"id": ID + 2, "text": "theirs", **row, "referenced_tweets.retweeted.id": ID},
        {"id": ID + 3, "text": "@bob yes", **row, "referenced_tweets.replied_to.id": ID},
        {"id": ID + 4, "text": "another's", **row, "author.username": "bob"},
    ]
    return write_csv(folder / "posts.csv", rows)


def trump_archive(folder: Path) -> Path:
    """Letters for truth, deleted posts, `|` between the columns, a byte order mark, zero bytes."""
    row = {"device": "Twitter for iPhone", "favorites": "5", "retweets": "2", "date": "2026-01-05 08:36:41"}
    rows = [
        {"id": ID + 1, "text": "own words; great, great words", "isRetweet": "f", "isDeleted": "f", **row},
        {"id": ID + 2, "text": "theirs", "isRetweet": "t", "isDeleted": "f", **row},
        {"id": ID + 3, "text": "taken back", "isRetweet": "f", "isDeleted": "t", **row},
        {"id": ID + 4, "text": "a zero\0 byte", "isRetweet": "false", "isDeleted": "false", **row},
    ]
    return write_csv(folder / "archive.csv", rows, delimiter="|", encoding="utf-8-sig")


def kaggle_election(folder: Path) -> Path:
    """Identifiers that a spreadsheet has rounded to one number, quoted new lines, several authors, inside a zip."""
    row = {"likes": "1.0", "retweet_count": "0.0", "source": "Twitter Web App", "user_name": 'Aito, the "egg"'}
    rows = [
        {"created_at": "2026-01-05 08:36:41", "tweet_id": "1.3165291e+18", "tweet": "first\nline & second", **row,
         "user_screen_name": "thisisaito"},
        {"created_at": "2026-01-05 08:36:42", "tweet_id": "1.3165291e+18", "tweet": "RT @bob: theirs", **row,
         "user_screen_name": "ThisIsAito"},
        {"created_at": "2026-01-05 08:36:43", "tweet_id": "1.3165291e+18", "tweet": "another's", **row,
         "user_screen_name": "bob"},
    ]  # fmt: skip
    table = write_csv(folder / "hashtag_x.csv", rows)
    with zipfile.ZipFile(folder / "us-election.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(table, "hashtag_x.csv")
        archive.writestr("__MACOSX/._hashtag_x.csv", b"\x00\x05\x16\x07")
    return folder / "us-election.zip"


def huggingtweets_cache(folder: Path) -> Path:
    """A list of texts."""
    return write_json(folder / "tweets.json", ["own words", "RT @bob: theirs", 'with a "quote" and 🥚'], indent=1)


def text_column(folder: Path) -> Path:
    """A column of texts in Windows' encoding, between semicolons, with a rounded id that is no repeat."""
    rows = [{"Tweet Id": 1480000000000000000 + 10_000 * number, "Tweet Text": text, "Date": "2026-01-05 08:36:41"}
            for number, text in enumerate(["Ça va, “très” bien", "RT @bob: à lui", "déjà vu €"])]  # fmt: skip
    rows[2]["Tweet Id"] = rows[0]["Tweet Id"]
    return write_csv(folder / "french.csv", rows, delimiter=";", encoding="cp1252")


def utf16_table(folder: Path) -> Path:
    """As a spreadsheet saves Unicode text: UTF-16 with tabs."""
    return write_csv(folder / "unicode.txt.tsv", [{"text": "日本語のツイート"}, {"text": "RT @bob: 彼の"}],
                     delimiter="\t", encoding="utf-16")  # fmt: skip


def parquet_column(folder: Path) -> Path:
    """A data set with one text column, with an empty one, and times as times."""
    rows = [{"text": "own words", "date": TIME, "id": ID + 1}, {"text": None, "date": TIME, "id": ID + 2},
            {"text": "RT @bob: theirs", "date": TIME, "id": ID + 3}]  # fmt: skip
    return write_parquet(folder / "train-00000.parquet", rows)


def parquet_posts(folder: Path) -> Path:
    """Posts of version 2 with nested columns."""
    empty = {"referenced_tweets": None, "note_tweet": None}
    tweets = [{**empty, **tweet, "author": {"username": USERS[tweet["author_id"]]}} for tweet in v2_tweets()]
    return write_parquet(folder / "flat.parquet", tweets)


def plain_lines(folder: Path) -> Path:
    """One post a line, some of which look like something else."""
    text = '[draft] not JSON\r\n"quoted" words\r\n\r\n12345678\r\ntext, of a table\r\nRT @bob: theirs\r\nno end'
    (folder / "posts.txt").write_bytes(codecs.BOM_UTF8 + text.encode())
    return folder / "posts.txt"


def own_raw_posts(folder: Path) -> Path:
    """What our own prepare Job keeps, for instance as the W&B artifact of raw posts."""
    lines = [
        {"id": "1", "createdAt": "2026-01-05T08:36:41+00:00", "kind": "original", "text": "own"},
        {"id": "2", "kind": "repost", "text": "theirs"},
        {"id": "3", "kind": "reply", "text": "@bob yes"},
    ]
    return make_jsonl(folder / "thisisaito.jsonl", lines)


CASES: Mapping[str, Case] = {
    "X archive": Case(
        x_archive,
        "x-archive",
        (
            ("original", "hello there, world &amp; all"),
            ("repost", "RT @other: theirs, with retweeted: false"),
            ("reply", "@friend yes"),
            ("original", LONG),
            ("original", "the last version"),
            ("original", "in part one"),
            ("original", "in part two"),
            ("original", "in part ten"),
        ),
        lang="en",
    ),
    "old X archive": Case(old_x_archive, "x-archive", (("original", "bare"), ("original", LONG))),
    "tweets.js alone": Case(bare_tweets_js, "x-archive", (("original", "hello"),)),
    "Mastodon outbox": Case(
        lambda folder: write_json(folder / "outbox.json", outbox()), "mastodon-archive", OUTBOX_WANT, lang="en"
    ),
    "Mastodon tar.gz": Case(mastodon_tar, "mastodon-archive", OUTBOX_WANT, lang="en"),
    "Mastodon zip": Case(mastodon_zip, "mastodon-archive", OUTBOX_WANT, lang="en"),
    "twarc2": Case(twarc2, "twarc2", V2_WANT, lang="en"),
    "twarc2 flattened": Case(twarc2_flat, "twarc2-flat", V2_WANT, lang="en"),
    "twarc1": Case(
        twarc1,
        "twarc1",
        (
            ("original", "in full\nover two lines"),
            ("original", LONG),
            ("repost", "theirs"),
            ("reply", "@bob yes"),
            ("quote", "look at this"),
        ),
        lang="ja",
    ),
    "snscrape": Case(snscrape, "snscrape", SNSCRAPE_WANT, lang="en"),
    "old snscrape": Case(lambda folder: snscrape(folder, "content"), "snscrape", SNSCRAPE_WANT, lang="en"),
    "academictwitteR data": Case(academictwitter_data, "twarc2-flat", V2_WANT, lang="en"),
    "academictwitteR tidy": Case(
        academictwitter_tidy,
        "academictwitter-tidy",
        (
            ("original", 'own, with "quotes"\nand a line'),
            ("repost", "theirs"),
            ("quote", "look"),
            ("reply", "@bob yes"),
        ),
        lang="en",
    ),
    "twarc CSV": Case(
        twarc_csv,
        "twarc-csv",
        (("original", "own words"), ("repost", "theirs"), ("reply", "@bob yes")),
        lang="en",
    ),
    "Trump archive": Case(
        trump_archive,
        "trump-archive",
        (("original", "own words; great, great words"), ("repost", "theirs"), ("original", "a zero byte")),
    ),
    "Kaggle election": Case(
        kaggle_election, "kaggle-election", (("original", "first\nline & second"), ("repost", "RT @bob: theirs"))
    ),
    "huggingtweets cache": Case(
        huggingtweets_cache,
        "lines",
        (("original", "own words"), ("repost", "RT @bob: theirs"), ("original", 'with a "quote" and 🥚')),
        has_time=False,
    ),
    "text column": Case(
        text_column,
        "table",
        (("original", "Ça va, “très” bien"), ("repost", "RT @bob: à lui"), ("original", "déjà vu €")),
    ),
    "UTF-16 table": Case(
        utf16_table, "table", (("original", "日本語のツイート"), ("repost", "RT @bob: 彼の")), has_time=False
    ),
    "Parquet column": Case(parquet_column, "table", (("original", "own words"), ("repost", "RT @bob: theirs"))),
    "Parquet posts": Case(parquet_posts, "twarc2-flat", V2_WANT, lang="en"),
    "plain lines": Case(
        plain_lines,
        "lines",
        (
            ("original", "[draft] not JSON"),
            ("original", '"quoted" words'),
            ("original", "12345678"),
            ("original", "text, of a table"),
            ("repost", "RT @bob: theirs"),
            ("original", "no end"),
        ),
        has_time=False,
    ),
    "own raw posts": Case(own_raw_posts, "table", (("original", "own"), ("repost", "theirs"), ("reply", "@bob yes"))),
}
