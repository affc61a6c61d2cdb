"""Where metrics and artifacts of a run are shown: the Tracker protocol, and which one a configuration asks for.

A tracker never fails a training and never holds it up for longer than the bounds in `wandb_tracker`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tweetbot_api.names import JobKind, digest
from tweetbot_api.runconfig import BotIdentity, RunConfig, WandbConfig
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.versions import version_of


class Tracker(Protocol):
    """Shows one job of a run to people."""

    def start(self, run_name: str, job_type: str, config: Mapping[str, object]) -> None:
        """Open the run, or the one that an earlier attempt left open."""
        ...

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the metrics of one step."""
        ...

    def log_results(
        self, metrics: Mapping[str, float], samples: Sequence[tuple[str, str]], pictures: Mapping[str, Path]
    ) -> None:
        """Add what the run came to: final metrics, sample posts as (prompt, post), pictures by name."""
        ...

    def use_artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, object]) -> None:
        """Say what the run works from: a file, or a folder with all its files, of this kind (W&B's `type`)."""
        ...

    def log_artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, object]) -> None:
        """Add what the run made: a file, or a folder with all its files, of this kind."""
        ...

    @property
    def url(self) -> str | None:
        """Address of the run for a browser, if there is one."""
        ...

    def finish(self, exit_code: int = 0) -> None:
        """Close the run; what could not be sent is put into the store. A second call does nothing."""
        ...

    def interrupt(self) -> None:
        """Close the run of an attempt that is being stopped, in a few seconds; another attempt goes on with it."""
        ...


class NullTracker:
    """Shows nothing to nobody."""

    url: str | None = None
    """There is no address."""

    def start(self, run_name: str, job_type: str, config: Mapping[str, object]) -> None:
        """Do nothing."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Do nothing."""

    def log_results(
        self, metrics: Mapping[str, float], samples: Sequence[tuple[str, str]], pictures: Mapping[str, Path]
    ) -> None:
        """Do nothing."""

    def use_artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, object]) -> None:
        """Do nothing."""

    def log_artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, object]) -> None:
        """Do nothing."""

    def finish(self, exit_code: int = 0) -> None:
        """Do nothing."""

    def interrupt(self) -> None:
        """Do nothing."""


def tracked_config(config: RunConfig, *packages: str) -> dict[str, Any]:
    """Return what a tracked run records: huggingtweets' keys, versions, and the whole resolved run.

    A run configuration holds no secrets; they are in the environment alone.
    """
    return {
        "version": version_of("tweetbot-operator"),
        "handles": config.handles,
        "seed_data": config.training.seed,
        "versions": {name: version_of(name) for name in packages},
        "run": config.to_wire(),
    }


def open_tracker(config: WandbConfig, bot: BotIdentity, job_kind: JobKind, work_dir: Path, store: Store) -> Tracker:
    """Return the tracker that the configuration asks for; every attempt of a half run has the same W&B id."""
    if config.mode == "disabled":
        return NullTracker()
    from tweetbot_trainer.wandb_tracker import WandbTracker

    run_key = digest(bot.uid, bot.run_id, job_kind)
    return WandbTracker(config, run_key, f"{job_kind}-{bot.attempt}", work_dir, store)
