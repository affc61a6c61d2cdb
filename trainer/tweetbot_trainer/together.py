"""The train half of many runs in one process: bots of one base model, trained together by the fused engine.

While some are trained, the datasets of the next are read, and what others have learned is stored. How a bot ends never
touches another. A base model that the engine cannot train, and a memory that holds no second bot, lead back to one bot
after the other.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from transformers import GPT2LMHeadModel, set_seed

from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_api.runconfig import RunConfig
from tweetbot_api.spec import DeepSpeed
from tweetbot_trainer.base_model import resolve_base_model
from tweetbot_trainer.engine import memory_errors_named, uses_bf16
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.evaluate import make_evaluation
from tweetbot_trainer.fused.batch import FusedBatch, Learner, Trained
from tweetbot_trainer.fused.capacity import num_slots
from tweetbot_trainer.fused.engine import Course, Losses
from tweetbot_trainer.fused.gpt2 import why_not_fusible
from tweetbot_trainer.generate import check_prompts
from tweetbot_trainer.hub import push_model
from tweetbot_trainer.job_log import logged_to
from tweetbot_trainer.language import main_language
from tweetbot_trainer.learner import make_learner, texts_of
from tweetbot_trainer.lineage import start_training
from tweetbot_trainer.member import Member
from tweetbot_trainer.meter import Meter
from tweetbot_trainer.metrics_log import MetricsLog
from tweetbot_trainer.models import LanguageModel
from tweetbot_trainer.output_manifest import read_output_manifest
from tweetbot_trainer.pipeline import device_name, load_base_model, train_bot
from tweetbot_trainer.publish import TrainedBot, publish
from tweetbot_trainer.stored_dataset import StoredDataset, read_dataset, seed_of
from tweetbot_trainer.text_measures import add_writing
from tweetbot_trainer.train import STEPS_PER_REPORT

logger = logging.getLogger(__name__)

_READ_AHEAD: Final = 4
"""Datasets in memory that wait for a slot."""
_STORED_AT_ONCE: Final = 2


_Reading = tuple[StoredDataset, Learner] | BotOutcome
OnEnd = Callable[[Member, BotOutcome | Exception], None]


def may_be_together(configs: Sequence[RunConfig]) -> bool:
    """Tell whether the engine has all that these runs ask for, as far as the runs alone tell."""
    recipes = [config.training for config in configs]
    return len(configs) > 1 and all(
        recipe.method == "full"
        and recipe.early_stopping is None
        and recipe.eval_steps is None
        and recipe.checkpoint_steps is None
        and recipe.gradient_accumulation_steps == 1
        and recipe.deepspeed == DeepSpeed()
        and (recipe.block_size, recipe.precision, recipe.weight_decay)
        == (recipes[0].block_size, recipes[0].precision, recipes[0].weight_decay)
        and config.base_model == configs[0].base_model
        for recipe, config in zip(recipes, configs, strict=True)
    )


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
    _Batch(members, language_model, on_end).run()


def _train_alone(member: Member, on_end: OnEnd) -> None:
    with logged_to(member.log_file):
        try:
            on_end(member, train_bot(member.config, member.store, member.reporter, member.tracker, member.work_dir))
        except Exception as error:  # noqa: BLE001 - one bot's failure is its own
            on_end(member, error)


@dataclass(slots=True, kw_only=True)
class _Running:
    """A bot from its first step to its publication."""

    member: Member
    dataset: StoredDataset
    course: Course
    metrics: MetricsLog
    meter: Meter


class _Batch:
    """All bots of one Job on their way."""

    def __init__(self, members: Sequence[Member], language_model: LanguageModel, on_end: OnEnd) -> None:
        assert isinstance(language_model.model, GPT2LMHeadModel), "fusible"  # noqa: S101 - the caller has looked
        self._members = members
        self._recipes = [member.config.training for member in members]
        self._language_model = language_model
        self._model = language_model.model
        self._dtype = torch.bfloat16 if uses_bf16(self._recipes[0], self._model.device) else torch.float32
        self._on_end = on_end
        self._ended: set[str] = set()
        self._tracked: set[str] = set()
        self._running: dict[str, _Running] = {}
        self._storing: dict[Future[BotOutcome], Member] = {}

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
        with ThreadPoolExecutor(_READ_AHEAD) as readers, ThreadPoolExecutor(_STORED_AT_ONCE) as storers:
            try:
                for event in batch.run(self._learners(waiting, readers)):
                    if isinstance(event, Losses):
                        self._note(event)
                    else:
                        self._store(event, storers)
                    self._collect(wait=False)
            finally:
                readers.shutdown(wait=False, cancel_futures=True)
                self._collect(wait=True)

    def _num_slots(self) -> int:
        num_tokens = self._recipes[0].block_size * max(recipe.batch_size for recipe in self._recipes)
        fitting = num_slots(
            self._model.config, self._model.num_parameters(), num_tokens, self._dtype, self._model.device
        )
        return min(fitting, len(self._members))

    def _is_over(self, member: Member) -> bool:
        return member.config.bot.uid in self._ended or member in self._storing.values()

    def _end(self, member: Member, result: BotOutcome | Exception) -> None:
        self._ended.add(member.config.bot.uid)
        self._on_end(member, result)

    def _end_all(self, error: Exception) -> None:
        for member in self._members:
            if not self._is_over(member):
                self._end(member, error)

    def _learners(self, members: Sequence[Member], readers: ThreadPoolExecutor) -> Iterator[Learner]:
        """Yield the bots that have something to learn; the others end here."""
        for member, reading in _ahead(readers, members, self._read):
            try:
                result = reading.result()
            except Exception as error:  # noqa: BLE001 - one bot's failure is its own
                self._end(member, error)
                continue
            if isinstance(result, BotOutcome):
                self._end(member, result)
                continue
            yield self._begin(member, *result)

    def _read(self, member: Member) -> _Reading:
        with logged_to(member.log_file):
            if finished := read_output_manifest(member.store):
                logger.info("run is finished already sha256=%s", finished.manifest_sha256)
                return finished.model_copy(
                    update={"hugging_face": push_model(member.config, member.store, member.work_dir)}
                )
            check_prompts(self._language_model, member.config.generation)
            dataset = read_dataset(member.config, member.store)
            return dataset, make_learner(member.config, dataset.parts, self._language_model)

    def _begin(self, member: Member, dataset: StoredDataset, learner: Learner) -> Learner:
        config = member.config
        with logged_to(member.log_file):
            member.reporter.report("Training", 0)
            if config.bot.uid not in self._tracked:
                self._tracked.add(config.bot.uid)
                start_training(config, dataset.parts.train, member.tracker, member.work_dir)
            metrics = MetricsLog(member.work_dir, member.reporter, member.tracker)
        self._running[learner.course.key] = _Running(
            member=member,
            dataset=dataset,
            course=learner.course,
            metrics=metrics,
            meter=Meter(num_steps=len(learner.course.batches), tokens_per_block=config.training.block_size),
        )
        return learner

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

    def _store(self, trained: Trained, storers: ThreadPoolExecutor) -> None:
        running = self._running.pop(trained.key, None)
        if running:
            future = storers.submit(copy_context().run, self._publish, running, trained)
            self._storing[future] = running.member

    def _collect(self, *, wait: bool) -> None:
        """Tell of the bots that are stored."""
        for future, member in list(self._storing.items()):
            if not (wait or future.done()):
                continue
            del self._storing[future]
            error = future.exception()
            if error is None:
                self._end(member, future.result())
            elif isinstance(error, Exception):
                self._end(member, error)

    def _publish(self, running: _Running, trained: Trained) -> BotOutcome:
        member, dataset, config = running.member, running.dataset, running.member.config
        with logged_to(member.log_file):
            samples, measured_posts = texts_of(config, trained.posts, self._language_model)
            evaluation = None
            if trained.loss is not None and trained.base_loss is not None:
                running.metrics.add_held_out(0, trained.base_loss)
                running.metrics.add_held_out(running.metrics.num_steps, trained.loss)
                evaluation = make_evaluation(trained.loss, trained.base_loss)
            evaluation = add_writing(evaluation, measured_posts, dataset.learned, seed_of(config))
            running.metrics.add_writing(evaluation)
            device = self._model.device
            bot = TrainedBot(
                config=config,
                info=dataset.info,
                language_model=self._with_weights(trained.weights),
                evaluation=evaluation,
                samples=samples,
                language=config.cleaning.language or main_language(dataset.learned),
                avatars=dataset.avatars,
                measured_posts=measured_posts,
                metrics=running.metrics,
                device=device_name(device),
                arithmetic="bf16" if uses_bf16(config.training, device) else "fp32",
            )
            outcome = publish(bot, member.store, member.reporter, member.tracker, member.work_dir)
            # Here, because it may take a while, and the thread that trains must not wait for it.
            member.tracker.finish()
            return outcome

    def _with_weights(self, weights: dict[str, torch.Tensor]) -> LanguageModel:
        """Return a model of its own with these weights, in host memory."""
        with torch.device("meta"):
            model = GPT2LMHeadModel(self._model.config)
        model.load_state_dict(weights, strict=False, assign=True)
        model.tie_weights()
        return LanguageModel(
            model=model, tokenizer=self._language_model.tokenizer, separator=self._language_model.separator
        )


def _ahead(
    pool: ThreadPoolExecutor, members: Sequence[Member], read: Callable[[Member], _Reading]
) -> Iterator[tuple[Member, Future[_Reading]]]:
    """Yield each member with its reading, of which a few are under way before they are asked for."""
    waiting: deque[tuple[Member, Future[_Reading]]] = deque()
    for member in members:
        waiting.append((member, pool.submit(copy_context().run, read, member)))
        if len(waiting) > _READ_AHEAD:
            yield waiting.popleft()
    yield from waiting
