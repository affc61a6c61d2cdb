"""One bot of a Job, with what its run reads and writes."""

from dataclasses import dataclass
from pathlib import Path

from tweetbot_api.runconfig import RunConfig
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.progress import Reporter
from tweetbot_trainer.tracking import Tracker


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A bot while it is worked on."""

    config: RunConfig
    """Its run."""
    store: Store
    """Where the results go."""
    reporter: Reporter
    """Who is told how far it is."""
    tracker: Tracker
    """Where its metrics are shown."""
    work_dir: Path
    """Scratch space of its own."""
    log_file: Path
    """What it logs."""
