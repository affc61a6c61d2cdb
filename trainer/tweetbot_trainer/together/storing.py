"""What trained bots leave behind, written and stored in the background while others are trained."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import torch
from transformers import GPT2LMHeadModel

from tweetbot_api.messages import BotOutcome
from tweetbot_trainer.checkpoint import remove_checkpoints
from tweetbot_trainer.engine import uses_bf16
from tweetbot_trainer.evaluate import make_evaluation
from tweetbot_trainer.fused.batch import Trained
from tweetbot_trainer.fused.course import StoppedError
from tweetbot_trainer.job_log import logged_to
from tweetbot_trainer.language import main_language
from tweetbot_trainer.member import Member
from tweetbot_trainer.models import LanguageModel
from tweetbot_trainer.pipeline import device_name
from tweetbot_trainer.publish import TrainedBot, publish
from tweetbot_trainer.stored_dataset import seed_of
from tweetbot_trainer.text_measures import add_writing
from tweetbot_trainer.together.learner import texts_of
from tweetbot_trainer.together.running import Running

_STORED_AT_ONCE: Final = 2
_MOST_UNDER_WAY: Final = 6
"""Models in host memory; with more, those that are still to be trained wait."""
_LOOK_SECONDS: Final = 0.2
"""Time between two looks at whether to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A trained bot, with all that its card tells."""

    running: Running
    """How its training went."""
    trained: Trained
    """What came of it."""

    @property
    def member(self) -> Member:
        """Whose result it is."""
        return self.running.member


class Publisher:
    """Publishes in threads of its own; the end of the block waits for them, unless it is broken off."""

    def __init__(self, language_model: LanguageModel) -> None:
        self._language_model = language_model
        self._threads = ThreadPoolExecutor(_STORED_AT_ONCE, thread_name_prefix="publish")
        self._under_way: dict[Future[BotOutcome], Result] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=kind is None)

    @property
    def members(self) -> list[Member]:
        """The bots that are not told of yet."""
        return [result.member for result in self._under_way.values()]

    def publish(self, result: Result, is_asked_to_stop: Callable[[], bool]) -> None:
        """Publish a bot as soon as a thread is free; return when there is room for another one."""
        future = self._threads.submit(copy_context().run, self._publish, result)
        self._under_way[future] = result
        self._wait_for(_MOST_UNDER_WAY - 1, is_asked_to_stop)

    def finish(self, is_asked_to_stop: Callable[[], bool]) -> None:
        """Wait until all are published; raise StoppedError when asked to stop before that."""
        self._wait_for(0, is_asked_to_stop)
        if any(not future.done() for future in self._under_way):
            raise StoppedError

    def stop(self) -> list[Result]:
        """Return the bots whose publication was not begun, and now is not going to be."""
        given_up = [future for future in self._under_way if future.cancel()]
        return [self._under_way.pop(future) for future in given_up]

    def ended(self, seconds: float | None = 0.0) -> Iterator[tuple[Member, BotOutcome | Exception]]:
        """Yield the bots whose publication ends within these seconds, once each, with how it ended; all with None."""
        done, _ = wait(self._under_way, timeout=seconds)
        for future in done:
            member = self._under_way.pop(future).member
            error = future.exception()
            if error is None:
                yield member, future.result()
            elif isinstance(error, Exception):
                yield member, error

    def _wait_for(self, most: int, is_asked_to_stop: Callable[[], bool]) -> None:
        """Wait until no more than so many are under way, or until asked to stop."""
        while len(waiting := [future for future in self._under_way if not future.done()]) > most:
            if is_asked_to_stop():
                return
            wait(waiting, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)

    def _publish(self, result: Result) -> BotOutcome:
        member, dataset, metrics = result.member, result.running.dataset, result.running.metrics
        config = member.config
        with logged_to(member.log_file):
            if result.running.saving:
                result.running.saving.result()
            samples, measured_posts = texts_of(config, result.trained.posts, self._language_model)
            evaluation = None
            if result.trained.loss is not None and result.trained.base_loss is not None:
                metrics.add_held_out(0, result.trained.base_loss)
                metrics.add_held_out(metrics.num_steps, result.trained.loss)
                evaluation = make_evaluation(result.trained.loss, result.trained.base_loss)
            evaluation = add_writing(evaluation, measured_posts, dataset.learned, seed_of(config))
            metrics.add_writing(evaluation)
            device = self._language_model.model.device
            bot = TrainedBot(
                config=config,
                info=dataset.info,
                language_model=_with_weights(self._language_model, result.trained.weights),
                evaluation=evaluation,
                samples=samples,
                language=config.cleaning.language or main_language(dataset.learned),
                avatars=dataset.avatars,
                measured_posts=measured_posts,
                metrics=metrics,
                device=device_name(device),
                arithmetic="bf16" if uses_bf16(config.training, device) else "fp32",
                engine="fused",
            )
            outcome = publish(bot, member.store, member.reporter, member.tracker, member.work_dir)
            remove_checkpoints(member.store)
            # Here, because it may take a while, and the thread that trains must not wait for it.
            member.tracker.finish()
            return outcome


def _with_weights(language_model: LanguageModel, weights: dict[str, torch.Tensor]) -> LanguageModel:
    """Return a model of its own with these weights, in host memory."""
    assert isinstance(language_model.model, GPT2LMHeadModel), "fusible"  # noqa: S101 - the batch has looked
    with torch.device("meta"):
        model = GPT2LMHeadModel(language_model.model.config)
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    return LanguageModel(model=model, tokenizer=language_model.tokenizer, separator=language_model.separator)
