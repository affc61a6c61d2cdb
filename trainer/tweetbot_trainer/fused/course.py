"""What one bot is to learn, where it stands, and what the engine tells of it on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One bot in the middle of its course, in host memory. Tensors are fp32, by the names of the saved model."""

    step: int
    """Steps done."""
    weights: Mapping[str, Tensor]
    """Matrices first, so are the moments."""
    first_moments: Mapping[str, Tensor]
    """AdamW's mean of the gradients; empty once all steps are done."""
    second_moments: Mapping[str, Tensor]
    """AdamW's mean of their squares; empty once all steps are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What one bot learns, in which order, and how fast."""

    key: str
    """Whose course it is."""
    batches: Sequence[NDArray[np.int64]]
    """Token ids of each optimiser step, `[rows, tokens]`; the last may have fewer rows."""
    learning_rates: Sequence[float]
    """Learning rate of each step."""
    max_grad_norm: float = 1.0
    """The gradient is scaled down to this norm when it is larger."""
    rests: Sequence[int] = ()
    """After every multiple of each of these numbers of steps the engine pauses."""
    start: Snapshot | None = None
    """Where an earlier attempt left off; None for the base model."""

    def steps_to_rest(self, step: int) -> int:
        """Return how many steps may be made in one go after so many are done."""
        return min([len(self.batches) - step, *(every - step % every for every in self.rests)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """A bot has made some steps."""

    key: str
    """Which bot."""
    first_step: int
    """The first of the steps, counted from 1."""
    losses: list[float]
    """Training loss of each, in nats per token; the last may be no number, and then it is the bot's last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A bot has made all its steps."""

    key: str
    """Which bot."""
    weights: dict[str, Tensor]
    """Its fp32 parameters, by the names of the saved model: views that hold until the next event is asked for."""


@dataclass(frozen=True, slots=True)
class Pause:
    """All that was learned so far has been told: bots may be looked at, copied and taken out."""


class StoppedError(Exception):
    """The engine was asked to stop. Every bot that is not done may be copied as it stands."""
