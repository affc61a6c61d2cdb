"""Trains many GPT-2s at once, of any lengths: a slot that falls free takes the next bot while its neighbours go on.

A step is one forward pass, one backward pass and one update for all slots. On a GPU it is captured once as a CUDA graph
and replayed, because at this size a step's kernels are shorter than their launches.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor
from transformers import GPT2LMHeadModel

from tweetbot_trainer.fused.adamw import StackedAdamW
from tweetbot_trainer.fused.course import Course, Finished, Losses, Pause, Snapshot
from tweetbot_trainer.fused.gpt2 import StackedGPT2, trainable_parameters
from tweetbot_trainer.fused.weights import Layout

STEPS_PER_READING: Final = 5
"""Steps between two readings of the losses: each waits for the device."""
_WARM_UP_STEPS: Final = 3


@dataclass(slots=True)
class _Slot:
    """The bot that stands at one place among the stacked weights, and how far it is."""

    course: Course | None = None
    step: int = 0
    num_told: int = 0
    """Steps whose losses were told."""

    @property
    def is_running(self) -> bool:
        return self.course is not None and self.step < len(self.course.batches)


class FusedTrainer:
    """K slots for models that begin with the weights of one base model.

    `num_rows` and `num_tokens` are the size of each slot's batch in a step. Weights, gradients, moments and losses are
    fp32 whatever the `compute_dtype` of the matrix products.
    """

    def __init__(
        self,
        base: GPT2LMHeadModel,
        *,
        num_slots: int,
        num_rows: int,
        num_tokens: int,
        compute_dtype: torch.dtype = torch.float32,
        weight_decay: float = 0.0,
        dropout: bool = True,
    ) -> None:
        self._device = base.device
        parameters = trainable_parameters(base)
        self._layout = layout = Layout.of(parameters)
        self._base = layout.row(parameters)
        self._rows = self._base.repeat(num_slots, 1)
        self._first, self._second = torch.zeros_like(self._rows), torch.zeros_like(self._rows)
        self._weights = layout.views(self._rows)
        self._network = StackedGPT2(base.config, compute_dtype, dropout=dropout)
        self._optimizer = StackedAdamW(
            self._weights, layout.views(self._first), layout.views(self._second), weight_decay=weight_decay
        )
        self._slots = [_Slot() for _ in range(num_slots)]
        self._inputs = _Inputs.zeros(num_slots, num_rows, num_tokens, self._device)
        self._losses = torch.zeros(STEPS_PER_READING, num_slots, device=self._device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._step_losses = torch.zeros(num_slots, device=self._device)
        if self._device.type == "cuda":
            self._capture()

    def run(
        self, courses: Iterable[Course], is_hurried: Callable[[], bool] = lambda: False
    ) -> Iterator[Losses | Finished | Pause]:
        """Train all bots, those that are told first beginning first; yield what happens to them as it happens.

        `is_hurried` is asked after each step whether to pause at once.
        """
        waiting = iter(courses)
        self._fill(waiting)
        while any(slot.course for slot in self._slots):
            self._advance(is_hurried)
            yield from self._read()
            yield Pause()
            self._fill(waiting)

    def snapshot(self, key: str) -> Snapshot:
        """Return a copy of where the bot is now; raise KeyError if it is in no slot."""
        place = self._place_of(key)
        is_over = not self._slots[place].is_running
        return Snapshot(
            step=self._slots[place].step,
            weights=self._copy(self._rows, place),
            first_moments={} if is_over else self._copy(self._first, place),
            second_moments={} if is_over else self._copy(self._second, place),
        )

    def views(self, key: str) -> dict[str, Tensor]:
        """Return the bot's weights as views `[1, *shape]`; raise KeyError if it is in no slot."""
        place = self._place_of(key)
        return self._layout.views(self._rows[place : place + 1])

    def drop(self, key: str) -> None:
        """Give the bot's slot to the next one; raise KeyError if it is in no slot. To be done at a pause."""
        self._slots[self._place_of(key)].course = None

    def _place_of(self, key: str) -> int:
        for place, slot in enumerate(self._slots):
            if slot.course and slot.course.key == key:
                return place
        raise KeyError(key)

    def _copy(self, rows: Tensor, place: int) -> dict[str, Tensor]:
        """Return one row by parameters, in host memory."""
        row = rows[place : place + 1].to("cpu", copy=True)
        return {name: view[0] for name, view in self._layout.views(row).items()}

    def _fill(self, waiting: Iterator[Course]) -> None:
        for place, slot in enumerate(self._slots):
            if slot.course is None and (course := next(waiting, None)):
                self._place(place, course.start)
                slot.step = slot.num_told = course.start.step if course.start else 0
                # What it began with is on the device now.
                slot.course = replace(course, start=None)

    def _place(self, place: int, start: Snapshot | None) -> None:
        self._rows[place].copy_(self._base)
        self._first[place].zero_()
        self._second[place].zero_()
        if start:
            self._put(self._rows, place, start.weights)
            self._put(self._first, place, start.first_moments)
            self._put(self._second, place, start.second_moments)
        self._optimizer.steps[place] = start.step if start else 0

    def _put(self, rows: Tensor, place: int, parameters: Mapping[str, Tensor]) -> None:
        views = self._layout.views(rows[place : place + 1])
        for name, parameter in parameters.items():
            views[name][0].copy_(parameter)

    def _advance(self, is_hurried: Callable[[], bool]) -> None:
        """Take as many steps as may be taken before the losses are read."""
        running = [(slot.course, slot.step) for slot in self._slots if slot.is_running]
        steps = min([STEPS_PER_READING, *(course.steps_to_rest(step) for course, step in running if course)])
        for reading in range(steps if running else 0):
            self._step(reading)
            if is_hurried():
                return

    def _step(self, reading: int) -> None:
        """Advance each running slot by one step; its loss goes into the row `reading`."""
        self._inputs.stage(self._slots)
        if self._graph:
            self._graph.replay()
        else:
            self._run_kernels()
        self._losses[reading].copy_(self._step_losses)
        for slot in self._slots:
            slot.step += slot.is_running

    def _run_kernels(self) -> None:
        inputs = self._inputs
        result = self._network.losses_and_gradients(self._weights, inputs.ids, inputs.row_weights)
        self._step_losses.copy_(result.losses)
        self._optimizer.step(
            result.gradients,
            learning_rates=inputs.learning_rates,
            max_norms=inputs.max_norms,
            is_active=inputs.is_active,
        )

    def _capture(self) -> None:
        """Record the kernels of a step; with no slot active, nothing is learned meanwhile."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_STEPS):
                self._run_kernels()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._run_kernels()

    def _read(self) -> Iterator[Losses | Finished]:
        """Yield what the running bots have lost, and then those that are done; their slots are free afterwards."""
        losses = self._losses.T.tolist()
        for place, slot in enumerate(self._slots):
            if slot.course is None or slot.num_told == slot.step:
                continue
            finite = _until_not_finite(losses[place][: slot.step - slot.num_told])
            first_step, slot.num_told = slot.num_told + 1, slot.step
            yield Losses(key=slot.course.key, first_step=first_step, losses=finite)
            if not math.isfinite(finite[-1]):
                slot.course = None
        for place, slot in enumerate(self._slots):
            if slot.course and not slot.is_running:
                weights = {name: stacked[place] for name, stacked in self._weights.items()}
                yield Finished(key=slot.course.key, weights=weights)
                slot.course = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """What changes from step to step, on the device at fixed addresses, and in host memory where it is gathered."""

    ids: Tensor
    row_weights: Tensor
    learning_rates: Tensor
    max_norms: Tensor
    is_active: Tensor

    @classmethod
    def zeros(cls, num_slots: int, num_rows: int, num_tokens: int, device: torch.device) -> "_Inputs":
        return cls(
            ids=torch.zeros(num_slots, num_rows, num_tokens, dtype=torch.long, device=device),
            row_weights=torch.zeros(num_slots, num_rows, device=device),
            learning_rates=torch.zeros(num_slots, device=device),
            max_norms=torch.ones(num_slots, device=device),
            is_active=torch.zeros(num_slots, device=device),
        )

    def stage(self, slots: Sequence[_Slot]) -> None:
        """Bring the next step of each running slot onto the device; the others stand still."""
        ids = np.zeros(self.ids.shape, dtype=np.int64)
        row_weights = np.zeros(self.row_weights.shape, dtype=np.float32)
        numbers = np.zeros((3, len(slots)), dtype=np.float32)
        numbers[1] = 1
        for place, slot in enumerate(slots):
            if not slot.is_running or slot.course is None:
                continue
            batch = slot.course.batches[slot.step]
            ids[place, : len(batch)] = batch
            row_weights[place, : len(batch)] = 1 / len(batch)
            numbers[:, place] = slot.course.learning_rates[slot.step], slot.course.max_grad_norm, 1
        self.ids.copy_(torch.from_numpy(ids))
        self.row_weights.copy_(torch.from_numpy(row_weights))
        for tensor, values in zip((self.learning_rates, self.max_norms, self.is_active), numbers, strict=True):
            tensor.copy_(torch.from_numpy(values))


def _until_not_finite(losses: list[float]) -> list[float]:
    """Return the losses up to and with the first that is no number."""
    end = next((index + 1 for index, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    return losses[:end]
