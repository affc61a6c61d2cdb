"""The long posts of an X archive: `tweets.js` holds their beginning, `note-tweet.js` the whole text.

A note mostly does not say which post it belongs to, and has an id of its own: post and note are joined by their time
and by how they begin. Shapes seen: `core.text`, `noteTweetContents.text`, `noteTweetResults.text` or
`noteTweetResults.result.text`; some name their post in `tweetId`.
"""

import re
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Self

from tweetbot_trainer.sources.base import well_formed
from tweetbot_trainer.sources.times import parse_time
from tweetbot_trainer.sources.x_objects import inner

MAX_BYTES_IN_MEMORY: Final = 64 * 1024**2
"""Beyond this the texts lie in a file."""
_LEADING_MENTIONS = re.compile(r"(@\w+\s+)*")
_LINK = re.compile(r"https?://\S+")
_HEAD_LENGTH = 40
_TOLERANCE_SECONDS = (-1, 0, 1)


class LongTexts:
    """The whole texts of an archive's long posts; to be closed."""

    def __init__(self) -> None:
        self._texts = tempfile.SpooledTemporaryFile(MAX_BYTES_IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self._by_time: defaultdict[datetime, list[_Span]] = defaultdict(list)
        self._by_id: dict[str, _Span] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._texts.close()

    def add(self, item: Mapping[str, Any]) -> None:
        """Take in one item of note-tweet.js; one without text or time is passed over."""
        note = inner(item, "noteTweet") or item
        text = _text(note)
        if text is None:
            return
        if isinstance(note.get("tweetId"), str):
            self._by_id[note["tweetId"]] = self._store(text)
        elif time := parse_time(note.get("createdAt")):
            self._by_time[time.replace(microsecond=0)].append(self._store(text))

    def of(self, post_id: str | None, text: str, created_at: datetime | None) -> str | None:
        """Return the whole text of the post that begins with this text, or None if there is none."""
        if post_id in self._by_id:
            return self._load(self._by_id[post_id])
        if created_at is None or not self._by_time:
            return None
        head = _head(text)
        for seconds in _TOLERANCE_SECONDS:
            for span in self._by_time.get(created_at + timedelta(seconds=seconds), ()):
                note = self._load(span)
                if head in (_head(_escaped(note)), _head(note)) and len(note) > len(head):
                    return note
        return None

    def _store(self, text: str) -> "_Span":
        data = well_formed(text).encode()
        return self._texts.seek(0, 2), self._texts.write(data)

    def _load(self, span: "_Span") -> str:
        self._texts.seek(span[0])
        return self._texts.read(span[1]).decode()


_Span = tuple[int, int]
"""Where a text begins in the file, and how many bytes it has."""


def _text(note: Mapping[str, Any]) -> str | None:
    """Return the note's text, wherever it stands."""
    results = inner(note, "noteTweetResults")
    parts = (inner(note, "core"), inner(note, "noteTweetContents"), results, inner(results, "result"), note)
    return next((part["text"] for part in parts if isinstance(part.get("text"), str)), None)


def _head(text: str) -> str:
    """Return how the author's words begin: up to the ellipsis or to a link, which both sides write differently."""
    start = text[_LEADING_MENTIONS.match(text).end() :]  # type: ignore[union-attr]  # it matches any text
    return _LINK.split(start.split("…", 1)[0], maxsplit=1)[0][:_HEAD_LENGTH].rstrip()


def _escaped(text: str) -> str:
    """Return the text as `full_text` escapes it; notes hold it plain."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
