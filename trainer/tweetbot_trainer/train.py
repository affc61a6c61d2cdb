"""The training itself: one pass over the blocks, with huggingtweets' recipe, interruptible after every step.

Knows blocks of tokens and a recipe, nothing of bots or files. ZeRO stage 0 and PyTorch's AdamW give the losses that the
HuggingFace Trainer gives for the same blocks in the same order; `make bench-parity` shows it.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import torch
from transformers import PreTrainedModel, set_seed

from tweetbot_api.spec.training import Lora, Training
from tweetbot_trainer.checkpoint import Checkpoint, Checkpoints, Part
from tweetbot_trainer.control import Control
from tweetbot_trainer.distributed import rank, start_deepspeed, world_size
from tweetbot_trainer.early_stopping import DEFAULT_EVAL_STEPS, Progress
from tweetbot_trainer.engine import Engine, device_errors_named, load_weights
from tweetbot_trainer.interruption import Interrupted
from tweetbot_trainer.lora import add_adapters, merge_adapters
from tweetbot_trainer.meter import Meter, StepMetrics

STEPS_PER_REPORT: Final = 5
LEAST_SECONDS_BETWEEN_CHECKPOINTS: Final = 180.0
MOST_TIME_FOR_CHECKPOINTS: Final = 0.05
"""Share of the time that saving may take."""
WEIGHTS: Final = "weights/"
"""Beginning of the names of the weights in a checkpoint."""
_BEST: Final = "best/"


class TrainingLog(Protocol):
    """Takes note of a training, and can begin again where an earlier attempt was."""

    def add_step(self, metrics: StepMetrics) -> None:
        """Take note of some steps."""
        ...

    def add_held_out(self, step: int, loss: float) -> None:
        """Take note of a loss on held-out posts, in nats per token."""
        ...

    def state(self) -> str:
        """Return everything noted so far."""
        ...

    def restore(self, state: str) -> None:
        """Replace everything noted so far."""
        ...


def train(
    model: PreTrainedModel,
    blocks: Sequence[Sequence[int]],
    recipe: Training,
    seed: int,
    log: TrainingLog,
    *,
    held_out_loss: Callable[[torch.nn.Module], float] | None = None,
    checkpoints: Checkpoints | None = None,
    is_asked_to_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train the model in place on the blocks, in an order drawn from the seed; tell the metrics every 5 steps.

    Goes on from the newest checkpoint. Raises NonFiniteLoss or OutOfMemory, and Interrupted after a step if asked to
    stop, when a checkpoint has been saved.
    """
    set_seed(seed)
    device = model.device
    start_deepspeed(device)
    found = checkpoints.newest() if checkpoints else None
    batches = make_batches(len(blocks), recipe.batch_size * recipe.gradient_accumulation_steps, seed)
    with device_errors_named():
        adapted = add_adapters(model, recipe.lora or Lora()) if recipe.method == "lora" else None
        network = adapted or model
        if found:
            load_weights(network, with_prefix(found.shared.tensors, WEIGHTS))
        engine = Engine(network, recipe, len(batches), device)
        run = _Run(engine, recipe, len(batches), log, held_out_loss)
        keeper = _Keeper(checkpoints, recipe.checkpoint_steps, is_asked_to_stop) if checkpoints else None
        tokens = torch.tensor(blocks)
        try:
            if found:
                run.restore(found)
            while run.step < len(batches) and not run.is_over:
                run.take_step(tokens[batches[run.step]])
                if keeper:
                    keeper.after_step(run)
        finally:
            engine.close()
            load_weights(network, run.best_weights)
            if adapted:
                merge_adapters(adapted)
            model.tie_weights()
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


