"""The train half of many runs in one process: bots of one base model, trained together by the fused engine.

While some are trained, the datasets of the next are read, and what others have learned is stored. How a bot ends never
touches another. A base model that the engine cannot train, and a memory that holds no second bot, lead back to one bot
after the other.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel, set_seed

from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_trainer.base_model import resolve_base_model
from tweetbot_trainer.engine import memory_errors_named, uses_bf16
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.fused.batch import FusedBatch, Learner, Trained
from tweetbot_trainer.fused.capacity import num_slots
from tweetbot_trainer.fused.engine import Course, Losses
from tweetbot_trainer.fused.gpt2 import why_not_fusible
from tweetbot_trainer.job_log import logged_to
from tweetbot_trainer.lineage import start_training
from tweetbot_trainer.member import Member
from tweetbot_trainer.meter import Meter
from tweetbot_trainer.metrics_log import MetricsLog
from tweetbot_trainer.models import LanguageModel
from tweetbot_trainer.pipeline import load_base_model, train_bot
from tweetbot_trainer.stored_dataset import StoredDataset, seed_of
from tweetbot_trainer.together.reading import Lesson, Reader
from tweetbot_trainer.together.storing import Publisher, Result
from tweetbot_trainer.train import STEPS_PER_REPORT

logger = logging.getLogger(__name__)

OnEnd = Callable[[Member, BotOutcome | Exception], None]


def train_together(members: Sequence[Member], work_dir: Path, on_end: OnEnd) -> None:
    """Train all bots; call `on_end` for each, from this thread, with its outcome or with what went wrong."""
    first = members[0].config
    try:
        folder = resolve_base_model(first.base_model, first.output, work_dir)
        language_model = load_base_model(first, folder)
    except Exception as error:  # noqa: BLE001 - without the base model all end alike
        for member in members:
            on_end(member, error)
        return
    if why_not := why_not_fusible(language_model.model):
        logger.info("bots are trained one after the other because %s", why_not)
        for member in members:
            _train_alone(member, on_end)
        return
    with Publisher(language_model) as publisher:
        _Batch(members, language_model, publisher, on_end).run()


def _train_alone(member: Member, on_end: OnEnd) -> None:
    with logged_to(member.log_file):
        try:
            on_end(member, train_bot(member.config, member.store, member.reporter, member.tracker, member.work_dir))
        except Exception as error:  # noqa: BLE001 - one bot's failure is its own
            on_end(member, error)


@dataclass(slots=True, kw_only=True)
class _Running:
    """A bot from its first step to its last."""

    member: Member
    dataset: StoredDataset
    course: Course
    metrics: MetricsLog
    meter: Meter


class _Batch:
    """All bots of one Job on their way."""

    def __init__(
        self, members: Sequence[Member], language_model: LanguageModel, publisher: Publisher, on_end: OnEnd
    ) -> None:
        assert isinstance(language_model.model, GPT2LMHeadModel), "fusible"  # noqa: S101 - the caller has looked
        self._members = members
        self._recipes = [member.config.training for member in members]
        self._language_model = language_model
        self._model = language_model.model
        self._dtype = torch.bfloat16 if uses_bf16(self._recipes[0], self._model.device) else torch.float32
        self._publisher = publisher
        self._on_end = on_end
        self._ended: set[str] = set()
        self._tracked: set[str] = set()
        self._running: dict[str, _Running] = {}

    def run(self) -> None:
        """Train all; with fewer at once if the memory does not hold so many."""
        slots = self._num_slots()
        while True:
            try:
                with memory_errors_named():
                    self._train(slots)
                return
            except TrainerError as error:
                if error.reason != Reason.OUT_OF_MEMORY or slots == 1:
                    self._end_all(error)
                    return
                slots //= 2
                logger.warning("memory ran out and fewer bots are trained at once slots=%d", slots)
            except Exception as error:  # noqa: BLE001 - what breaks the pass breaks all that take part in it
                self._end_all(error)
                return

    def _train(self, slots: int) -> None:
        recipe = self._recipes[0]
        set_seed(seed_of(self._members[0].config))
        batch = FusedBatch(
            self._model,
            num_slots=slots,
            num_rows=max(recipe.batch_size for recipe in self._recipes),
            num_tokens=recipe.block_size,
            compute_dtype=self._dtype,
            weight_decay=recipe.weight_decay,
        )
        self._running.clear()
        waiting = [member for member in self._members if not self._is_over(member)]
        logger.info("bots are trained together bots=%d slots=%d", len(waiting), slots)
        try:
            with Reader(self._language_model) as reader:
                for event in batch.run(self._learners(waiting, reader)):
                    if isinstance(event, Losses):
                        self._note(event)
                    else:
                        self._store(event)
                    self._collect()
        finally:
            self._collect(wait=True)

    def _num_slots(self) -> int:
        num_tokens = self._recipes[0].block_size * max(recipe.batch_size for recipe in self._recipes)
        fitting = num_slots(
            self._model.config, self._model.num_parameters(), num_tokens, self._dtype, self._model.device
        )
        return min(fitting, len(self._members))

    def _is_over(self, member: Member) -> bool:
        return member.config.bot.uid in self._ended or member in self._publisher.members

    def _end(self, member: Member, result: BotOutcome | Exception) -> None:
        self._ended.add(member.config.bot.uid)
        self._on_end(member, result)

    def _end_all(self, error: Exception) -> None:
        for member in self._members:
            if not self._is_over(member):
                self._end(member, error)

    def _learners(self, members: Sequence[Member], reader: Reader) -> Iterator[Learner]:
        """Yield the bots that have something to learn; the others end here."""
        for member, found in reader.read(members):
            if isinstance(found, Lesson):
                yield self._begin(member, found)
            else:
                self._end(member, found)

    def _begin(self, member: Member, lesson: Lesson) -> Learner:
        config, course = member.config, lesson.learner.course
        with logged_to(member.log_file):
            member.reporter.report("Training", 0)
            if config.bot.uid not in self._tracked:
                self._tracked.add(config.bot.uid)
                start_training(config, lesson.dataset.parts.train, member.tracker, member.work_dir)
            metrics = MetricsLog(member.work_dir, member.reporter, member.tracker)
        self._running[course.key] = _Running(
            member=member,
            dataset=lesson.dataset,
            course=course,
            metrics=metrics,
            meter=Meter(num_steps=len(course.batches), tokens_per_block=config.training.block_size),
        )
        return lesson.learner

    def _note(self, event: Losses) -> None:
        """Tell the metrics of a bot's last steps; end a bot whose loss is no number."""
        running = self._running[event.key]
        course = running.course
        try:
            with logged_to(running.member.log_file):
                for step, loss in enumerate(event.losses, start=event.first_step):
                    running.meter.add(torch.tensor(loss), len(course.batches[step - 1]))
                    is_last = step == len(course.batches) or not math.isfinite(loss)
                    if step % STEPS_PER_REPORT == 0 or is_last:
                        running.metrics.add_step(running.meter.report(step, course.learning_rates[step - 1]))
        except Exception as error:  # noqa: BLE001 - one bot's failure is its own
            del self._running[event.key]
            self._end(running.member, error)

    def _store(self, trained: Trained) -> None:
        running = self._running.pop(trained.key, None)
        if running:
            self._publisher.publish(
                Result(member=running.member, dataset=running.dataset, metrics=running.metrics, trained=trained)
            )

    def _collect(self, *, wait: bool = False) -> None:
        """Tell of the bots that are stored."""
        for member, result in self._publisher.ended(wait=wait):
            self._end(member, result)
