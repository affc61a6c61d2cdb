"""From texts to trained, measured and writing models, many at a time: what a Job does with its bots on the device.

Bots that are done wait in a bank of weights until it is full, so that measuring and writing are as fused as training
is; their slots train the next bots meanwhile. None waits for long: its owner does too.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

import torch
from torch import Tensor
from transformers import GPT2LMHeadModel

from tweetbot_trainer.fused.course import Course, Finished, Losses, Pause, Snapshot, StoppedError
from tweetbot_trainer.fused.decoding import Sampling, StackedWriter
from tweetbot_trainer.fused.engine import FusedTrainer
from tweetbot_trainer.fused.gpt2 import StackedGPT2, trainable_parameters
from tweetbot_trainer.fused.weights import Layout

BANKED_SECONDS: Final = 20.0
"""How long a bot that is done waits for others to be measured with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """One bot: what it learns, what it is measured on, and what it is asked to write."""

    course: Course
    """Its training."""
    held_out: Sequence[int]
    """Token ids of posts that it does not learn; fewer than two measure nothing."""
    prompts: Sequence[Sequence[int]]
    """Token ids that each post begins with, one entry per post."""
    sampling: Sampling
    """How it writes."""
    seed: int
    """Of its writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A bot at the end of its training."""

    key: str
    """Which bot."""
    weights: dict[str, Tensor]
    """Its fp32 parameters in host memory, by the names of the saved model."""
    loss: float | None
    """On the held-out posts, in nats per token."""
    base_loss: float | None
    """The same of the base model."""
    posts: list[list[int]]
    """Token ids of what it wrote behind each prompt."""


