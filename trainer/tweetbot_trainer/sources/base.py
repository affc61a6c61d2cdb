"""What every source of posts yields: one record, one protocol."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

PostKind = Literal["original", "reply", "quote", "repost"]

_REPOST = re.compile(r"RT @\w+:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One post as the source holds it, before cleaning."""

    id: str | None
    """Identifier in the source; None where it has none, or a spreadsheet has rounded it."""
    handle: str
    """The account whose timeline it stands in."""
    text: str
    """Text as stored, entities and links included."""
    created_at: datetime | None = None
    """When it was posted, if the source tells."""
    kind: PostKind = "original"
    """A repost is another's words and is not learned from."""
    lang: str | None = None
    """Code of the language, if the source tells."""
    source: str
    """Where it was read: the shape of a file (`x-archive`, `twarc2`) or an API (`x-api`, `bluesky`)."""
    first_version: str | None = None
    """Identifier of the first version of a post that was edited. Of all versions only the last one counts."""


class Source(Protocol):
    """Gives the posts of accounts."""

    def posts(self, handle: str) -> Iterator[Post]:
        """Yield the account's posts in the order of the source; raises TrainerError on anything unreadable."""
        ...

    def display_name(self, handle: str) -> str | None:
        """Return the account's name as people see it, if the source tells."""
        ...


@runtime_checkable
class HasAvatars(Protocol):
    """A source that also gives the accounts' pictures."""

    def avatar(self, handle: str) -> bytes | None:
        """Return the account's picture as the source holds it, None if there is none; never fails for its sake."""
        ...


def is_repost_text(text: str) -> bool:
    """Tell whether the text alone says that it is a repost: it begins with `RT @name:`."""
    return _REPOST.match(text) is not None


def well_formed(text: str) -> str:
    r"""Return the text with half surrogate pairs (legal in JSON as `\ud83d`) replaced, so that UTF-8 can hold it."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
