"""What the bots of a Job learn, read ahead of their turns, so that the engine waits for no store."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from tweetbot_api.messages import BotOutcome
from tweetbot_trainer.checkpoint import Checkpoint, Checkpoints, remove_checkpoints
from tweetbot_trainer.control import Control
from tweetbot_trainer.fused.batch import Learner
from tweetbot_trainer.fused.course import StoppedError
from tweetbot_trainer.generate import check_prompts
from tweetbot_trainer.hub import push_model
from tweetbot_trainer.job_log import logged_to
from tweetbot_trainer.member import Member
from tweetbot_trainer.models import LanguageModel
from tweetbot_trainer.output_manifest import read_output_manifest
from tweetbot_trainer.pipeline import training_identity
from tweetbot_trainer.stored_dataset import StoredDataset, read_dataset, tokenize
from tweetbot_trainer.together.learner import make_learner
from tweetbot_trainer.together.snapshots import from_checkpoint

logger = logging.getLogger(__name__)

_READ_AHEAD: Final = 4
"""Datasets in memory that wait for a slot."""
_LOOK_SECONDS: Final = 0.2
"""Time between two looks at whether to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """What all bots of a Job begin with."""

    language_model: LanguageModel
    """The model, on the device."""
    fingerprint: str
    """Of its files."""
    parameter_names: list[str]
    """In the order in which AdamW numbers them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What one bot is going to learn."""

    dataset: StoredDataset
    """Its posts."""
    learner: Learner
    """The same in the words of the engine."""
    checkpoints: Checkpoints
    """Where it is saved on the way."""
    found: Checkpoint | None
    """Where an earlier attempt left off; `learner` begins there."""


class Reader:
    """Reads in threads of its own, which end with the block."""

    def __init__(self, base: BaseModel, is_asked_to_stop: Callable[[], bool]) -> None:
        self._base = base
        self._is_asked_to_stop = is_asked_to_stop
        self._threads = ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="read")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, Lesson | BotOutcome | Exception]]:
        """Yield each member with what it has to learn, with the outcome of a run that is finished, or what went wrong.

        A few are under way before they are asked for. Raises StoppedError when asked to stop.
        """
        for member, future in self._ahead(members):
            while not wait([future], timeout=_LOOK_SECONDS).done:
                if self._is_asked_to_stop():
                    raise StoppedError
            try:
                yield member, future.result()
            except Exception as error:  # noqa: BLE001 - one bot's failure is its own
                yield member, error

    def _ahead(self, members: Sequence[Member]) -> Iterator[tuple[Member, Future[Lesson | BotOutcome]]]:
        waiting: deque[tuple[Member, Future[Lesson | BotOutcome]]] = deque()
        for member in members:
            waiting.append((member, self._threads.submit(copy_context().run, self._read, member)))
            if len(waiting) > _READ_AHEAD:
                yield waiting.popleft()
        yield from waiting

    def _read(self, member: Member) -> Lesson | BotOutcome:
        config, store, language_model = member.config, member.store, self._base.language_model
        with logged_to(member.log_file):
            if finished := read_output_manifest(store):
                logger.info("run is finished already sha256=%s", finished.manifest_sha256)
                remove_checkpoints(store)
                return finished.model_copy(update={"hugging_face": push_model(config, store, member.work_dir)})
            check_prompts(language_model, config.generation)
            dataset = read_dataset(config, store)
            blocks, held_out = tokenize(config, dataset.parts, language_model)
            identity = training_identity(config, self._base.fingerprint, blocks)
            checkpoints = Checkpoints(store, identity, member.work_dir, Control())
            found = checkpoints.newest()
            start = from_checkpoint(found, self._base.parameter_names) if found else None
            learner = make_learner(config, blocks, held_out, language_model, start)
            return Lesson(dataset=dataset, learner=learner, checkpoints=checkpoints, found=found)
