"""Where the files of a run live: the Store protocol, a folder as a store, and the output manifest.

The manifest is written last, so its presence means that everything it lists is stored. `s3` holds the store of the
cluster.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol
from uuid import uuid4

from pydantic import JsonValue

from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_api.model import ApiModel, Time
from tweetbot_api.names import OUTPUT_MANIFEST
from tweetbot_api.runconfig import BotIdentity
from tweetbot_trainer.errors import TrainerError


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

    def upload(self, path: Path, key: str) -> None:
        """Store a local file."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Copy the content to a local file, whose folder is made."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """Return all keys that begin with the prefix, sorted."""
        ...


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
        files = (path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith(".tmp-"))
        keys = (path.relative_to(self._root).as_posix() for path in files)
        return sorted(key for key in keys if key.startswith(prefix))

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _temporary(self, key: str) -> Path:
        folder = self._path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f".tmp-{os.getpid()}-{uuid4().hex}"


class OutputFile(ApiModel):
    """One file of the run."""

    path: str
    """Key relative to the run's prefix."""
    bytes: int
    """Size."""
    sha256: str
    """Hash of the content."""


class OutputManifest(ApiModel):
    """What a finished run left behind, and all that its status reports."""

    schema_version: Literal[1] = 1
    """Changes when an older reader could not read it."""
    bot: BotIdentity
    """Whose run it was, and which attempt finished it."""
    created_at: Time
    """When the run finished."""
    files: list[OutputFile]
    """Every file but the manifest."""
    outcome: BotOutcome
    """Data, dataset, evaluation, samples: what a later Job of the same run reports instead of working again."""
    details: dict[str, JsonValue] = {}
    """More facts, for people: seed, versions, recipe."""


class RunFacts(ApiModel):
    """What the manifest says of a run beside its files."""

    bot: BotIdentity
    """Whose run it was."""
    created_at: datetime
    """When the run finished."""
    outcome: BotOutcome
    """How it ended; its manifest hash is left empty, for it is only known afterwards."""
    details: dict[str, JsonValue] = {}
    """More facts, for people."""


def write_output_manifest(store: Store, files: Mapping[str, Path], facts: RunFacts) -> str:
    """Write the manifest of files that are stored already (key to local copy); return its SHA-256.

    Raises StorageUnavailable if one of them is not in the store.
    """
    if missing := files.keys() - set(store.list()):
        raise TrainerError(
            Reason.STORAGE_UNAVAILABLE, f"stored files are missing from {store.uri('')}: {', '.join(sorted(missing))}"
        )
    manifest = OutputManifest(
        bot=facts.bot,
        created_at=facts.created_at,
        files=[
            OutputFile(path=key, bytes=path.stat().st_size, sha256=file_sha256(path))
            for key, path in sorted(files.items())
        ],
        outcome=facts.outcome,
        details=facts.details,
    )
    data = json.dumps(manifest.to_wire(), indent=2, ensure_ascii=False).encode()
    store.write_bytes(OUTPUT_MANIFEST, data)
    return hashlib.sha256(data).hexdigest()


def read_output_manifest(store: Store) -> BotOutcome | None:
    """Return the outcome of a run that is finished, with its manifest's hash; None for any other."""
    data = store.read_bytes(OUTPUT_MANIFEST)
    if data is None:
        return None
    outcome = OutputManifest.model_validate_json(data).outcome
    return outcome.model_copy(update={"manifest_sha256": hashlib.sha256(data).hexdigest()})


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
