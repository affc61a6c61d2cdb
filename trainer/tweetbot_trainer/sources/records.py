"""From a text file to its records: JSON objects and strings, table rows, or plain lines, whatever its format is."""

import io
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

from tweetbot_api.conditions import Reason
from tweetbot_api.spec.source import Columns
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.byte_streams import SAMPLE_BYTES
from tweetbot_trainer.sources.columns import WELL_KNOWN, guessed_shape, has_ids_only, shown
from tweetbot_trainer.sources.delimited import header, read_rows, text_lines
from tweetbot_trainer.sources.json_values import read_document, read_items, read_lines
from tweetbot_trainer.sources.limits import MAX_FIELD_CHARACTERS, unreadable

PlacedRecords = Iterator[tuple[str, Any]]
"""Each record (an object, a table row, or a text alone) with the place that messages name."""

_TABLE_SUFFIXES: Final = frozenset({".csv", ".tsv", ".psv"})
_JSON_SUFFIXES: Final = frozenset({".json", ".jsonl", ".ndjson"})
_PACKED_SUFFIXES: Final = frozenset({".gz"})
_OTHER_SUFFIXES: Final = frozenset({".zip", ".tar", ".tgz", ".parquet", ".7z", ".rar", ".bz2", ".xz", ".zst", ".xlsx"})
_MARKUP = re.compile(rb"<(!doctype|html|\?xml)", re.IGNORECASE)
_ARRAY_START = re.compile(rb'\[\s*([{"\[\]\d-]|$)')
_COLUMN_NAME = re.compile(r"\w[\w.]*")
_CONTROL_BYTES = bytes({*range(1, 32)} - {*b"\t\n\v\f\r\x1b"})
_MOST_CONTROL_BYTES = 0.01
_MOST_ZERO_BYTES = 0.3


def read_records(stream: io.BufferedReader, place: str, columns: Columns | None) -> PlacedRecords:
    """Return the records of a stream of UTF-8; raises TrainerError if it holds nothing or is not text."""
    sample = stream.peek(SAMPLE_BYTES)
    start = sample.lstrip()
    if not start:
        raise TrainerError(Reason.SOURCE_EMPTY, f"{place} holds no posts")
    _check_text(sample, place)
    suffix = _suffix(place)
    if _MARKUP.match(start):
        raise unreadable(place, "is a page of HTML or XML and no file of posts; was it downloaded whole?")
    if suffix in _OTHER_SUFFIXES:
        raise unreadable(place, f"is not what its name says ({suffix}), or of a kind that is not read")
    if suffix in _TABLE_SUFFIXES:
        return _table(stream, place, columns)
    if suffix != ".txt":
        if _ARRAY_START.match(start):
            return _array(stream, place)
        first, _, rest = start.partition(b"\n")
        if start.startswith(b"{"):
            is_document = bool(rest) and not first.rstrip().endswith(b"}")
            return iter([(place, read_document(stream, place))]) if is_document else read_lines(stream, place)
        if suffix in _JSON_SUFFIXES or (_is_json_text(first) and not _is_header(first, columns)):
            return read_lines(stream, place)
        if _is_header(first, columns):
            return _table(stream, place, columns)
    return _plain_lines(stream, place)


def _array(stream: io.BufferedReader, place: str) -> PlacedRecords:
    for number, item in enumerate(read_items(stream, place), start=1):
        yield f"{place} item {number}", item


def _table(stream: io.BufferedReader, place: str, columns: Columns | None) -> PlacedRecords:
    """Yield the rows below the header, the first line that is not blank."""
    lines = itertools.dropwhile(lambda line: not line.strip(), text_lines(stream, place))
    names, delimiter = header(next(lines))
    if columns and columns.text not in names:
        raise unreadable(place, f"has no column {columns.text} (spec.source.files.columns.text); it has {shown(names)}")
    if not columns and not _is_known(names) and not has_ids_only(names):
        raise unreadable(
            place, f"has no column that is known to hold texts; name it in spec.source.files.columns, of {shown(names)}"
        )
    return read_rows(lines, names, delimiter, place)


def _plain_lines(stream: io.BufferedReader, place: str) -> PlacedRecords:
    for number, line in enumerate(text_lines(stream, place), start=1):
        if len(line) > MAX_FIELD_CHARACTERS:
            raise unreadable(f"{place} line {number}", f"is longer than {MAX_FIELD_CHARACTERS:,} characters")
        if text := line.strip():
            yield f"{place} line {number}", text


def _check_text(sample: bytes, place: str) -> None:
    zeros = sample.count(0)
    controls = len(sample) - len(sample.translate(None, _CONTROL_BYTES))
    if controls > _MOST_CONTROL_BYTES * len(sample) + 4 or zeros > _MOST_ZERO_BYTES * len(sample):
        raise unreadable(place, "is not a text file, and no other kind of file of posts")


def _suffix(place: str) -> str:
    path = PurePath(place.split(" in ", 1)[0].lower())
    return PurePath(path.stem).suffix if path.suffix in _PACKED_SUFFIXES else path.suffix


def _is_json_text(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), str)
    except (ValueError, RecursionError):
        return False


def _is_header(line: bytes, columns: Columns | None) -> bool:
    """Tell whether a line names columns, one of which holds texts or all of which hold identifiers."""
    try:
        names, _ = header(line.decode("utf-8"))
    except (UnicodeDecodeError, ValueError):
        return False
    if columns:
        return columns.text in names
    return all(map(_COLUMN_NAME.fullmatch, names)) and (_is_known(names) or has_ids_only(names))


def _is_known(names: list[str]) -> bool:
    record = dict.fromkeys(names)
    return any(shape.fits(record) for shape in WELL_KNOWN) or guessed_shape(names) is not None
