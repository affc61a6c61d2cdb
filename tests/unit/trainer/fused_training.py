"""A small GPT-2, courses for it, and its training alone by the HuggingFace Trainer's recipe: the reference."""

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from tweetbot_trainer.fused.course import Course, Finished, Losses
from tweetbot_trainer.fused.engine import FusedTrainer

NUM_TOKENS = 32
VOCABULARY = 96


def make_base(dropout: float = 0.0) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=48, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0,
        attn_pdrop=dropout, embd_pdrop=dropout, resid_pdrop=dropout,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def make_course(key: str, num_steps: int, rows: Sequence[int] = (1,), peak: float = 1e-3, norm: float = 1.0) -> Course:
    """Return a course of random tokens; its batches have these numbers of rows in turn."""
    random = np.random.default_rng(list(key.encode()))
    batches = [random.integers(0, VOCABULARY, (rows[step % len(rows)], NUM_TOKENS)) for step in range(num_steps)]
    rates = [peak * (1 + math.cos(math.pi * step / num_steps)) / 2 for step in range(num_steps)]
    return Course(key=key, batches=batches, learning_rates=rates, max_grad_norm=norm)


def train_alone(
    base: GPT2LMHeadModel, course: Course, weight_decay: float = 0.0
) -> tuple[list[float], GPT2LMHeadModel]:
    """Return losses and model of the recipe: AdamW, decay of matrices only, clipping, transformers' own loss."""
    model = copy.deepcopy(base).train()
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1.0)
    losses = []
    for batch, rate in zip(course.batches, course.learning_rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        ids = torch.from_numpy(batch)
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), course.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, model


def make_trainer(base: GPT2LMHeadModel, num_slots: int, **options: Any) -> FusedTrainer:
    return FusedTrainer(base, **{"num_slots": num_slots, "num_rows": 1, "num_tokens": NUM_TOKENS, **options})


Results = dict[str, tuple[list[float], dict[str, torch.Tensor] | None]]


def train_fused(trainer: FusedTrainer, courses: Iterable[Course]) -> Results:
    """Return the losses of each bot, and its weights if it got to its end."""
    courses = list(courses)
    steps_before = {course.key: course.start.step if course.start else 0 for course in courses}
    losses: dict[str, list[float]] = {}
    weights: dict[str, dict[str, torch.Tensor]] = {}
    for event in trainer.run(courses):
        match event:
            case Losses():
                of_bot = losses.setdefault(event.key, [])
                assert event.first_step == steps_before[event.key] + len(of_bot) + 1
                of_bot += event.losses
            case Finished():
                weights[event.key] = {name: weight.clone() for name, weight in event.weights.items()}
    return {key: (losses[key], weights.get(key)) for key in losses}


def distance(weights: dict[str, torch.Tensor], model: GPT2LMHeadModel) -> float:
    """Return the relative L2 distance of all weights together."""
    named = {name: parameter.detach() for name, parameter in model.named_parameters()}
    difference = torch.cat([(weights[name] - named[name]).flatten() for name in named])
    return float(difference.norm() / torch.cat([parameter.flatten() for parameter in named.values()]).norm())
