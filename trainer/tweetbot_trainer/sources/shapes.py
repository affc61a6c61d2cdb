"""The shapes of JSON objects and table rows that hold posts: how each is known, and how it becomes posts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tweetbot_api.spec.source import Columns
from tweetbot_trainer.sources.authors import Authors
from tweetbot_trainer.sources.base import Post, PostKind, is_repost_text, well_formed
from tweetbot_trainer.sources.columns import WELL_KNOWN, Record, guessed_shape, named_shape
from tweetbot_trainer.sources.ids import sound_id
from tweetbot_trainer.sources.times import parse_time
from tweetbot_trainer.sources.x_objects import inner, language, post_of_v1, post_of_v2

_STREAM_NOTICES: Final = frozenset(
    {"delete", "disconnect", "limit", "scrub_geo", "status_withheld", "user_withheld", "warning"}
)


class Shape(Protocol):
    """One way to write posts down."""

    @property
    def name(self) -> str:
        """The name that `tweetbot inspect` prints."""
        ...

    def fits(self, record: Record) -> bool:
        """Tell whether a record is of this shape."""
        ...

    def posts(self, record: Record, authors: Authors) -> list[Post] | None:
        """Return the record's posts by the handle; None if it has no text where the shape has it."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """A shape of nested objects."""

    name: str
    fits: Callable[[Record], bool]
    posts: Callable[[Record, Authors], list[Post] | None]


def find_shape(record: Record, columns: Columns | None) -> Shape | None:
    """Return the shape of a record: the one the spec describes, a known one, or one guessed from its names."""
    if columns:
        return named_shape(columns)
    return next((shape for shape in KNOWN if shape.fits(record)), None) or guessed_shape(record)


def is_notice(record: Record) -> bool:
    """Tell whether a record is a message of X's stream about posts, and no post."""
    return len(record) == 1 and not _STREAM_NOTICES.isdisjoint(record)


def _is_page(record: Record) -> bool:
    """Tell whether it is a line of twarc2: a whole answer of the API, maybe of errors only."""
    if "data" not in record:
        return isinstance(record.get("errors"), list)
    return isinstance(record["data"], list | dict) and not {"includes", "meta", "__twarc"}.isdisjoint(record)


def _posts_of_page(page: Record, authors: Authors) -> list[Post] | None:
    data = page.get("data", [])
    users = inner(page, "includes").get("users")
    names = {
        user.get("id"): user.get("username")
        for user in (users if isinstance(users, list) else ())
        if isinstance(user, dict)
    }
    posts: list[Post] = []
    for tweet in data if isinstance(data, list) else [data]:
        if not isinstance(tweet, dict):
            return None
        author_id = tweet.get("author_id")
        found = _v2(tweet, names.get(author_id), authors, "twarc2")
        if found is None:
            return None
        posts += found
    return posts


def _is_v2(record: Record) -> bool:
    return "text" in record and not {
        "author_id", "conversation_id", "edit_history_tweet_ids", "note_tweet", "referenced_tweets",
    }.isdisjoint(record)  # fmt: skip


def _posts_of_v2(tweet: Record, authors: Authors) -> list[Post] | None:
    return _v2(tweet, inner(tweet, "author").get("username"), authors, "twarc2-flat")


def _v2(tweet: Mapping[str, Any], author: object, authors: Authors, source: str) -> list[Post] | None:
    post = post_of_v2(tweet, authors.handle, source)
    if post is None:
        return None
    return [post] if authors.is_own(author, tweet.get("author_id")) else []


def _is_v1(record: Record) -> bool:
    has_text = "full_text" in record or "text" in record or "extended_tweet" in record
    return has_text and (
        "screen_name" in inner(record, "user")
        or not {"id_str", "retweeted_status", "extended_tweet", "in_reply_to_status_id"}.isdisjoint(record)
    )


def _posts_of_v1(tweet: Record, authors: Authors) -> list[Post] | None:
    post = post_of_v1(tweet, authors.handle, "twarc1")
    if post is None:
        return None
    user = inner(tweet, "user")
    return [post] if authors.is_own(user.get("screen_name"), user.get("id_str")) else []


def _is_snscrape(record: Record) -> bool:
    return "rawContent" in record or ("content" in record and "date" in record and isinstance(record.get("user"), dict))


def _posts_of_snscrape(tweet: Record, authors: Authors) -> list[Post] | None:
    text = tweet.get("rawContent", tweet.get("content"))
    if not isinstance(text, str):
        return None
    if not authors.is_own(inner(tweet, "user").get("username")):
        return []
    text = well_formed(text)
    return [
        Post(
            id=sound_id(tweet.get("id")),
            handle=authors.handle,
            text=text,
            created_at=parse_time(tweet.get("date")),
            kind=_kind_of_snscrape(tweet, text),
            lang=language(tweet.get("lang")),
            source="snscrape",
        )
    ]


def _kind_of_snscrape(tweet: Record, text: str) -> PostKind:
    if tweet.get("retweetedTweet") or is_repost_text(text):
        return "repost"
    if tweet.get("inReplyToTweetId"):
        return "reply"
    return "quote" if tweet.get("quotedTweet") else "original"


KNOWN: Final[tuple[Shape, ...]] = (
    ObjectShape("twarc2", _is_page, _posts_of_page),
    ObjectShape("snscrape", _is_snscrape, _posts_of_snscrape),
    *WELL_KNOWN,
    ObjectShape("twarc1", _is_v1, _posts_of_v1),
    ObjectShape("twarc2-flat", _is_v2, _posts_of_v2),
)
