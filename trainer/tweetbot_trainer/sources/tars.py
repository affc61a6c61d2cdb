"""A tar archive read once, from front to back; nothing is extracted, and no header may make us hold much."""

import io
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from tweetbot_trainer.sources.limits import MAX_ENTRIES, unreadable

_MAX_HEADER_BYTES = 1024**2
_MAGIC = slice(257, 262)


def is_tar(head: bytes) -> bool:
    """Tell by its first block whether a file is a tar archive."""
    return head[_MAGIC] == b"ustar"


@contextmanager
def tar_member(stream: BinaryIO, wanted: re.Pattern[str], name: str) -> Iterator[io.BufferedReader | None]:
    """Open the first regular file of this name; None if there is none. Says SourceUnreadable for what is wrong."""
    metered = _HeaderLimit(stream, name)
    try:
        with tarfile.open(fileobj=cast("BinaryIO", metered), mode="r|") as archive:
            member = _find(archive, metered, wanted, name)
            yield cast("io.BufferedReader", archive.extractfile(member)) if member else None
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise unreadable(name, f"is not a sound tar archive: {error}") from error


def _find(
    archive: tarfile.TarFile, metered: "_HeaderLimit", wanted: re.Pattern[str], name: str
) -> tarfile.TarInfo | None:
    for _ in range(MAX_ENTRIES):
        member = archive.next()
        if member is None:
            return None
        # It would keep every header that it has seen.
        archive.members = []  # type: ignore[attr-defined]
        metered.allow(member.size)
        if member.isreg() and not member.issparse() and wanted.fullmatch(member.name.removeprefix("./")):
            return member
    raise unreadable(name, f"holds more than {MAX_ENTRIES:,} entries")


class _HeaderLimit:
    """A stream from which only the announced size of a member and a header may be read at once."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self.allow(0)

    def allow(self, num_bytes: int) -> None:
        """Let a member of this size, and the next header, be read."""
        self._left = num_bytes + _MAX_HEADER_BYTES

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise unreadable(self._name, f"has a header larger than {_MAX_HEADER_BYTES:,} bytes")
        return data
