"""One small GPT-2 trained twice on the same blocks in the same order: by the HuggingFace Trainer and by ours."""

import copy
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler, SequentialSampler
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from tweetbot_api.spec.training import Training
from tweetbot_trainer import train as train_module
from tweetbot_trainer.evaluate import held_out_loss
from tweetbot_trainer.meter import StepMetrics
from tweetbot_trainer.train import make_batches, train

Blocks = list[list[int]]
VOCABULARY = 512
SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What one trainer made of the model."""

    losses: list[float]
    """Loss of each optimizer step, in nats per token."""
    held_out: float
    """Loss on blocks that were not learned, after training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both curves, step by step."""

    theirs: Curve
    """The HuggingFace Trainer's."""
    ours: Curve
    """Ours."""

    @property
    def differences(self) -> list[float]:
        """Relative difference of each step's losses."""
        pairs = zip(self.theirs.losses, self.ours.losses, strict=True)
        return [abs(theirs - ours) / theirs for theirs, ours in pairs]

    @property
    def held_out_difference(self) -> float:
        """Relative difference of the final held-out losses."""
        return abs(self.theirs.held_out - self.ours.held_out) / self.theirs.held_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A model and what it learns."""

    recipe: Training
    base: GPT2LMHeadModel
    learned: Blocks
    held_out: Blocks


def make_task(recipe: Training, num_blocks: int, *, layers: int, width: int, num_held_out: int = 8) -> Task:
    """Return a GPT-2 from a configuration and blocks to learn and to measure it by."""
    blocks = make_blocks(num_blocks + num_held_out, recipe.block_size)
    base = make_model(layers, width, recipe.block_size)
    return Task(recipe=recipe, base=base, learned=blocks[:num_blocks], held_out=blocks[num_blocks:])


def compare(tasks: Sequence[Task]) -> list[Comparison]:
    """Train every task twice: theirs first, for ours opens a process group that theirs would take for a cluster's."""
    theirs = [_train(task, train_with_hugging_face) for task in tasks]
    ours = [_train(task, train_with_ours) for task in tasks]
    return [Comparison(theirs=one, ours=other) for one, other in zip(theirs, ours, strict=True)]


def _train(task: Task, trainer: Callable[[GPT2LMHeadModel, Blocks, Training], list[float]]) -> Curve:
    model = copy.deepcopy(task.base)
    losses = trainer(model, task.learned, task.recipe)
    tokens = [token for block in task.held_out for token in block]
    return Curve(losses=losses, held_out=held_out_loss(model, tokens, task.recipe.block_size))


def make_blocks(num_blocks: int, block_size: int) -> Blocks:
    """Return blocks of a made-up language: each token has four likely followers, so there is something to learn."""
    rng = random.Random(SEED)  # noqa: S311 - reproducible, not secret
    followers = [[rng.randrange(VOCABULARY) for _ in range(4)] for _ in range(VOCABULARY)]
    token, blocks = 0, []
    for _ in range(num_blocks):
        block = []
        for _ in range(block_size):
            token = rng.choice(followers[token]) if rng.random() < 0.9 else rng.randrange(VOCABULARY)
            block.append(token)
        blocks.append(block)
    return blocks


def make_model(layers: int, width: int, block_size: int) -> GPT2LMHeadModel:
    """Return a GPT-2 of random weights without dropout."""
    torch.manual_seed(SEED)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_positions=block_size, n_embd=width, n_layer=layers, n_head=width // 32,
            resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip


class _SequentialTrainer(Trainer):
    """The HuggingFace Trainer, which learns the blocks as they come and notes each loss unrounded."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.noted: list[float] = []

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:  # noqa: ARG002 - theirs
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    def compute_loss(self, *arguments: Any, **options: Any) -> Any:
        loss: Any = super().compute_loss(*arguments, **options)
        self.noted.append(float(loss.detach()))
        return loss


def train_with_hugging_face(model: GPT2LMHeadModel, blocks: Blocks, recipe: Training) -> list[float]:
    """Train with the HuggingFace Trainer in the order that ours draws; return the loss of each optimizer step."""
    batch, accumulation = recipe.batch_size, recipe.gradient_accumulation_steps
    order = [index for indices in make_batches(len(blocks), batch, SEED) for index in indices]
    num_steps = math.ceil(len(blocks) / (batch * accumulation))
    arguments = TrainingArguments(
        output_dir=str(Path("/nonexistent")),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=1,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(num_steps * recipe.warmup_ratio),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=SEED,
        use_cpu=not torch.cuda.is_available(),
    )
    # A class whose name does not end in ForCausalLM has to say so: else the Trainer (5.23) divides the loss by the
    # block's tokens, one more than are predicted, and reports (T - 1) / T of the mean.
    model.loss_type = "ForCausalLM"
    dataset = [{"input_ids": blocks[index], "labels": blocks[index]} for index in order]
    trainer = _SequentialTrainer(model=model, args=arguments, train_dataset=dataset)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    # With several batches to a step, each batch's loss is its share of the step's.
    return [sum(trainer.noted[start : start + accumulation]) for start in range(0, len(trainer.noted), accumulation)]


class _Losses:
    """Notes every step's loss."""

    def __init__(self) -> None:
        self.noted: list[float] = []

    def add_step(self, metrics: StepMetrics) -> None:
        self.noted.append(metrics.loss)

    def add_held_out(self, step: int, loss: float) -> None:
        """Nothing is measured on the way."""

    def state(self) -> str:
        """Nothing is interrupted."""
        return ""

    def restore(self, state: str) -> None:
        """Nothing is interrupted."""


def train_with_ours(model: GPT2LMHeadModel, blocks: Blocks, recipe: Training) -> list[float]:
    """Train with ours; return the loss of each optimizer step."""
    network: torch.nn.Module = model
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    losses = _Losses()
    with _every_step_reported():
        train(model, blocks, recipe, SEED, losses)
    return losses.noted


@contextmanager
def _every_step_reported() -> Iterator[None]:
    before = train_module.STEPS_PER_REPORT
    train_module.STEPS_PER_REPORT = 1  # type: ignore[misc]
    try:
        yield
    finally:
        train_module.STEPS_PER_REPORT = before  # type: ignore[misc]
