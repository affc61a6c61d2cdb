"""Which saved models count: those that transformers loads and that foresee held-out text better than the base."""

import math
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


def judge(folder: Path, bots: list[Bot], base: Path) -> Verdict:
    """Load each bot's model from the rival's folder and measure it."""
    base_model = load_model(base)
    losses = {bot.name: _loss(load_model(folder / bot.name), bot) for bot in bots if (folder / bot.name).is_dir()}
    return Verdict(losses=losses, base_losses={bot.name: _loss(base_model, bot) for bot in bots})


def mean_difference(one: Verdict, other: Verdict) -> float:
    """Return by how many nats the first is worse, on the bots that both have."""
    common = one.losses.keys() & other.losses.keys()
    return sum(one.losses[bot] - other.losses[bot] for bot in common) / len(common)


@torch.inference_mode()
def _loss(model: GPT2LMHeadModel, bot: Bot) -> float:
    ids = torch.from_numpy(bot.held_out).to(model.device)
    return float(model(input_ids=ids, labels=ids, use_cache=False).loss)
