"""What the bots of a Job learn, read ahead of their turns, so that the engine waits for no store."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from tweetbot_api.messages import BotOutcome
from tweetbot_trainer.fused.batch import Learner
from tweetbot_trainer.generate import check_prompts
from tweetbot_trainer.hub import push_model
from tweetbot_trainer.job_log import logged_to
from tweetbot_trainer.member import Member
from tweetbot_trainer.models import LanguageModel
from tweetbot_trainer.output_manifest import read_output_manifest
from tweetbot_trainer.stored_dataset import StoredDataset, read_dataset
from tweetbot_trainer.together.learner import make_learner

logger = logging.getLogger(__name__)

_READ_AHEAD: Final = 4
"""Datasets in memory that wait for a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What one bot is going to learn."""

    dataset: StoredDataset
    """Its posts."""
    learner: Learner
    """The same in the words of the engine."""


class Reader:
    """Reads in threads of its own, which end with the block."""

    def __init__(self, language_model: LanguageModel) -> None:
        self._language_model = language_model
        self._threads = ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="read")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, Lesson | BotOutcome | Exception]]:
        """Yield each member with what it has to learn, with the outcome of a run that is finished, or what went wrong.

        A few are under way before they are asked for.
        """
        for member, future in self._ahead(members):
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
        with logged_to(member.log_file):
            if finished := read_output_manifest(member.store):
                logger.info("run is finished already sha256=%s", finished.manifest_sha256)
                return finished.model_copy(
                    update={"hugging_face": push_model(member.config, member.store, member.work_dir)}
                )
            check_prompts(self._language_model, member.config.generation)
            dataset = read_dataset(member.config, member.store)
            return Lesson(dataset=dataset, learner=make_learner(member.config, dataset.parts, self._language_model))
