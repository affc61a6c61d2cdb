"""The bots that every rival trains, and the base model that they begin with: the same files for all.

An author's text is drawn from words of their own with habits of their own (a token often brings the same next one), so
that there is something to learn, which the gate measures on text held out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPT2Config, GPT2LMHeadModel

Mix = Literal["seed-sized", "log-uniform"]

EPOCHS: Final = 4
SEED_SIZED_STEPS: Final = 33
"""Optimiser steps of a bot of the size of the seed's: 382 tweets."""
SMALLEST_TOKENS, LARGEST_TOKENS = 2_000, 100_000
"""Range of the mix, in tokens of posts, for blocks of 1,024; scaled with the block for smaller models."""
_REFERENCE_BLOCK: Final = 1_024
_HELD_OUT_BLOCKS: Final = 4
_HABIT: Final = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A base model's size and the length of a block."""

    layers: int
    width: int
    heads: int
    vocabulary: int
    block: int


SCALES: Final = {
    "small": Scale(layers=2, width=64, heads=2, vocabulary=2_048, block=128),
    "gpt2": Scale(layers=12, width=768, heads=12, vocabulary=50_257, block=1_024),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """One bot's data: `learned` and `held_out` are `[blocks, tokens]`; the blocks are learned in this order."""

    name: str
    learned: NDArray[np.int64]
    held_out: NDArray[np.int64]

    @property
    def num_steps(self) -> int:
        """Optimiser steps, one block each."""
        return len(self.learned)


def make_bots(mix: Mix, count: int, scale: Scale, seed: int = 20_261_101) -> list[Bot]:
    """Return the bots of a mix; a seed gives the same bots on every machine."""
    random = np.random.default_rng(seed)
    if mix == "seed-sized":
        steps = [SEED_SIZED_STEPS] * count
    else:
        tokens = np.exp(random.uniform(np.log(SMALLEST_TOKENS), np.log(LARGEST_TOKENS), count))
        steps = [_count_steps(size) for size in tokens]
    return [_make_bot(f"bot-{number:03d}", num_steps, scale, random) for number, num_steps in enumerate(steps)]


def make_bots_of_size(tokens: int, count: int, scale: Scale) -> list[Bot]:
    """Return bots that all have so many tokens of posts, for blocks of 1,024; the same on every machine."""
    random = np.random.default_rng(tokens)
    return [_make_bot(f"bot-{number:03d}", _count_steps(tokens), scale, random) for number in range(count)]


def save_bots(bots: Sequence[Bot], folder: Path) -> None:
    """Write one file per bot."""
    folder.mkdir(parents=True, exist_ok=True)
    for bot in bots:
        np.savez(folder / f"{bot.name}.npz", learned=bot.learned, held_out=bot.held_out)


def load_bot(path: Path) -> Bot:
    """Read a file of `save_bots`."""
    with np.load(path) as arrays:
        return Bot(name=path.stem, learned=arrays["learned"], held_out=arrays["held_out"])


def save_base_model(scale: Scale, folder: Path) -> None:
    """Save a GPT-2 of this size with random weights: they cost and weigh what trained ones do."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=scale.vocabulary, n_positions=scale.block, n_embd=scale.width, n_layer=scale.layers,
        n_head=scale.heads, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)


def load_model(folder: Path) -> GPT2LMHeadModel:
    """Load a saved GPT-2 onto the GPU, or the CPU where there is none."""
    model: Any = GPT2LMHeadModel.from_pretrained(folder, use_safetensors=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded: GPT2LMHeadModel = model.to(device)
    return loaded


def _count_steps(tokens: float) -> int:
    return max(1, int(EPOCHS * tokens) // _REFERENCE_BLOCK)


def _make_bot(name: str, num_steps: int, scale: Scale, random: np.random.Generator) -> Bot:
    words = random.permutation(scale.vocabulary)
    next_words = random.permutation(scale.vocabulary)

    def write(blocks: int) -> NDArray[np.int64]:
        length = blocks * scale.block
        drawn = words[np.minimum(random.zipf(1.3, length), scale.vocabulary) - 1]
        is_habit = random.random(length) < _HABIT
        drawn[1:] = np.where(is_habit[1:], next_words[drawn[:-1]], drawn[1:])
        return np.asarray(drawn.reshape(blocks, scale.block), dtype=np.int64)

    epoch = write(-(-num_steps // EPOCHS))
    copies = np.concatenate([random.permutation(epoch) for _ in range(EPOCHS)])[:num_steps]
    return Bot(name=name, learned=copies, held_out=write(_HELD_OUT_BLOCKS))
