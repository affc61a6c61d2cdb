"""A list of texts that lies in a file: a million posts take 8 MiB of memory."""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, overload

_PENDING_BYTES: Final = 1024**2


class TextFile(Sequence[str]):
    """Texts in their order; reads like a list and grows by `append`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        self._path = path
        self._ends = array("q", [0])
        self._pending = bytearray()

    def append(self, text: str) -> None:
        """Add a text at the end."""
        data = text.encode()
        self._pending += data
        self._ends.append(self._ends[-1] + len(data))
        if len(self._pending) >= _PENDING_BYTES:
            self._flush()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[str]:
        return self._texts(range(len(self)))

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        numbers = range(len(self))[index]
        return list(self._texts(numbers)) if isinstance(numbers, range) else next(self._texts((numbers,)))

    def _texts(self, numbers: Sequence[int]) -> Iterator[str]:
        self._flush()
        with self._path.open("rb") as file:
            for number in numbers:
                if file.tell() != self._ends[number]:
                    file.seek(self._ends[number])
                yield file.read(self._ends[number + 1] - self._ends[number]).decode()

    def _flush(self) -> None:
        if self._pending:
            with self._path.open("ab") as file:
                file.write(self._pending)
            self._pending.clear()
