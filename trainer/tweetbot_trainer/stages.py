"""The halves of a run as a Job calls them, each imported only by the Job that does it: training alone needs torch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tweetbot_api import names
from tweetbot_api.messages import BotOutcome
from tweetbot_api.runconfig import RunConfig, RunManifest
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.member import Member
from tweetbot_trainer.progress import Reporter
from tweetbot_trainer.tracking import Tracker


class StageFunction(Protocol):
    """One half of a run: `prepare.prepare` or `pipeline.train_bot`."""

    def __call__(
        self, config: RunConfig, store: Store, reporter: Reporter, tracker: Tracker, work_dir: Path
    ) -> BotOutcome:
        """Do it, or raise TrainerError."""
        ...


class BatchFunction(Protocol):
    """One half of many runs at once: `together.training.train_together`."""

    def __call__(
        self, members: Sequence[Member], work_dir: Path, on_end: Callable[[Member, BotOutcome | Exception], None]
    ) -> None:
        """Do it, and tell once of each how it ended."""
        ...


def load_stage(kind: names.JobKind) -> StageFunction:
    """Import and return the function that does this half of a run: only training needs torch."""
    if kind == "prepare":
        from tweetbot_trainer.prepare import prepare

        return prepare
    if kind == "purge":
        from tweetbot_trainer.purge import purge

        return purge
    from tweetbot_trainer.pipeline import train_bot

    return train_bot


def load_together(manifest: RunManifest) -> BatchFunction | None:
    """Import and return the function that trains this batch of bots as one, None if it is not to be had."""
    if manifest.job_kind != "train" or len(manifest.bots) == 1:
        return None
    from tweetbot_trainer.together.alike import may_be_together
    from tweetbot_trainer.together.training import train_together

    return train_together if may_be_together(manifest.bots) else None
