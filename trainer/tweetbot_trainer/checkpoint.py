"""What an interrupted training goes on from: files in the run's store, complete only with the manifest written last.

A checkpoint is `checkpoints/step-<n>/`: `shared.safetensors` (weights, metrics so far) by the first process,
`process-<rank>.safetensors` (optimizer and random states) by each, and `checkpoint.json` with their hashes. There is no
pickle in it: tensors are safetensors, everything else is JSON. What is incomplete, changed, or of another training is
never loaded. See docs/design/0006-checkpoints.md.
"""

import json
import logging
import re
import shutil
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Final, Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tweetbot_api.model import ApiModel
from tweetbot_api.names import CHECKPOINTS_DIR
from tweetbot_trainer.artifacts import Store, file_sha256
from tweetbot_trainer.control import Control
from tweetbot_trainer.distributed import rank, world_size
from tweetbot_trainer.errors import TrainerError

logger = logging.getLogger(__name__)

NUM_KEPT: Final = 2
"""The newest, and the one before it should the newest turn out to be damaged."""
_MANIFEST: Final = "checkpoint.json"
_SHARED: Final = "shared.safetensors"
_FACTS: Final = "facts"
_STEP = re.compile(rf"{CHECKPOINTS_DIR}/step-(\d{{8}})/")

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Tensors, and JSON, that are stored as one file."""

    tensors: Tensors
    """On the CPU, by name."""
    facts: dict[str, Any]
    """What is not a tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A training after a step."""

    step: int
    """Optimizer steps done."""
    shared: Part
    """What is the same in all processes; only the first one's is stored."""
    own: Part
    """What belongs to this process."""


class CheckpointManifest(ApiModel):
    """What makes a checkpoint complete."""

    schema_version: Literal[1] = 1
    """Changes when an older trainer could not read it."""
    step: int
    """Optimizer steps done."""
    identity: dict[str, str]
    """What has to be the same for a training to go on from it."""
    sha256: dict[str, str]
    """Hash of each file, by name."""


class Checkpoints:
    """The checkpoints of one training. All processes call its methods together."""

    def __init__(self, store: Store, identity: Mapping[str, str], work_dir: Path, control: Control) -> None:
        self._store = store
        self._training = dict(identity)
        self._dir = work_dir / CHECKPOINTS_DIR
        self._control = control
        self._upload: _Upload | None = None
        self._commit: Thread | None = None
        self._complete_step = 0
        """The last step whose manifest this process has stored."""

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is complete, undamaged and of this training, None if there is none.

        What is newer than that is removed, so that it can never be mixed with what is saved from now on.
        """
        found = None
        stored = _stored_steps(self._store)
        for step in map(int, self._control.of_first(sorted(stored, reverse=True))):
            checkpoint = self._load(step)
            if self._control.everywhere(flag=checkpoint is not None):
                found = checkpoint
                break
        if rank() == 0:
            first_kept = found.step if found else 0
            _remove(self._store, [step for step in stored if step > first_kept])
        if found:
            logger.info("going on from a checkpoint step=%d", found.step)
        return found

    @property
    def _identity(self) -> dict[str, str]:
        """Return what must be the same: the training, and how many processes its optimizer's state is spread over."""
        return {**self._training, "processes": str(world_size())}

    @property
    def is_uploading(self) -> bool:
        """Tell whether this process still uploads the checkpoint that was begun."""
        return self._upload is not None and self._upload.is_alive()

    @property
    def is_begun(self) -> bool:
        """Tell whether a checkpoint was begun and not committed yet."""
        return self._upload is not None

    def begin(self, checkpoint: Checkpoint) -> None:
        """Write this process's files to its disk and upload them in the background."""
        folder = self._dir / str(checkpoint.step)
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / _own_file()
        _write(own, checkpoint.own)
        if rank() == 0:
            _write(folder / _SHARED, checkpoint.shared)
        self._upload = _Upload(self._store, checkpoint.step, folder)
        self._upload.start()

    def commit(self) -> bool:
        """Wait for all uploads and make the checkpoint complete; tell whether it is going to be.

        The first process writes the manifest in the background and then removes what is too old.
        """
        upload, self._upload = self._upload, None
        assert upload, "a checkpoint is begun before it is committed"  # noqa: S101 - the caller's duty
        upload.join()
        self._join_commit()
        if not self._control.everywhere(flag=upload.has_succeeded):
            return False
        own_hashes = self._control.all_hashes(upload.own_hash)
        sha256 = {_own_file(number): value.hex() for number, value in enumerate(own_hashes)}
        sha256[_SHARED] = upload.shared_hash
        manifest = CheckpointManifest(step=upload.step, identity=self._identity, sha256=sha256)
        if rank() == 0:
            work = copy_context()
            self._commit = Thread(target=work.run, args=(self._write_manifest, manifest), daemon=True)
            self._commit.start()
        return True

    def finish(self) -> bool:
        """Commit what was begun and wait until it is done; tell whether the checkpoint is complete.

        A store that fails costs this checkpoint only.
        """
        if not self.is_begun:
            self._join_commit()
            return False
        step = self._upload.step if self._upload else 0
        is_committed = self.commit()
        self._join_commit()
        is_complete = rank() != 0 or self._complete_step == step
        return self._control.everywhere(flag=is_committed and is_complete)

    def _load(self, step: int) -> Checkpoint | None:
        """Return this process's view of a checkpoint, None if it may not be used."""
        manifest = self._manifest(step)
        if manifest is None:
            logger.warning("checkpoint is incomplete and not used step=%d", step)
            return None
        if different := sorted(
            name for name in manifest.identity.keys() | self._identity.keys()
            if manifest.identity.get(name) != self._identity.get(name)
        ):  # fmt: skip
            logger.warning("checkpoint is of another training and not used step=%d other=%s", step, ",".join(different))
            return None
        try:
            shared, own = (self._read(manifest, name) for name in (_SHARED, _own_file()))
        except (_DamagedError, SafetensorError, ValueError, KeyError) as error:
            logger.warning("checkpoint is damaged and not used step=%d error=%s", step, error)
            return None
        return Checkpoint(step=step, shared=shared, own=own)

    def _read(self, manifest: CheckpointManifest, name: str) -> Part:
        key, path = _key(manifest.step, name), self._dir / "loaded" / name
        if not self._store.exists(key):
            raise _DamagedError(f"{name} is missing")
        self._store.download(key, path)
        if file_sha256(path) != manifest.sha256[name]:
            raise _DamagedError(f"{name} is not the file that was saved")
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_FACTS])
            # Copies: the file that they are mapped from is removed.
            tensors = {tensor: file.get_tensor(tensor).clone() for tensor in file.keys()}  # noqa: SIM118 - no mapping
        path.unlink()
        return Part(tensors=tensors, facts=facts)

    def _manifest(self, step: int) -> CheckpointManifest | None:
        data = self._store.read_bytes(_key(step, _MANIFEST))
        try:
            return CheckpointManifest.model_validate_json(data) if data is not None else None
        except ValidationError:
            return None

    def _write_manifest(self, manifest: CheckpointManifest) -> None:
        try:
            data = json.dumps(manifest.to_wire()).encode()
            self._store.write_bytes(_key(manifest.step, _MANIFEST), data)
            self._complete_step = manifest.step
            logger.info("checkpoint saved step=%d", manifest.step)
            complete = sorted(step for step in _stored_steps(self._store) if self._store.exists(_key(step, _MANIFEST)))
            _remove(self._store, _stored_steps(self._store) - set(complete[-NUM_KEPT:]))
        except TrainerError as error:
            logger.warning("checkpoint not completed step=%d error=%s", manifest.step, error.message)

    def _join_commit(self) -> None:
        if self._commit:
            self._commit.join()
            self._commit = None


