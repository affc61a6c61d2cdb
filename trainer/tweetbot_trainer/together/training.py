"""The train half of many runs in one process: bots of one base model, trained together by the fused engine.

While some are trained, the datasets of the next are read, and what others have learned is stored. How a bot ends never
touches another. A base model that the engine cannot train, and a memory that holds no second bot, lead back to one bot
after the other.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from transformers import GPT2LMHeadModel, set_seed

from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_trainer.base_model import fingerprint, resolve_base_model
from tweetbot_trainer.engine import device_errors_named, uses_bf16
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.fused.batch import FusedBatch, Learner, Trained
from tweetbot_trainer.fused.capacity import num_slots
from tweetbot_trainer.fused.course import Losses, Pause, Snapshot, StoppedError
from tweetbot_trainer.fused.gpt2 import why_not_fusible
from tweetbot_trainer.fused.weights import Layout
from tweetbot_trainer.interruption import Interrupted, sigterm_asks
from tweetbot_trainer.job_log import logged_to
from tweetbot_trainer.member import Member
from tweetbot_trainer.pipeline import load_base_model, train_bot
from tweetbot_trainer.random_states import restore_random_states
from tweetbot_trainer.stored_dataset import seed_of
from tweetbot_trainer.together.keeping import Keeper
from tweetbot_trainer.together.reading import BaseModel, Lesson, Reader
from tweetbot_trainer.together.running import Running
from tweetbot_trainer.together.storing import Publisher, Result

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 40.0
"""What may be taken of the pod's grace time (60 s) to save and publish; the rest is for telling of it."""

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
    base = BaseModel(
        language_model=language_model,
        fingerprint=fingerprint(folder),
        parameter_names=list(Layout.of(dict(language_model.model.named_parameters())).shapes),
    )
    with Publisher(language_model) as publisher:
        _Batch(members, base, publisher, on_end).run()


def _train_alone(member: Member, on_end: OnEnd) -> None:
    with logged_to(member.log_file):
        try:
            on_end(member, train_bot(member.config, member.store, member.reporter, member.tracker, member.work_dir))
        except Interrupted as interruption:
            raise Interrupted(saved=[member.config.bot.uid] if interruption.has_checkpoint else ()) from interruption
        except Exception as error:  # noqa: BLE001 - one bot's failure is its own
            on_end(member, error)


