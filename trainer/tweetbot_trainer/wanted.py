"""The end of a bot that nobody waits for any more: it was deleted, suspended or given a new run while it was worked on.

Its neighbours go on. From the moment that it is known, nothing is written for it.
"""

from collections.abc import Callable
from pathlib import Path

from tweetbot_api.conditions import Reason
from tweetbot_api.status import Stage
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.progress import Reporter


class UnwantedError(TrainerError):
    """The operator has said that this attempt is not the bot's any more."""

    def __init__(self) -> None:
        super().__init__(Reason.INTERRUPTED, "the bot was deleted, suspended or given a new run; nobody waits for this")


class HeedfulReporter:
    """Reports as another one does, and raises UnwantedError once the bot is not wanted."""

    def __init__(self, reporter: Reporter, is_wanted: Callable[[], bool]) -> None:
        self._reporter = reporter
        self._is_wanted = is_wanted

    def report(
        self,
        stage: Stage,
        fraction: float,
        *,
        step: int | None = None,
        total_steps: int | None = None,
        loss: float | None = None,
        tokens_per_second: float | None = None,
        eta_seconds: int | None = None,
    ) -> None:
        """Pass it on."""
        _require(self._is_wanted)
        self._reporter.report(
            stage,
            fraction,
            step=step,
            total_steps=total_steps,
            loss=loss,
            tokens_per_second=tokens_per_second,
            eta_seconds=eta_seconds,
        )


class HeedfulStore:
    """A store that lets nothing be written or deleted, and raises UnwantedError, once the bot is not wanted."""

    def __init__(self, store: Store, is_wanted: Callable[[], bool]) -> None:
        self._store = store
        self._is_wanted = is_wanted
        self.uri = store.uri
        self.exists = store.exists
        self.read_bytes = store.read_bytes
        self.download = store.download
        self.list = store.list
        self.files = store.files
        self.holds = store.holds

    def write_bytes(self, key: str, data: bytes) -> None:
        """Store the content."""
        _require(self._is_wanted)
        self._store.write_bytes(key, data)

    def create(self, key: str, data: bytes) -> bool:
        """Store the content unless there is some already."""
        _require(self._is_wanted)
        return self._store.create(key, data)

    def upload(self, path: Path, key: str) -> None:
        """Store a local file."""
        _require(self._is_wanted)
        self._store.upload(path, key)

    def delete(self, key: str) -> None:
        """Remove the file."""
        _require(self._is_wanted)
        self._store.delete(key)

    def discard_unfinished(self) -> None:
        """Free what earlier writes left unfinished."""
        _require(self._is_wanted)
        self._store.discard_unfinished()


def _require(is_wanted: Callable[[], bool]) -> None:
    if not is_wanted():
        raise UnwantedError
