"""Tables as text: CSV and its relatives, in UTF-8 or Windows' Western encoding, whatever the delimiter."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Final

from tweetbot_trainer.sources.limits import MAX_FIELD_CHARACTERS, unreadable

DELIMITERS: Final = (",", "\t", ";", "|")
_MAX_HEADER_CHARACTERS = 16_384
_MAX_COLUMNS = 1_000
_MOST_HIGH_BYTES = 1 / 3
_FEW_HIGH_BYTES = 6
_UNDEFINED_IN_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


def text_lines(stream: io.BufferedReader, place: str) -> Iterator[str]:
    """Yield the lines with their ends, without zero bytes; each is UTF-8 or, where it is not, Windows-1252."""
    number = 0
    while line := stream.readline(MAX_FIELD_CHARACTERS * 4 + 1):
        number += 1
        if len(line) > MAX_FIELD_CHARACTERS * 4:
            raise unreadable(f"{place} line {number}", f"is longer than {MAX_FIELD_CHARACTERS * 4:,} bytes")
        # A carriage return alone ends no line here, and would end a row's field for the reader of tables.
        line = line.replace(b"\0", b"").replace(b"\r\n", b"\n").replace(b"\r", b" ")
        yield _decoded(line, f"{place} line {number}")


def header(line: str) -> tuple[list[str], str]:
    """Return the names in a table's first line and the delimiter that gives the most of them."""
    line = line[:_MAX_HEADER_CHARACTERS].replace("\r", " ").rstrip()
    rows = ((next(csv.reader([line], delimiter=delimiter), []), delimiter) for delimiter in DELIMITERS)
    names, delimiter = max(rows, key=lambda row: len(row[0]))
    return [name.strip() for name in names], delimiter


def read_rows(
    lines: Iterator[str], names: Sequence[str], delimiter: str, place: str
) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Yield each row below the header by column, with its place; quoted fields may hold new lines."""
    if len(names) > _MAX_COLUMNS:
        raise unreadable(place, f"has more than {_MAX_COLUMNS:,} columns")
    empty = dict.fromkeys(names)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for row in reader:
            if row:
                yield f"{place} line {reader.line_num + 1}", {**empty, **dict(zip(names, row, strict=False))}
    except csv.Error as error:
        raise unreadable(f"{place} line {reader.line_num + 1}", f"is not a row of a table: {error}") from error


def _decoded(line: bytes, place: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        num_high = sum(byte >= 0x80 for byte in line)
        # In Western text letters with accents are few; where they are many, the bytes are another encoding's.
        if num_high > max(_FEW_HIGH_BYTES, _MOST_HIGH_BYTES * len(line)) or _UNDEFINED_IN_CP1252.search(line):
            raise unreadable(place, "is neither UTF-8, UTF-16 nor Windows-1252; save the file as UTF-8") from None
        return line.decode("cp1252")
