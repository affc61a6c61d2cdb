"""How a training stands, as people see it: mean loss, learning rate and speed since the last report."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tweetbot_api.conditions import Reason
from tweetbot_trainer.distributed import mean_of_processes, world_size
from tweetbot_trainer.errors import TrainerError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMetrics:
    """How the training stands after a step."""

    step: int
    """Optimiser steps done."""
    total_steps: int
    """Optimiser steps of the run."""
    loss: float
    """Mean loss of the steps since the last report, in nats per token."""
    learning_rate: float
    """Learning rate of this step."""
    tokens_per_second: float
    """Tokens read per second since the last report, by all processes."""
    eta_seconds: int
    """Seconds to the end of the training, at the speed so far."""


class Meter:
    """Averages the loss and measures the speed between reports, without waiting for the GPU at every step."""

    def __init__(self, *, num_steps: int, tokens_per_block: int) -> None:
        self._first_step = 0
        self._num_steps = num_steps
        self._tokens_per_block = tokens_per_block
        self._losses: list[torch.Tensor] = []
        self._num_blocks = 0
        self._start = self._last = time.perf_counter()

    @property
    def losses(self) -> list[float]:
        """The losses that no report has told yet; reading them waits for the GPU."""
        return [loss.item() for loss in self._losses]

    def restore(self, step: int, losses: Sequence[float]) -> None:
        """Go on after a step with the losses that an earlier attempt had not told yet."""
        self._first_step = step
        self._losses = [torch.tensor(loss) for loss in losses]

    def add(self, loss: torch.Tensor, num_blocks: int) -> None:
        """Take note of one step."""
        self._losses.append(loss)
        self._num_blocks += num_blocks

    def report(self, step: int, learning_rate: float) -> StepMetrics:
        """Return the metrics since the last report; raise NonFiniteLoss if one of the losses was not a number."""
        losses = [loss.to(self._losses[-1].device) for loss in self._losses]
        loss = mean_of_processes(torch.stack(losses).float().mean()).item()
        if not math.isfinite(loss):
            raise TrainerError(
                Reason.NON_FINITE_LOSS,
                f"the loss became {loss} by step {step} of {self._num_steps}; "
                "lower spec.training.learningRate, or set spec.training.precision to fp32",
            )
        now = time.perf_counter()
        tokens = self._num_blocks * self._tokens_per_block * world_size()
        seconds_per_step = (now - self._start) / (step - self._first_step)
        metrics = StepMetrics(
            step=step,
            total_steps=self._num_steps,
            loss=loss,
            learning_rate=learning_rate,
            tokens_per_second=tokens / max(now - self._last, 1e-9),
            eta_seconds=math.ceil(seconds_per_step * (self._num_steps - step)),
        )
        self._losses, self._num_blocks, self._last = [], 0, now
        return metrics
