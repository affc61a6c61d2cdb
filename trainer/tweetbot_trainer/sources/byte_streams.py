"""A file's bytes as UTF-8, unpacked: what is compressed or in UTF-16 is turned while it is read, within limits."""

import codecs
import io
import zlib
from pathlib import Path
from typing import Final

from tweetbot_trainer.sources.limits import (
    MAX_COMPRESSION_RATIO,
    MAX_STREAM_BYTES,
    RATIO_SLACK_BYTES,
    unreadable,
)

SAMPLE_BYTES: Final = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_MARK = codecs.BOM_UTF8
# The longer marks first: UTF-32's begins with UTF-16's.
_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEAST_ZEROS = 0.3
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_PACKED_BYTES = 64 * 1024


def open_unpacked(path: Path) -> io.BufferedReader:
    """Open a file for reading, unpacked if it is a gzip file."""
    raw = path.open("rb", buffering=0)
    try:
        packed = raw.read(2) == _GZIP_MAGIC
        if packed:
            _check_announced_size(raw, path.name)
        raw.seek(0)
    except BaseException:
        raw.close()
        raise
    return io.BufferedReader(Gunzipped(raw, path.name) if packed else raw, SAMPLE_BYTES)


def as_utf8(stream: io.BufferedReader, place: str) -> io.BufferedReader:
    """Return the stream's text as UTF-8 without a byte order mark; what is neither UTF-8 nor UTF-16/32 stays as is."""
    sample = stream.peek(SAMPLE_BYTES)
    if encoding := _wide_encoding(sample):
        return io.BufferedReader(_Recoded(stream, encoding, place), SAMPLE_BYTES)
    if sample.startswith(_UTF8_MARK):
        stream.read(len(_UTF8_MARK))
    return stream


class Gunzipped(io.RawIOBase):
    """What a gzip file holds; a bomb and an endless body are refused while they unfold.

    zlib is used and not `gzip`, which reads ahead: how much came out of how much would be known too late.
    """

    def __init__(self, raw: io.FileIO, place: str) -> None:
        self._raw = raw
        self._place = place
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._packed = b""
        self._num_bytes = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # any writable buffer
        """Fill the buffer with the next bytes."""
        try:
            data = self._unpack(len(buffer))
        except (EOFError, zlib.error) as error:
            raise unreadable(self._place, f"is not a sound gzip file: {error}") from error
        buffer[: len(data)] = data
        self._num_bytes += len(data)
        _check_ratio(self._num_bytes, self._raw.tell() - len(self._packed), self._place)
        if self._num_bytes > MAX_STREAM_BYTES:
            raise unreadable(self._place, f"holds more than {MAX_STREAM_BYTES:,} bytes")
        return len(data)

    def close(self) -> None:
        """Close the file too."""
        self._raw.close()
        super().close()

    def _unpack(self, size: int) -> bytes:
        """Return the next bytes, at most so many; none at the end of the last member."""
        while True:
            packed = self._packed or self._raw.read(_PACKED_BYTES) or b""
            if self._member.eof:
                # Members may follow each other, and zeros may fill up the last block.
                self._packed = packed.lstrip(b"\0")
                if not packed:
                    return b""
                if self._packed:
                    self._member = zlib.decompressobj(_GZIP_WINDOW)
                continue
            if not packed:
                raise EOFError("it ends before its end-of-stream marker")
            data = self._member.decompress(packed, size)
            self._packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if data:
                return data


class _Recoded(io.RawIOBase):
    """A stream in UTF-16 or UTF-32 as UTF-8."""

    def __init__(self, stream: io.BufferedReader, encoding: str, place: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._encoding = encoding
        self._place = place
        self._held = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # any writable buffer
        """Fill the buffer with the next bytes."""
        while not self._held:
            data = self._stream.read(SAMPLE_BYTES)
            try:
                self._held = self._decoder.decode(data, final=not data).encode("utf-8", "replace")
            except UnicodeDecodeError as error:
                raise unreadable(self._place, f"is not sound {self._encoding.upper()}: {error.reason}") from error
            if not data:
                break
        size = min(len(buffer), len(self._held))
        buffer[:size], self._held = self._held[:size], self._held[size:]
        return size

    def close(self) -> None:
        """Close the stream too."""
        self._stream.close()
        super().close()


def _check_announced_size(raw: io.FileIO, place: str) -> None:
    """Refuse by its last four bytes a gzip file that announces to be a bomb; one that lies is found out later."""
    num_packed = raw.seek(0, io.SEEK_END)
    raw.seek(-min(num_packed, 4), io.SEEK_END)
    _check_ratio(int.from_bytes(raw.read(4), "little"), num_packed, place)


def _check_ratio(num_bytes: int, num_packed: int, place: str) -> None:
    if num_bytes > MAX_COMPRESSION_RATIO * num_packed + RATIO_SLACK_BYTES:
        raise unreadable(place, f"is compressed more than {MAX_COMPRESSION_RATIO}:1, which no file of posts is")


def _wide_encoding(sample: bytes) -> str | None:
    """Return UTF-16 or UTF-32 if the byte order mark says so, or UTF-16 if every other byte is mostly zero."""
    for mark, encoding in _WIDE_MARKS:
        if sample.startswith(mark):
            return encoding
    half = len(sample) // 2
    zeros_first, zeros_second = sample[0::2].count(0), sample[1::2].count(0)
    if zeros_second > _LEAST_ZEROS * half > 4 * zeros_first:
        return "utf-16-le"
    return "utf-16-be" if zeros_first > _LEAST_ZEROS * half > 4 * zeros_second else None
