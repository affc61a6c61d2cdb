"""Zip archives read member by member, never extracted: names, sizes and ratios are checked before a byte is read."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.limits import (
    MAX_COMPRESSION_RATIO,
    MAX_ENTRIES,
    MAX_MEMBER_BYTES,
    RATIO_SLACK_BYTES,
    unreadable,
)

ZIP_MAGIC: Final = b"PK"


class PostZip:
    """An open zip archive."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive = archive
        self.name = path.name
        self._num_bytes = path.stat().st_size

    def members(self, pattern: re.Pattern[str]) -> list[str]:
        """Return the names of the members that match, checked, in the order of their numbers."""
        found = [info for info in self._archive.infolist() if pattern.fullmatch(info.filename)]
        names = [info.filename for info in found]
        if len(set(names)) < len(names):
            raise unreadable(self.name, f"holds one member twice: {', '.join(names[:5])}")
        for info in found:
            self._check(info)
        if sum(info.compress_size for info in found) > self._num_bytes:
            raise unreadable(self.name, "has members that overlap, which no real archive has")
        return sorted(names, key=lambda name: (len(name), name))

    def open(self, member: str) -> io.BufferedReader:
        """Open a member for reading."""
        return io.BufferedReader(cast("io.RawIOBase", self._archive.open(member)))

    def place(self, member: str) -> str:
        """Return how messages name a member."""
        return f"{member} in {self.name}"

    def _check(self, info: zipfile.ZipInfo) -> None:
        place = self.place(info.filename)
        if info.flag_bits & 0x1:
            raise unreadable(place, "is encrypted; upload the archive unencrypted")
        if info.file_size > MAX_MEMBER_BYTES:
            raise unreadable(place, f"is larger than {MAX_MEMBER_BYTES:,} bytes")
        if info.file_size > MAX_COMPRESSION_RATIO * info.compress_size + RATIO_SLACK_BYTES:
            raise unreadable(place, f"is compressed more than {MAX_COMPRESSION_RATIO}:1, which no real archive is")


@contextmanager
def opened(path: Path) -> Iterator[PostZip]:
    """Open the zip; say SourceUnreadable for whatever is wrong with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MAX_ENTRIES:
                raise unreadable(path.name, f"holds more than {MAX_ENTRIES:,} entries")
            yield PostZip(archive, path)
    except TrainerError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        raise unreadable(path.name, f"is not a sound zip archive: {error}") from error
