"""The output manifest: what a finished run left behind, with the hash of each file.

It is written last, after every file was found in the store with the right content, and never over another one. So its
presence means that everything it lists is stored.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_api.model import ApiModel, Time
from tweetbot_api.names import OUTPUT_MANIFEST
from tweetbot_api.runconfig import BotIdentity
from tweetbot_trainer.artifacts import Store, StoredFile, file_sha256
from tweetbot_trainer.errors import TrainerError

logger = logging.getLogger(__name__)


class OutputFile(ApiModel):
    """One file of the run."""

    path: str
    """Key relative to the run's prefix."""
    bytes: int
    """Size."""
    sha256: str
    """Hash of the content."""
    tag: str | None = None
    """The store's own tag of the content when it was checked (S3: ETag): tells later whether the file was replaced."""


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

    Raises StorageUnavailable if the store lacks one of them or holds something else in its place, OutputConflict if
    another attempt has written a manifest meanwhile.
    """
    stored = store.files()
    for key, path in files.items():
        if key not in stored:
            raise TrainerError(Reason.STORAGE_UNAVAILABLE, f"a stored file is missing: {store.uri(key)}")
        if not store.holds(key, path, stored[key]):
            raise TrainerError(Reason.STORAGE_UNAVAILABLE, f"{store.uri(key)} is not the file that was stored there")
    manifest = OutputManifest(
        bot=facts.bot,
        created_at=facts.created_at,
        files=[_describe(key, path, stored[key]) for key, path in sorted(files.items())],
        outcome=facts.outcome,
        details=facts.details,
    )
    data = json.dumps(manifest.to_wire(), indent=2, ensure_ascii=False).encode()
    # A request that was repeated because its answer got lost finds its own manifest.
    if not store.create(OUTPUT_MANIFEST, data) and store.read_bytes(OUTPUT_MANIFEST) != data:
        raise TrainerError(
            Reason.OUTPUT_CONFLICT, f"another attempt has published the run meanwhile: {store.uri(OUTPUT_MANIFEST)}"
        )
    return hashlib.sha256(data).hexdigest()


def read_output_manifest(store: Store) -> BotOutcome | None:
    """Return the outcome of a run that is finished, with its manifest's hash; None for any other.

    A manifest whose files are gone or were replaced is removed: the run has to be done again.
    """
    data = store.read_bytes(OUTPUT_MANIFEST)
    if data is None:
        return None
    manifest = OutputManifest.model_validate_json(data)
    stored = store.files()
    changed = [file.path for file in manifest.files if not _is_as_described(file, stored.get(file.path))]
    if changed:
        logger.warning("the stored files are not those of the manifest, which is removed files=%s", ",".join(changed))
        store.delete(OUTPUT_MANIFEST)
        return None
    return manifest.outcome.model_copy(update={"manifest_sha256": hashlib.sha256(data).hexdigest()})


def _describe(key: str, path: Path, stored: StoredFile) -> OutputFile:
    return OutputFile(path=key, bytes=path.stat().st_size, sha256=file_sha256(path), tag=stored.tag or None)


def _is_as_described(file: OutputFile, stored: StoredFile | None) -> bool:
    return stored is not None and stored.bytes == file.bytes and (file.tag or stored.tag) == stored.tag