class _Run:
    """A training between two steps: what has been learned, and all that the next step depends on."""

    def __init__(
        self,
        engine: Engine,
        recipe: Training,
        num_steps: int,
        log: TrainingLog,
        held_out_loss: Callable[[torch.nn.Module], float] | None,
    ) -> None:
        self.step = 0
        """Optimizer steps done."""
        self.num_steps = num_steps
        self.best_weights: dict[str, torch.Tensor] = {}
        """The weights with the lowest held-out loss so far; kept with early stopping only."""
        self._engine = engine
        self._log = log
        self._meter = Meter(num_steps=num_steps, tokens_per_block=recipe.block_size)
        self._stopping = recipe.early_stopping
        self._held_out_loss = held_out_loss
        self._eval_steps = recipe.eval_steps or (DEFAULT_EVAL_STEPS if recipe.early_stopping else None)
        self._progress = Progress()

    @property
    def is_over(self) -> bool:
        """Tell whether to stop before the last step."""
        return self._stopping is not None and self._progress.is_over(self._stopping)

    def take_step(self, blocks: torch.Tensor) -> None:
        """Learn the blocks in one optimizer step, and tell how it went when it is time to."""
        learning_rate = self._engine.learning_rate
        self._engine.network.train()
        self._meter.add(self._engine.step(blocks), len(blocks))
        self.step += 1
        if self._eval_steps and self.step % self._eval_steps == 0 and self.step < self.num_steps:
            self._measure()
        if self.step % STEPS_PER_REPORT == 0 or self.step == self.num_steps or self.is_over:
            self._log.add_step(self._meter.report(self.step, learning_rate))

    def checkpoint(self) -> Checkpoint:
        """Return all that another attempt needs to take the next step just as this one would."""
        tensors, facts = self._engine.state()
        weights = {f"{WEIGHTS}{name}": tensor for name, tensor in self._engine.weights().items()}
        best = {f"{_BEST}{name}": tensor for name, tensor in self.best_weights.items()}
        shared = {
            "log": self._log.state(),
            "bestLoss": None if math.isinf(self._progress.best_loss) else self._progress.best_loss,
            "numWorse": self._progress.num_worse,
        }
        return Checkpoint(
            step=self.step,
            shared=Part(tensors={**weights, **best}, facts=shared),
            own=Part(tensors=tensors, facts={**facts, "losses": self._meter.losses}),
        )

    def restore(self, found: Checkpoint) -> None:
        """Go on from a checkpoint; the weights are in the network already."""
        self.step = found.step
        self.best_weights = with_prefix(found.shared.tensors, _BEST)
        self._log.restore(found.shared.facts["log"])
        best_loss = found.shared.facts["bestLoss"]
        self._progress = Progress(
            best_loss=math.inf if best_loss is None else best_loss, num_worse=found.shared.facts["numWorse"]
        )
        self._meter.restore(found.step, found.own.facts["losses"])
        self._engine.restore_state(found.own.tensors, found.own.facts, found.step)

    def _measure(self) -> None:
        if self._held_out_loss is None:
            return
        # Every process measures the same posts, so that they decide alike.
        loss = self._held_out_loss(self._engine.network)
        self._log.add_held_out(self.step, loss)
        if self._stopping:
            self._progress = self._progress.after(loss, self._stopping.min_delta)
            if self._progress.is_best:
                self.best_weights = self._engine.weights()


class _Keeper:
    """Decides when a checkpoint is saved, and ends the training when the pod is being stopped."""

    def __init__(self, checkpoints: Checkpoints, every_steps: int | None, is_asked_to_stop: Callable[[], bool]) -> None:
        self._checkpoints = checkpoints
        self._every_steps = every_steps
        self._is_asked_to_stop = is_asked_to_stop
        self._control = Control()
        self._begun_at = time.monotonic()
        self._pause = LEAST_SECONDS_BETWEEN_CHECKPOINTS

    def after_step(self, run: _Run) -> None:
        """Save a checkpoint if one is due; raise Interrupted, with one saved, if asked to stop."""
        is_asked, is_late, is_uploading = self._control.any(
            self._is_asked_to_stop(), self._is_late, self._checkpoints.is_uploading
        )
        if is_asked:
            if self._checkpoints.is_begun:
                self._checkpoints.finish()
            raise Interrupted(has_checkpoint=self._save(run))
        if self._every_steps:
            if run.step % self._every_steps == 0 and run.step < run.num_steps:
                self._save(run)
        elif self._checkpoints.is_begun and not is_uploading:
            self._checkpoints.commit()
            self._pause = max(self._pause, (time.monotonic() - self._begun_at) / MOST_TIME_FOR_CHECKPOINTS)
        elif is_late and not self._checkpoints.is_begun:
            self._begun_at = time.monotonic()
            self._checkpoints.begin(run.checkpoint())

    @property
    def _is_late(self) -> bool:
        """Tell whether the newest checkpoint is too old; the first process's clock counts."""
        return rank() == 0 and time.monotonic() - self._begun_at >= self._pause

    def _save(self, run: _Run) -> bool:
        """Save a checkpoint and wait until it is complete."""
        self._checkpoints.begin(run.checkpoint())
        return self._checkpoints.finish()


def with_prefix(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
