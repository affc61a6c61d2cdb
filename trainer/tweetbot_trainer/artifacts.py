"""Where the files of a run live: the Store protocol, and a folder as a store. `s3` holds the store of the cluster."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a store tells of a file without reading it."""

    bytes: int
    """Size."""
    tag: str = ""
    """The store's own tag of the content, another one for another content; empty if it has none."""


class Store(Protocol):
    """Files by key, relative to the run's prefix; a write is seen whole or not at all."""

    def uri(self, key: str) -> str:
        """Return the address of a key, for people and status."""
        ...

    def exists(self, key: str) -> bool:
        """Tell whether the key is there."""
        ...

    def read_bytes(self, key: str) -> bytes | None:
        """Return the content, or None if the key is not there."""
        ...

    def write_bytes(self, key: str, data: bytes) -> None:
        """Store the content, replacing what was there."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Store the content unless there is some already; tell whether it was stored."""
        ...

    def upload(self, path: Path, key: str) -> None:
        """Store a local file."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Copy the content to a local file, whose folder is made."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """Return all keys that begin with the prefix, sorted."""
        ...

    def files(self, prefix: str = "") -> dict[str, StoredFile]:
        """Return size and tag of all files whose keys begin with the prefix."""
        ...

    def holds(self, key: str, path: Path, stored: StoredFile) -> bool:
        """Tell whether the stored file is a copy of the local one."""
        ...

    def delete(self, key: str) -> None:
        """Remove the file; nothing happens if it is not there."""
        ...

    def discard_unfinished(self) -> None:
        """Free what earlier writes left unfinished. Nothing else may write meanwhile."""
        ...


_UNFINISHED = ".tmp-"


class LocalStore:
    """A folder as a store, for the command line."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def uri(self, key: str) -> str:
        """Return the `file://` address of a key."""
        return self._path(key).as_uri()

    def exists(self, key: str) -> bool:
        """Tell whether the file is there."""
        return self._path(key).is_file()

    def read_bytes(self, key: str) -> bytes | None:
        """Return the file's content, or None if there is no such file."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            return None

    def write_bytes(self, key: str, data: bytes) -> None:
        """Write the file beside its place and rename it."""
        temporary = self._temporary(key)
        temporary.write_bytes(data)
        temporary.replace(self._path(key))

    def create(self, key: str, data: bytes) -> bool:
        """Write the file if there is none; a folder has one writer."""
        if self.exists(key):
            return False
        self.write_bytes(key, data)
        return True

    def upload(self, path: Path, key: str) -> None:
        """Copy the file beside its place and rename it."""
        temporary = self._temporary(key)
        shutil.copyfile(path, temporary)
        temporary.replace(self._path(key))

    def download(self, key: str, path: Path) -> None:
        """Copy the file out of the folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._path(key), path)

    def list(self, prefix: str = "") -> list[str]:
        """Return the keys of all files below the folder that begin with the prefix."""
        return sorted(self.files(prefix))

    def files(self, prefix: str = "") -> dict[str, StoredFile]:
        """Return the sizes of all files below the folder whose keys begin with the prefix."""
        paths = [path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith(_UNFINISHED)]
        sizes = {path.relative_to(self._root).as_posix(): StoredFile(path.stat().st_size) for path in paths}
        return {key: file for key, file in sizes.items() if key.startswith(prefix)}

    def holds(self, key: str, path: Path, stored: StoredFile) -> bool:
        """Compare both files."""
        return stored.bytes == path.stat().st_size and file_sha256(self._path(key)) == file_sha256(path)

    def delete(self, key: str) -> None:
        """Remove the file."""
        self._path(key).unlink(missing_ok=True)

    def discard_unfinished(self) -> None:
        """Remove files that were never renamed to their place."""
        for path in self._root.rglob(f"{_UNFINISHED}*"):
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _temporary(self, key: str) -> Path:
        folder = self._path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{_UNFINISHED}{os.getpid()}-{uuid4().hex}"


def upload_folder(store: Store, folder: Path, prefix: str) -> list[str]:
    """Store every file below the folder under `prefix/`; return their keys. Links are not followed."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    keys = [f"{prefix}/{path.relative_to(folder).as_posix()}" for path in files]
    for path, key in zip(files, keys, strict=True):
        store.upload(path, key)
    return keys


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked_key(key: str) -> str:
    """Return the key; raise ValueError if it would lead out of the run's prefix."""
    if key.startswith("/") or ".." in PurePosixPath(key).parts:
        raise ValueError(f"a key stays below its prefix: {key!r}")
    return key
