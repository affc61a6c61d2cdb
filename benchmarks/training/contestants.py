"""One training by each contestant: ours and the HuggingFace Trainer, the same model, blocks, recipe and arithmetic."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from benchmarks.engine.hf_trainer import quiet
from benchmarks.engine.workload import Scale
from tweetbot_api.spec.training import Training
from tweetbot_trainer.meter import StepMetrics
from tweetbot_trainer.train import train

Blocks = list[list[int]]
STEPS_PER_REPORT = 5
"""Both tell the loss as often, as huggingtweets does: it makes the processor wait for the GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long one training took."""

    seconds: float
    """From the call to the trained model, set-up of trainer or engine included."""
    steps_per_second: float
    """Between the first report and the last."""
    last_loss: float
    """Mean loss of the last steps, in nats per token."""


@dataclass
class _Clock:
    """Notes when steps were reported."""

    times: list[tuple[int, float]] = field(default_factory=list)
    loss: float = float("nan")

    def add_step(self, metrics: StepMetrics) -> None:
        self.note(metrics.step, metrics.loss)

    def note(self, step: int, loss: float) -> None:
        _wait()
        self.times.append((step, time.perf_counter()))
        self.loss = loss

    def add_held_out(self, step: int, loss: float) -> None:
        """Nothing is measured on the way."""

    def state(self) -> str:
        """Nothing is interrupted."""
        return ""

    def restore(self, state: str) -> None:
        """Nothing is interrupted."""

    @property
    def steps_per_second(self) -> float:
        (first_step, first), (last_step, last) = self.times[0], self.times[-1]
        return (last_step - first_step) / (last - first)


class _Callback(TrainerCallback):
    def __init__(self, clock: _Clock) -> None:
        self._clock = clock

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        if logs and "loss" in logs:
            self._clock.note(state.global_step, float(logs["loss"]))


def train_ours(model: GPT2LMHeadModel, blocks: Blocks, recipe: Training) -> Timing:
    """Train with our engine."""
    clock = _Clock()
    with _timed() as seconds:
        train(model, blocks, recipe, 0, clock)
    return Timing(seconds=seconds(), steps_per_second=clock.steps_per_second, last_loss=clock.loss)


def train_theirs(model: GPT2LMHeadModel, blocks: Blocks, recipe: Training) -> Timing:
    """Train with the HuggingFace Trainer."""
    clock = _Clock()
    model.loss_type = "ForCausalLM"
    with _timed() as seconds:
        arguments = TrainingArguments(
            output_dir="/nonexistent",
            per_device_train_batch_size=recipe.batch_size,
            num_train_epochs=1,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="cosine",
            logging_steps=STEPS_PER_REPORT,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=0,
            bf16=recipe.precision == "bf16",
            use_cpu=model.device.type == "cpu",
        )
        dataset = [{"input_ids": block, "labels": block} for block in blocks]
        trainer = Trainer(model=model, args=arguments, train_dataset=dataset, callbacks=[_Callback(clock)])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return Timing(seconds=seconds(), steps_per_second=clock.steps_per_second, last_loss=clock.loss)


@contextmanager
def _timed() -> Iterator[Callable[[], float]]:
    _wait()
    start = time.perf_counter()
    end: list[float] = []
    yield lambda: end[0] - start
    _wait()
    end.append(time.perf_counter())


def run(contestant: str, scale: Scale, num_blocks: int, precision: str) -> Timing:
    """Train a model of random weights on random blocks with one of the contestants."""
    quiet()
    rng = random.Random(0)  # noqa: S311 - reproducible, not secret
    blocks = [[rng.randrange(scale.vocabulary) for _ in range(scale.block)] for _ in range(num_blocks)]
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=scale.vocabulary, n_positions=scale.block, n_embd=scale.width, n_layer=scale.layers,
        n_head=scale.heads, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    network: torch.nn.Module = GPT2LMHeadModel(config)
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    recipe = Training.model_validate({"precision": precision, "block_size": scale.block})
    return CONTESTANTS[contestant](network, blocks, recipe)


CONTESTANTS: Final[dict[str, Callable[[Any, Blocks, Training], Timing]]] = {
    "HuggingFace Trainer": train_theirs,
    "ours": train_ours,
}


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
