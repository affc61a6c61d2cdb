"""The archive's data files: JavaScript that assigns one JSON array, `window.YTD.tweets.part0 = [ ... ]`, streamed.

Memory and time stay bounded whatever the file says: an item may only take so many bytes and brackets.
"""

import re
import zipfile
from collections.abc import Iterator
from typing import IO, Any, Final

import ijson

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError

MAX_ITEM_BYTES: Final = 1024**2
MAX_ITEM_BRACKETS: Final = 20_000
_HEAD_BYTES = 4096
_ASSIGNMENT = re.compile(rb"(\xef\xbb\xbf)?\s*(window\.YTD\.\w+\.part\d+\s*=\s*)?\[")
_AFTER_ARRAY = b"; \t\r\n"


def read_items(archive: zipfile.ZipFile, member: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of the member's array."""
    with archive.open(member) as file:
        body = _ArrayBody(file, member)
        try:
            for item in ijson.items(body, "item", use_float=True, buf_size=64 * 1024):
                body.begin_item()
                if not isinstance(item, dict):
                    raise _unreadable(member, "its array holds something else than objects")
                yield item
        except (ijson.JSONError, ValueError) as error:
            # The lines that follow the first quote the text, which belongs in no log.
            problem = next(iter(str(error).splitlines()), type(error).__name__)
            raise _unreadable(member, f"it is not JSON: {problem}") from None


class _ArrayBody:
    """A file without the assignment in front of its array and the semicolon behind it."""

    def __init__(self, file: IO[bytes], member: str) -> None:
        self._file = file
        self._member = member
        self._held = b""
        self._num_bytes = 0
        self._num_brackets = 0
        head = file.read(_HEAD_BYTES)
        assignment = _ASSIGNMENT.match(head)
        if not assignment:
            raise _unreadable(member, "it does not begin with window.YTD… = [")
        self._next = head[assignment.end() - 1 :]

    def begin_item(self) -> None:
        """Measure anew: the last item was read whole."""
        self._num_bytes = self._num_brackets = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes of the array, or nothing at its end."""
        while size:
            data, self._next = self._next or self._file.read(size), b""
            if not data:
                break
            self._measure(data)
            data = self._held + data
            body = data.rstrip(_AFTER_ARRAY)
            self._held = data[len(body) :]
            if body:
                return body
        return b""

    def _measure(self, data: bytes) -> None:
        self._num_bytes += len(data)
        if self._num_bytes > MAX_ITEM_BYTES:
            raise _unreadable(self._member, f"one item is longer than {MAX_ITEM_BYTES:,} bytes")
        # The parser's time grows with the square of the depth; no post comes near this.
        self._num_brackets += data.count(b"[") + data.count(b"{")
        if self._num_brackets > MAX_ITEM_BRACKETS:
            raise _unreadable(self._member, f"one item has more than {MAX_ITEM_BRACKETS:,} brackets")


def _unreadable(member: str, problem: str) -> TrainerError:
    return TrainerError(Reason.SOURCE_UNREADABLE, f"{member} in the archive cannot be read: {problem}")
