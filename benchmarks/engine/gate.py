"""Which saved models count: those that transformers loads and that foresee held-out text better than the base."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from benchmarks.engine.workload import Bot, load_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Held-out losses in nats per token, by bot; a model that does not load has none."""

    losses: dict[str, float]
    base_losses: dict[str, float]

    @property
    def failed(self) -> list[str]:
        """Bots whose model is missing, or no better than the base."""
        return [bot for bot, base in self.base_losses.items() if not self.losses.get(bot, math.inf) < base]


class Gate:
    """Measures the models of one rival after the other, on the same text."""

    def __init__(self, bots: Sequence[Bot], base: Path) -> None:
        base_model = load_model(base)
        self._bots = {bot.name: bot for bot in bots}
        self._base_losses = {bot.name: _loss(base_model, bot) for bot in bots}

    def judge(self, folder: Path, names: Sequence[str]) -> Verdict:
        """Load and measure a rival's models of these bots, and remove its folder: each may have half a gigabyte."""
        present = [name for name in names if (folder / name).is_dir()]
        losses = {name: _loss(load_model(folder / name), self._bots[name]) for name in present}
        shutil.rmtree(folder)
        return Verdict(losses=losses, base_losses={name: self._base_losses[name] for name in names})


def mean_difference(one: Verdict, other: Verdict) -> float:
    """Return by how many nats the first is worse, on the bots that both have."""
    common = one.losses.keys() & other.losses.keys()
    return sum(one.losses[bot] - other.losses[bot] for bot in common) / len(common)


@torch.inference_mode()
def _loss(model: GPT2LMHeadModel, bot: Bot) -> float:
    ids = torch.from_numpy(bot.held_out).to(model.device)
    return float(model(input_ids=ids, labels=ids, use_cache=False).loss)
