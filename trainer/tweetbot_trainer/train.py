"""The training itself: one pass of DeepSpeed over the blocks, with huggingtweets' recipe.

Knows blocks of tokens and a recipe, nothing of bots, stores or files. ZeRO stage 0 and PyTorch's AdamW give the losses
that the HuggingFace Trainer gives for the same blocks in the same order; a test holds that.
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from transformers import PreTrainedModel, get_cosine_schedule_with_warmup, set_seed

from tweetbot_api.conditions import Reason
from tweetbot_api.spec import Training
from tweetbot_trainer.distributed import rank, start_deepspeed, world_size
from tweetbot_trainer.errors import TrainerError

STEPS_PER_REPORT: Final = 5
_BETAS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-8
_NEVER: Final = 2**31 - 1
_CPU_OUT_OF_MEMORY: Final = "can't allocate memory"


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


def train(
    model: PreTrainedModel,
    blocks: Sequence[Sequence[int]],
    recipe: Training,
    seed: int,
    on_metrics: Callable[[StepMetrics], None],
) -> None:
    """Train the model in place on the blocks, in an order drawn from the seed; tell the metrics every 5 steps.

    Raises NonFiniteLoss or OutOfMemory.
    """
    set_seed(seed)
    deepspeed = start_deepspeed(model.device)
    batches = make_batches(len(blocks), recipe.batch_size, seed)
    optimizer = _make_optimizer(model, recipe)
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(len(batches) * recipe.warmup_ratio), len(batches))
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=optimizer,
        lr_scheduler=schedule,
        config=deepspeed_config(recipe, model.device),
        dist_init_required=False,
    )
    meter = _Meter(num_steps=len(batches), tokens_per_block=len(blocks[0]) if blocks else 0)
    model.train()
    try:
        with memory_errors_named():
            for step, batch in enumerate(batches, start=1):
                ids = torch.tensor([list(blocks[index]) for index in batch], device=model.device)
                learning_rate = float(schedule.get_last_lr()[0])
                loss = engine(input_ids=ids, labels=ids, use_cache=False).loss
                engine.backward(loss)
                engine.step()
                meter.add(loss.detach(), len(batch))
                if step % STEPS_PER_REPORT == 0 or step == len(batches):
                    on_metrics(meter.report(step, learning_rate))
    finally:
        engine.destroy()
        model.train(mode=False)


def make_batches(num_blocks: int, batch_size: int, seed: int) -> list[list[int]]:
    """Return the blocks' numbers in random order, as this process's batches; the last may be smaller.

    Processes have equally many: the first numbers are repeated at the end where the blocks do not divide evenly.
    """
    order = list(range(num_blocks))
    random.Random(seed).shuffle(order)  # noqa: S311 - reproducible, not secret
    order += order[: -num_blocks % world_size()]
    mine = order[rank() :: world_size()]
    return [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]


def uses_bf16(recipe: Training, device: torch.device) -> bool:
    """Tell whether forward and backward passes are in bf16; weights and optimiser are in fp32 always."""
    if recipe.precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return recipe.precision == "bf16"


def deepspeed_config(recipe: Training, device: torch.device) -> dict[str, Any]:
    """Return DeepSpeed's configuration for the recipe."""
    return {
        "train_micro_batch_size_per_gpu": recipe.batch_size,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": recipe.max_grad_norm,
        "zero_optimization": {"stage": 0},
        "torch_autocast": {"enabled": uses_bf16(recipe, device), "dtype": "bfloat16"},
        "steps_per_print": _NEVER,
    }


@contextmanager
def memory_errors_named() -> Iterator[None]:
    """Raise OutOfMemory for PyTorch's ways of saying that memory ran out."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainerError(Reason.OUT_OF_MEMORY, f"the GPU's memory ran out: {error}") from error
    except RuntimeError as error:
        if _CPU_OUT_OF_MEMORY not in str(error):
            raise
        raise TrainerError(Reason.OUT_OF_MEMORY, "the process ran out of memory") from error


def _make_optimizer(model: PreTrainedModel, recipe: Training) -> torch.optim.AdamW:
    """Return AdamW as the HuggingFace Trainer sets it up: biases and norms are not decayed."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=_BETAS, eps=_EPSILON)


class _Meter:
    """Averages the loss and measures the speed between reports, without waiting for the GPU at every step."""

    def __init__(self, *, num_steps: int, tokens_per_block: int) -> None:
        self._num_steps = num_steps
        self._tokens_per_block = tokens_per_block
        self._losses: list[torch.Tensor] = []
        self._num_blocks = 0
        self._start = self._last = time.perf_counter()

    def add(self, loss: torch.Tensor, num_blocks: int) -> None:
        """Take note of one step."""
        self._losses.append(loss)
        self._num_blocks += num_blocks

    def report(self, step: int, learning_rate: float) -> StepMetrics:
        """Return the metrics since the last report; raise NonFiniteLoss if one of the losses was not a number."""
        loss = torch.stack(self._losses).float().mean().item()
        if not math.isfinite(loss):
            raise TrainerError(
                Reason.NON_FINITE_LOSS,
                f"the loss became {loss} by step {step} of {self._num_steps}; "
                "lower spec.training.learningRate, or set spec.training.precision to fp32",
            )
        now = time.perf_counter()
        tokens = self._num_blocks * self._tokens_per_block * world_size()
        metrics = StepMetrics(
            step=step,
            total_steps=self._num_steps,
            loss=loss,
            learning_rate=learning_rate,
            tokens_per_second=tokens / max(now - self._last, 1e-9),
            eta_seconds=math.ceil((now - self._start) / step * (self._num_steps - step)),
        )
        self._losses, self._num_blocks, self._last = [], 0, now
        return metrics
