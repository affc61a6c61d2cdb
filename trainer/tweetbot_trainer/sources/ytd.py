"""The X archive's data files: JavaScript that assigns one JSON array, `window.YTD.tweets.part0 = [ ... ]`, streamed."""

import re
from collections.abc import Iterator
from typing import IO, Any

from tweetbot_trainer.sources.json_values import MeasuredBytes, read_items
from tweetbot_trainer.sources.limits import unreadable

_HEAD_BYTES = 4096
_START = re.compile(rb"\s*window\.YTD\.\w+\.part\d+\s*=")
_ASSIGNMENT = re.compile(rb"(\xef\xbb\xbf)?\s*(window\.YTD\.\w+\.part\d+\s*=\s*)?\[")
_AFTER_ARRAY = b"; \t\r\n"


def read_objects(file: IO[bytes], place: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of the file's array."""
    for item in read_items(_ArrayBody(file, place), place):
        if not isinstance(item, dict):
            raise unreadable(place, "holds something else than objects in its array")
        yield item


def is_assignment(sample: bytes) -> bool:
    """Tell by its beginning whether a file is one of the archive's data files."""
    return _START.match(sample) is not None


class _ArrayBody(MeasuredBytes):
    """A file without the assignment in front of its array and the semicolon behind it."""

    def __init__(self, file: IO[bytes], place: str) -> None:
        super().__init__(file, place)
        self._held = b""
        head = file.read(_HEAD_BYTES)
        assignment = _ASSIGNMENT.match(head)
        if not assignment:
            raise unreadable(place, "does not begin with window.YTD… = [")
        self._next = head[assignment.end() - 1 :]

    def read(self, size: int) -> bytes:
        """Return the next bytes of the array, or nothing at its end."""
        while size:
            data, self._next = self._next or self._file.read(size), b""
            if not data:
                break
            data = self._held + self.measured(data)
            body = data.rstrip(_AFTER_ARRAY)
            self._held = data[len(body) :]
            if body:
                return body
        return b""
