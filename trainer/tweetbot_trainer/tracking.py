"""Where metrics and artifacts of a run are shown: the Tracker protocol and Weights & Biases behind it.

The only file that imports wandb, and it does so when a run starts. A tracker that fails is told of once in the log
and then left alone: it never fails a training.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tweetbot_api.names import JobKind, digest
from tweetbot_api.runconfig import BotIdentity, WandbConfig
from tweetbot_trainer.artifacts import Store, upload_folder

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

OFFLINE_DIR = "wandb"
"""Key prefix under which the folder of an offline run is stored; `wandb sync` sends it later."""


class Tracker(Protocol):
    """Shows one job of a run to people."""

    def start(self, run_name: str, job_type: str, config: Mapping[str, object]) -> None:
        """Open the run, or the one that an earlier attempt left open."""
        ...

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the metrics of one step."""
        ...

    def log_artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, object]) -> None:
        """Add a file, or a folder with all its files, as an artifact of this kind (W&B's `type`)."""
        ...

    @property
    def url(self) -> str | None:
        """Address of the run for a browser, if there is one."""
        ...

    def finish(self) -> None:
        """Close the run; what is left to send later is put into the store. A second call does nothing."""
        ...


class NullTracker:
    """Shows nothing to nobody."""

    url: str | None = None
    """There is no address."""

    def start(self, run_name: str, job_type: str, config: Mapping[str, object]) -> None:
        """Do nothing."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Do nothing."""

    def log_artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, object]) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class WandbTracker:
    """Weights & Biases, online or offline."""

    def __init__(self, config: WandbConfig, run_key: str, work_dir: Path, store: Store) -> None:
        self._config = config
        self._run_key = run_key
        self._dir = work_dir / "wandb-files"
        self._store = store
        self._run: wandb.Run | None = None
        self._url: str | None = None
        self._has_failed = False

    @property
    def url(self) -> str | None:
        """Address of the run; None offline."""
        return self._url

    def start(self, run_name: str, job_type: str, config: Mapping[str, object]) -> None:
        """Open the run under the id that all attempts share."""

        def open_run() -> None:
            import wandb

            self._dir.mkdir(parents=True, exist_ok=True)
            self._run = wandb.init(
                project=self._config.project,
                entity=self._config.entity,
                mode="offline" if self._config.mode == "offline" else "online",
                dir=self._dir,
                id=self._run_key,
                resume="allow",
                name=run_name,
                job_type=job_type,
                config=dict(config),
                settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
            )
            self._url = self._run.url if self._config.mode == "online" else None

        self._attempt(open_run)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the metrics of one step."""
        if run := self._run:
            self._attempt(lambda: run.log(dict(metrics), step=step))

    def log_artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, object]) -> None:
        """Add a file or folder as an artifact."""
        run = self._run
        if run is None:
            return

        def send() -> None:
            import wandb

            artifact = wandb.Artifact(name, kind, metadata=dict(metadata))
            if path.is_dir():
                artifact.add_dir(str(path))
            else:
                artifact.add_file(str(path))
            run.log_artifact(artifact)

        self._attempt(send)

    def finish(self) -> None:
        """Close the run; the folder of an offline run goes into the store."""
        run, self._run = self._run, None
        if run is None:
            return
        self._attempt(run.finish)
        if self._config.mode == "offline":
            self._attempt(lambda: upload_folder(self._store, self._dir / "wandb", OFFLINE_DIR))

    def _attempt(self, action: Callable[[], object]) -> None:
        """Do it unless something failed before; a failure is logged, and ends the tracking only."""
        if self._has_failed:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever W&B raises, the training goes on
            self._has_failed = True
            logger.warning("tracking failed, going on without it error=%r", error)


def open_tracker(config: WandbConfig, bot: BotIdentity, job_kind: JobKind, work_dir: Path, store: Store) -> Tracker:
    """Return the tracker that the configuration asks for."""
    if config.mode == "disabled":
        return NullTracker()
    return WandbTracker(config, digest(bot.uid, bot.run_id, job_kind), work_dir, store)