class _Batch:
    """All bots of one Job on their way."""

    def __init__(self, members: Sequence[Member], base: BaseModel, publisher: Publisher, on_end: OnEnd) -> None:
        assert isinstance(base.language_model.model, GPT2LMHeadModel), "fusible"  # noqa: S101 - the caller has looked
        self._members = members
        self._recipes = [member.config.training for member in members]
        self._base = base
        self._model = base.language_model.model
        self._dtype = torch.bfloat16 if uses_bf16(self._recipes[0], self._model.device) else torch.float32
        self._publisher = publisher
        self._on_end = on_end
        self._ended: set[str] = set()
        self._tracked: set[str] = set()
        self._running: dict[str, Running] = {}
        self._is_begun = False
        """A step was made, or a bot has brought the states of the random generators."""

    def run(self) -> None:
        """Train all; with fewer at once if the memory does not hold so many."""
        slots = self._num_slots()
        while True:
            try:
                with device_errors_named():
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
        waiting = [member for member in self._members if not self._is_over(member)]
        logger.info("bots are trained together bots=%d slots=%d", len(waiting), slots)
        set_seed(seed_of(self._members[0].config))
        self._running.clear()
        self._is_begun = False
        with sigterm_asks() as is_asked, Keeper(self._model.device) as keeper:
            batch = self._make_batch(slots, is_asked)
            try:
                with Reader(self._base, is_asked) as reader:
                    self._follow(batch.run(self._learners(waiting, reader)), batch, keeper, is_asked)
                self._publisher.finish(is_asked)
            except StoppedError:
                raise Interrupted(saved=self._save(batch, keeper)) from None
            finally:
                self._collect()

    def _make_batch(self, slots: int, is_asked_to_stop: Callable[[], bool]) -> FusedBatch:
        recipe = self._recipes[0]
        return FusedBatch(
            self._model,
            num_slots=slots,
            num_rows=max(recipe.batch_size for recipe in self._recipes),
            num_tokens=recipe.block_size,
            compute_dtype=self._dtype,
            weight_decay=recipe.weight_decay,
            is_asked_to_stop=is_asked_to_stop,
        )

    def _follow(
        self,
        events: Iterator[Losses | Trained | Pause],
        batch: FusedBatch,
        keeper: Keeper,
        is_asked_to_stop: Callable[[], bool],
    ) -> None:
        for event in events:
            self._is_begun = True
            match event:
                case Losses():
                    self._note(event)
                case Trained():
                    self._publish(event, is_asked_to_stop)
                case Pause():
                    for key in set(batch.in_training) - self._running.keys():
                        batch.drop(key)
                    self._measure(batch)
                    keeper.at_pause(batch, self._in_training(batch))
            self._collect()

    def _save(self, batch: FusedBatch, keeper: Keeper) -> set[str]:
        """Save what was learned when the pod is stopped; return whose checkpoints are stored."""
        deadline = time.monotonic() + STOP_SECONDS
        trained = {}
        for result in self._publisher.stop():
            self._running[result.trained.key] = result.running
            trained[result.trained.key] = Snapshot(
                step=result.running.num_steps, weights=result.trained.weights, first_moments={}, second_moments={}
            )
        saved = keeper.save_all(batch, self._running, trained, STOP_SECONDS)
        self._collect(deadline - time.monotonic())
        return saved

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
        self._collect(seconds=None)

    def _learners(self, members: Sequence[Member], reader: Reader) -> Iterator[Learner]:
        """Yield the bots that have something to learn; the others end here."""
        for member, found in reader.read(members):
            try:
                learner = self._begin(member, found) if isinstance(found, Lesson) else None
            except Exception as error:  # noqa: BLE001 - one bot's failure is its own
                self._end(member, error)
                continue
            if learner:
                yield learner
            elif not isinstance(found, Lesson):
                self._end(member, found)

    def _begin(self, member: Member, lesson: Lesson) -> Learner:
        uid = member.config.bot.uid
        with logged_to(member.log_file):
            self._running[uid] = Running(member, lesson, is_tracked=uid in self._tracked)
        self._tracked.add(uid)
        if lesson.found and not self._is_begun:
            # With dropout, bots that were all stopped together go on as if they had not been.
            restore_random_states(lesson.found.own.tensors, lesson.found.own.facts, self._model.device)
            self._is_begun = True
        return lesson.learner

    def _in_training(self, batch: FusedBatch) -> list[Running]:
        return [self._running[key] for key in batch.in_training]

    def _note(self, event: Losses) -> None:
        """Tell the metrics of a bot's last steps; end a bot whose loss is no number, or that nobody waits for."""
        running = self._running.get(event.key)
        if running is None:
            return
        try:
            with logged_to(running.member.log_file):
                running.note(event)
        except Exception as error:  # noqa: BLE001 - one bot's failure is its own
            del self._running[event.key]
            self._end(running.member, error)

    def _measure(self, batch: FusedBatch) -> None:
        """Tell the held-out losses of the bots whose recipes ask for them at this step."""
        for running in self._in_training(batch):
            if running.is_to_be_measured:
                running.metrics.add_held_out(running.step, batch.held_out_loss(running.member.config.bot.uid))

    def _publish(self, trained: Trained, is_asked_to_stop: Callable[[], bool]) -> None:
        if running := self._running.pop(trained.key, None):
            self._publisher.publish(Result(running=running, trained=trained), is_asked_to_stop)

    def _collect(self, seconds: float | None = 0.0) -> None:
        """Tell of the bots that are stored within these seconds, of all with None."""
        for member, result in self._publisher.ended(seconds):
            self._end(member, result)
