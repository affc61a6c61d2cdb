"""Tables of posts, and JSON objects that are as flat: which column holds what, for well-known files and by guess."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tweetbot_api.spec.source import Columns
from tweetbot_trainer.sources.authors import Authors
from tweetbot_trainer.sources.base import Post, PostKind, is_repost_text, well_formed
from tweetbot_trainer.sources.ids import sound_id
from tweetbot_trainer.sources.times import parse_time
from tweetbot_trainer.sources.x_objects import language

Record = Mapping[str, Any]

_NO: Final = frozenset({"", "0", "0.0", "f", "false", "n", "no", "na", "nan", "none", "null"})
_KINDS: Final[dict[str, PostKind]] = {
    "original": "original", "quote": "quote", "quoted": "quote", "replied_to": "reply", "reply": "reply",
}  # fmt: skip
_ID_NAMES = ("id_str", "tweet_id", "tweetid", "status_id", "tweet_ids", "ids", "id")
_GUESSES: Final[dict[str, tuple[str, ...]]] = {
    "text": ("full_text", "tweet_text", "tweet_content", "text", "tweet", "rawcontent", "content", "body", "post"),
    "id": _ID_NAMES,
    "handle": ("user_username", "user_screen_name", "screen_name", "username", "handle", "author.username", "author"),
    "created_at": ("created_at", "createdat", "date", "datetime", "date_time", "timestamp", "time"),
    "lang": ("lang", "language"),
    "repost": ("is_retweet", "isretweet", "is_repost", "kind"),
}
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w.]{0,39}")
_MAX_NAMED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnShape:
    """Which columns a kind of file has, and what they hold."""

    name: str
    """The shape's name, as `tweetbot inspect` prints it."""
    needs: frozenset[str]
    """Columns by which it is known."""
    has_others: bool = True
    """Whether a record with more columns is still of this shape."""
    text: str
    id: str | None = None
    handle: str | None = None
    account_id: str | None = None
    created_at: str | None = None
    lang: str | None = None
    repost: str | None = None
    """A kind (`retweeted`, `quoted`), or anything but no, false or nothing for a repost."""
    reply: str | None = None
    """Anything but no, false or nothing tells a reply."""
    deleted: str | None = None
    """Anything but no, false or nothing tells a post that its author has deleted: it is passed over."""

    def fits(self, record: Record) -> bool:
        """Tell whether a record has the columns of the shape."""
        return self.needs <= record.keys() if self.has_others else self.needs == record.keys()

    def posts(self, record: Record, authors: Authors) -> list[Post] | None:
        """Return the record's post, nothing if it is deleted or another's, None if it has no text."""
        text = value_at(record, self.text)
        if text is None:
            return []
        if not isinstance(text, str):
            return None
        if _says_yes(record, self.deleted):
            return []
        if not authors.is_own(value_at(record, self.handle), value_at(record, self.account_id)):
            return []
        text = well_formed(text)
        return [
            Post(
                id=sound_id(value_at(record, self.id), in_table=True),
                handle=authors.handle,
                text=text,
                created_at=parse_time(value_at(record, self.created_at)),
                kind=self._kind(record, text),
                lang=language(value_at(record, self.lang)),
                source=self.name,
            )
        ]

    def _kind(self, record: Record, text: str) -> PostKind:
        if is_repost_text(text):
            return "repost"
        if _says_yes(record, self.repost):
            return _KINDS.get(str(value_at(record, self.repost)).strip().lower(), "repost")
        return "reply" if _says_yes(record, self.reply) else "original"


WELL_KNOWN: Final = (
    ColumnShape(
        name="trump-archive",
        needs=frozenset({"text", "isRetweet", "isDeleted"}),
        text="text", id="id", created_at="date", repost="isRetweet", deleted="isDeleted",
    ),
    ColumnShape(
        name="kaggle-election",
        needs=frozenset({"tweet", "tweet_id", "user_screen_name"}),
        text="tweet", id="tweet_id", handle="user_screen_name", created_at="created_at",
    ),
    ColumnShape(
        name="academictwitter-tidy",
        needs=frozenset({"text", "tweet_id", "user_username"}),
        text="text", id="tweet_id", handle="user_username", created_at="created_at", lang="lang",
        repost="sourcetweet_type", reply="in_reply_to_user_id",
    ),
    ColumnShape(
        name="twarc-csv",
        needs=frozenset({"text", "author.username", "referenced_tweets.retweeted.id"}),
        text="text", id="id", handle="author.username", created_at="created_at", lang="lang",
        repost="referenced_tweets.retweeted.id", reply="referenced_tweets.replied_to.id",
    ),
)  # fmt: skip


def named_shape(columns: Columns) -> ColumnShape:
    """Return the shape that the spec describes."""
    return ColumnShape(
        name="columns",
        needs=frozenset(),
        text=columns.text,
        id=columns.id,
        handle=columns.handle,
        created_at=columns.created_at,
        lang=columns.lang,
        repost=columns.repost,
    )


def guessed_shape(names: Iterable[str]) -> ColumnShape | None:
    """Return the shape that columns of these names suggest; None if none of them seems to hold a text."""
    known = {_normal(name): name for name in names}
    found = {
        part: next((known[guess] for guess in guesses if guess in known), None) for part, guesses in _GUESSES.items()
    }
    text = found.pop("text")
    if text is None:
        return None
    return ColumnShape(name="table", needs=frozenset(known.values()), has_others=False, text=text, **found)


def has_ids_only(names: Iterable[str]) -> bool:
    """Tell whether columns of these names hold identifiers and nothing else."""
    normal = {_normal(name) for name in names}
    return bool(normal) and normal <= set(_ID_NAMES)


def shown(names: Iterable[str]) -> str:
    """Return column names for a message; what may be a post's text and not a name is left out."""
    return ", ".join([name for name in names if _PLAIN_NAME.fullmatch(name)][:_MAX_NAMED]) or "none with a plain name"


def value_at(record: Record, name: str | None) -> Any:
    """Return the value of a column, or of a nested field by its path with dots; None if there is none."""
    if name is None or name in record:
        return record[name] if name else None
    value: Any = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _says_yes(record: Record, name: str | None) -> bool:
    value = value_at(record, name)
    return value is not None and str(value).strip().lower() not in _NO


def _normal(name: str) -> str:
    return name.strip().lower().replace(" ", "_")
