"""JSON in bounded memory: the items of an array one by one, the lines of a file, or one small document."""

import json
from collections.abc import Iterator
from typing import IO, Any

import ijson

from tweetbot_trainer.sources.limits import (
    MAX_ITEM_BRACKETS,
    MAX_ITEM_BYTES,
    MAX_LINE_BYTES,
    MAX_LINE_VALUES,
    unreadable,
)

_BUFFER_BYTES = 64 * 1024


def read_items(file: "IO[bytes] | MeasuredBytes", place: str, prefix: str = "item") -> Iterator[Any]:
    """Yield the items of an array: of the file's own, or of the one at `prefix` in ijson's notation."""
    body = file if isinstance(file, MeasuredBytes) else MeasuredBytes(file, place)
    try:
        for item in ijson.items(body, prefix, use_float=True, buf_size=_BUFFER_BYTES):
            body.begin_item()
            yield item
    except (ijson.JSONError, ValueError) as error:
        raise unreadable(place, f"is not JSON: {_without_quotation(error)}") from None


def read_lines(file: IO[bytes], place: str) -> Iterator[tuple[str, Any]]:
    """Yield the JSON value of each line that is not blank, with its place."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if line := line.strip():
            here = f"{place} line {number}"
            yield here, parse(line, here)


def read_document(file: IO[bytes], place: str) -> Any:
    """Return the one JSON value of a file."""
    return parse(file.read(MAX_LINE_BYTES + 1), place)


def parse(data: bytes, place: str) -> Any:
    """Return the JSON value, within limits of size, depth and digits."""
    if len(data) > MAX_LINE_BYTES:
        raise unreadable(place, f"is longer than {MAX_LINE_BYTES:,} bytes")
    if len(data) > MAX_LINE_VALUES and sum(map(data.count, (b",", b"[", b"{"))) > MAX_LINE_VALUES:
        raise unreadable(place, f"holds more than {MAX_LINE_VALUES:,} values")
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise unreadable(place, "is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise unreadable(place, f"is not JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise unreadable(place, f"is not JSON that can be read: {error}") from None


def _without_quotation(error: Exception) -> str:
    """Return the first line of what the parser says: those that follow quote the text, which belongs in no log."""
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return next(iter(text.splitlines()), type(error).__name__)


class MeasuredBytes:
    """A file for ijson that refuses an item of too many bytes or brackets before they are all in memory."""

    def __init__(self, file: IO[bytes], place: str) -> None:
        self._file = file
        self._place = place
        self._num_bytes = 0
        self._num_brackets = 0

    def begin_item(self) -> None:
        """Measure anew: the last item was read whole."""
        self._num_bytes = self._num_brackets = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, or nothing at the end."""
        return self.measured(self._file.read(size))

    def measured(self, data: bytes) -> bytes:
        """Return the data, counted as part of the present item."""
        self._num_bytes += len(data)
        if self._num_bytes > MAX_ITEM_BYTES:
            raise unreadable(self._place, f"holds an item longer than {MAX_ITEM_BYTES:,} bytes")
        self._num_brackets += data.count(b"[") + data.count(b"{")
        if self._num_brackets > MAX_ITEM_BRACKETS:
            raise unreadable(self._place, f"holds an item with more than {MAX_ITEM_BRACKETS:,} brackets")
        return data