class FusedBatch:
    """Trains learners of one base model with `num_slots` at once; the other arguments are those of `FusedTrainer`."""

    def __init__(
        self,
        base: GPT2LMHeadModel,
        *,
        num_slots: int,
        num_rows: int,
        num_tokens: int,
        compute_dtype: torch.dtype,
        weight_decay: float,
        is_asked_to_stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parameters = trainable_parameters(base)
        self._layout = Layout.of(parameters)
        self._base = self._layout.row(parameters)
        self._bank = torch.empty(num_slots, self._layout.num_elements, device=base.device)
        self._network = StackedGPT2(base.config, compute_dtype)
        self._writer = StackedWriter(base.config, compute_dtype)
        self._num_tokens = num_tokens
        self._is_asked_to_stop = is_asked_to_stop
        self._clock = clock
        self._banked_since = 0.0
        self._running: dict[str, Learner] = {}
        self._banked: dict[str, tuple[int, Learner]] = {}
        """Bots that have made all their steps, and their places in the bank."""
        self._trainer = FusedTrainer(
            base,
            num_slots=num_slots,
            num_rows=num_rows,
            num_tokens=num_tokens,
            compute_dtype=compute_dtype,
            weight_decay=weight_decay,
        )

    def run(self, learners: Iterable[Learner]) -> Iterator[Losses | Trained | Pause]:
        """Train all; yield the losses of each as they come, and each bot when it is done.

        Raises StoppedError soon after being asked to stop, once all losses so far were told.
        """
        for event in self._trainer.run(self._courses(learners), self._is_asked_to_stop):
            match event:
                case Finished():
                    self._put(event)
                    if len(self._banked) == len(self._bank):
                        yield from self._finish()
                case Pause():
                    yield event
                    self._look()
                    if self._clock() - self._banked_since > BANKED_SECONDS:
                        yield from self._finish()
                case Losses():
                    yield event
                    if not math.isfinite(event.losses[-1]):
                        del self._running[event.key]
        yield from self._finish()

    @property
    def unfinished(self) -> list[str]:
        """The bots that are in a slot or in the bank."""
        return [*self._banked, *self._running]

    @property
    def in_training(self) -> list[str]:
        """The bots that are in a slot."""
        return list(self._running)

    def snapshot(self, key: str) -> Snapshot:
        """Return a copy of where the bot is now; raise KeyError if it is not here."""
        if key not in self._banked:
            return self._trainer.snapshot(key)
        place, learner = self._banked[key]
        weights = self._weights_on_host(place)
        return Snapshot(step=len(learner.course.batches), weights=weights, first_moments={}, second_moments={})

    def drop(self, key: str) -> None:
        """Give up a bot that is in training; its slot serves the next one. To be done at a pause."""
        self._trainer.drop(key)
        del self._running[key]

    def held_out_loss(self, key: str) -> float | None:
        """Return the loss, so far, of a bot that is in training; None if nothing was held out."""
        return self._held_out_losses(self._trainer.views(key), [self._running[key]])[0]

    def _courses(self, learners: Iterable[Learner]) -> Iterator[Course]:
        for learner in learners:
            course = learner.course
            self._running[course.key] = replace(learner, course=replace(course, start=None))
            yield course

    def _look(self) -> None:
        if self._is_asked_to_stop():
            raise StoppedError

    def _put(self, finished: Finished) -> None:
        place = len(self._banked)
        if place == 0:
            self._banked_since = self._clock()
        for name, view in self._layout.views(self._bank[place : place + 1]).items():
            view[0].copy_(finished.weights[name])
        self._banked[finished.key] = (place, self._running.pop(finished.key))

    def _weights_on_host(self, place: int) -> dict[str, Tensor]:
        row = self._bank[place : place + 1].to("cpu", copy=True)
        return {name: view[0] for name, view in self._layout.views(row).items()}

    def _finish(self) -> Iterator[Trained]:
        """Measure the bots in the bank, let them write, and move them to host memory."""
        learners = [learner for _, learner in self._banked.values()]
        if not learners:
            return
        bank = self._bank[: len(learners)]
        views = self._layout.views(bank)
        losses = self._held_out_losses(views, learners)
        base_losses = self._held_out_losses(self._layout.views(self._base.expand_as(bank)), learners)
        posts = self._write(bank, learners)
        for place, learner in enumerate(learners):
            self._look()
            weights = self._weights_on_host(place)
            del self._banked[learner.course.key]
            yield Trained(
                key=learner.course.key,
                weights=weights,
                loss=losses[place],
                base_loss=base_losses[place],
                posts=posts[place],
            )

    def _held_out_losses(self, views: Mapping[str, Tensor], learners: Sequence[Learner]) -> list[float | None]:
        """Return each bot's mean loss over windows of a block's length that do not overlap, as `evaluate` has it."""
        windows = [_windows(learner.held_out, self._num_tokens) for learner in learners]
        num_windows = max(map(len, windows))
        if num_windows == 0:
            return [None] * len(learners)
        ids = torch.zeros(len(learners), num_windows, self._num_tokens, dtype=torch.long)
        weights = torch.zeros(len(learners), num_windows, self._num_tokens)
        for place, of_bot in enumerate(windows):
            num_predicted = sum(len(window) - 1 for window in of_bot)
            for row, window in enumerate(of_bot):
                ids[place, row, : len(window)] = torch.tensor(window)
                weights[place, row, : len(window) - 1] = 1 / num_predicted
        total = torch.zeros(len(learners), device=self._bank.device)
        # Window by window: all at once would hold the activations of whole archives.
        for row in range(num_windows):
            self._look()
            part = slice(row, row + 1)
            total += self._network.losses(views, ids[:, part].to(total.device), weights[:, part].to(total.device))
        return [loss if of_bot else None for loss, of_bot in zip(total.tolist(), windows, strict=True)]

    def _write(self, rows: Tensor, learners: Sequence[Learner]) -> list[list[list[int]]]:
        """Return what each bot writes; those that are asked alike write together."""
        posts: dict[int, list[list[int]]] = {}
        places = sorted(range(len(learners)), key=lambda place: _asked(learners[place]))
        for _, alike in groupby(places, key=lambda place: _asked(learners[place])):
            together = list(alike)
            written = self._writer.write(
                self._layout.views(rows[together]),
                [learners[place].prompts for place in together],
                [learners[place].seed for place in together],
                learners[together[0]].sampling,
                between=self._look,
            )
            posts.update(zip(together, written, strict=True))
        return [posts[place] for place in range(len(learners))]


def _asked(learner: Learner) -> tuple[object, ...]:
    sampling = learner.sampling
    return (
        len(learner.prompts), sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_length,
        sampling.max_length, sampling.end_id,
    )  # fmt: skip


def _windows(ids: Sequence[int], length: int) -> list[Sequence[int]]:
    """Return the text in windows; one token at the end alone predicts nothing and is left out."""
    windows = [ids[start : start + length] for start in range(0, len(ids), length)]
    return [window for window in windows if len(window) > 1]