def remove_checkpoints(store: Store) -> None:
    """Remove every checkpoint of a run; a failure is logged, for nothing depends on it."""
    try:
        _remove(store, _stored_steps(store))
    except TrainerError as error:
        logger.warning("checkpoints not removed error=%s", error.message)


def _stored_steps(store: Store) -> set[int]:
    matches = (_STEP.match(key) for key in store.list(f"{CHECKPOINTS_DIR}/"))
    return {int(match[1]) for match in matches if match}


def _remove(store: Store, steps: Iterable[int]) -> None:
    """Remove checkpoints, of each the manifest first."""
    for step in steps:
        for key in sorted(store.list(_key(step, "")), key=lambda key: not key.endswith(_MANIFEST)):
            store.delete(key)


class _DamagedError(Exception):
    """A file of a checkpoint is not what its manifest says."""


class _Upload(Thread):
    """Hashes and uploads the files of one checkpoint, then removes the local copies."""

    def __init__(self, store: Store, step: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self.step = step
        self.own_hash = b"\0" * 32
        self.shared_hash = ""
        self.has_succeeded = False
        self._store = store
        self._folder = folder
        # Whose log is written to.
        self._context = copy_context()

    def run(self) -> None:
        """Do it; a failure costs this checkpoint only."""
        self._context.run(self._upload_files)

    def _upload_files(self) -> None:
        try:
            for path in sorted(self._folder.iterdir()):
                digest = file_sha256(path)
                self._store.upload(path, _key(self.step, path.name))
                if path.name == _SHARED:
                    self.shared_hash = digest
                else:
                    self.own_hash = bytes.fromhex(digest)
            self.has_succeeded = True
        except (TrainerError, OSError) as error:
            logger.warning("checkpoint not saved step=%d error=%s", self.step, error)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def _write(path: Path, part: Part) -> None:
    save_file(part.tensors, path, metadata={_FACTS: json.dumps(part.facts)})


def _own_file(number: int | None = None) -> str:
    return f"process-{rank() if number is None else number}.safetensors"


def _key(step: int, name: str) -> str:
    return f"{CHECKPOINTS_DIR}/step-{step:08d}/{name}"
