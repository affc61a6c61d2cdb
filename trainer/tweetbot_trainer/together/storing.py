"""What trained bots leave behind, written and stored in the background while others are trained."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import torch
from transformers import GPT2LMHeadModel

from tweetbot_api.messages import BotOutcome
from tweetbot_trainer.engine import uses_bf16
from tweetbot_trainer.evaluate import make_evaluation
from tweetbot_trainer.fused.batch import Trained
from tweetbot_trainer.job_log import logged_to
from tweetbot_trainer.language import main_language
from tweetbot_trainer.member import Member
from tweetbot_trainer.metrics_log import MetricsLog
from tweetbot_trainer.models import LanguageModel
from tweetbot_trainer.pipeline import device_name
from tweetbot_trainer.publish import TrainedBot, publish
from tweetbot_trainer.stored_dataset import StoredDataset, seed_of
from tweetbot_trainer.text_measures import add_writing
from tweetbot_trainer.together.learner import texts_of

_STORED_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A trained bot, with all that its card tells."""

    member: Member
    """Whose result it is."""
    dataset: StoredDataset
    """What it learned from."""
    metrics: MetricsLog
    """How the training went."""
    trained: Trained
    """What came of it."""


class Publisher:
    """Publishes in threads of its own; the end of the block waits for them."""

    def __init__(self, language_model: LanguageModel) -> None:
        self._language_model = language_model
        self._threads = ThreadPoolExecutor(_STORED_AT_ONCE, thread_name_prefix="publish")
        self._under_way: dict[Future[BotOutcome], Member] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown()

    @property
    def members(self) -> list[Member]:
        """The bots that are not told of yet."""
        return list(self._under_way.values())

    def publish(self, result: Result) -> None:
        """Publish a bot as soon as a thread is free."""
        future = self._threads.submit(copy_context().run, self._publish, result)
        self._under_way[future] = result.member

    def ended(self, *, wait: bool = False) -> Iterator[tuple[Member, BotOutcome | Exception]]:
        """Yield the bots whose publication has ended, once each, with the outcome or what went wrong."""
        for future, member in list(self._under_way.items()):
            if not (wait or future.done()):
                continue
            error = future.exception()
            del self._under_way[future]
            if error is None:
                yield member, future.result()
            elif isinstance(error, Exception):
                yield member, error

    def _publish(self, result: Result) -> BotOutcome:
        member, dataset, config = result.member, result.dataset, result.member.config
        with logged_to(member.log_file):
            samples, measured_posts = texts_of(config, result.trained.posts, self._language_model)
            evaluation = None
            if result.trained.loss is not None and result.trained.base_loss is not None:
                result.metrics.add_held_out(0, result.trained.base_loss)
                result.metrics.add_held_out(result.metrics.num_steps, result.trained.loss)
                evaluation = make_evaluation(result.trained.loss, result.trained.base_loss)
            evaluation = add_writing(evaluation, measured_posts, dataset.learned, seed_of(config))
            result.metrics.add_writing(evaluation)
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
                metrics=result.metrics,
                device=device_name(device),
                arithmetic="bf16" if uses_bf16(config.training, device) else "fp32",
            )
            outcome = publish(bot, member.store, member.reporter, member.tracker, member.work_dir)
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
