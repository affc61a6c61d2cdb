"""A run in the words of the fused engine, and what the engine gives in the words of the run."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tweetbot_api.runconfig import RunConfig
from tweetbot_trainer.fused.batch import Learner
from tweetbot_trainer.fused.course import Course, Snapshot
from tweetbot_trainer.fused.decoding import Sampling
from tweetbot_trainer.generate import TOP_K, Sample, read_post
from tweetbot_trainer.models import LanguageModel
from tweetbot_trainer.stored_dataset import seed_of
from tweetbot_trainer.train import make_batches


def make_learner(
    config: RunConfig,
    blocks: Sequence[Sequence[int]],
    held_out: Sequence[int],
    language_model: LanguageModel,
    start: Snapshot | None = None,
) -> Learner:
    """Return what the engine has to know of the run; `start` is where an earlier attempt left off."""
    return Learner(
        course=replace(make_course(config, blocks), start=start),
        held_out=held_out,
        prompts=_prompts(config, language_model),
        sampling=_sampling(config, language_model),
        seed=seed_of(config),
    )


def make_course(config: RunConfig, blocks: Sequence[Sequence[int]]) -> Course:
    """Return the run's recipe as the engine takes it: the order and the rates that it has alone."""
    recipe = config.training
    tokens = np.asarray(blocks, dtype=np.int64)
    batches = make_batches(len(blocks), recipe.batch_size, seed_of(config))
    warmup = math.ceil(len(batches) * recipe.warmup_ratio)
    return Course(
        key=config.bot.uid,
        batches=[tokens[batch] for batch in batches],
        learning_rates=[recipe.learning_rate * _cosine(step, warmup, len(batches)) for step in range(len(batches))],
        max_grad_norm=recipe.max_grad_norm,
        rests=[every for every in (recipe.checkpoint_steps, recipe.eval_steps) if every],
    )


def texts_of(
    config: RunConfig, posts: Sequence[Sequence[int]], language_model: LanguageModel
) -> tuple[list[Sample], list[str]]:
    """Return what the bot wrote as text: the samples by prompt, and the posts that are measured."""
    generation = config.generation
    texts = [
        read_post(language_model, [*prompt, *post], len(prompt))
        for prompt, post in zip(_prompts(config, language_model), posts, strict=True)
    ]
    count = generation.samples_per_prompt
    samples = [
        Sample(prompt=prompt, posts=texts[index * count : (index + 1) * count])
        for index, prompt in enumerate(generation.prompts)
    ]
    return samples, texts[len(generation.prompts) * count :]


def _cosine(step: int, warmup: int, total: int) -> float:
    """Return the share of the peak rate, as transformers' `get_cosine_schedule_with_warmup` has it."""
    if step < warmup:
        return step / max(1, warmup)
    return (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup))) / 2


def _prompts(config: RunConfig, language_model: LanguageModel) -> list[list[int]]:
    """Return what each post begins with: the samples of each prompt, then the posts that are measured."""
    generation, separator = config.generation, language_model.separator_id
    encoded = [[separator, *language_model.encode(prompt)] for prompt in generation.prompts]
    samples = [prompt for prompt in encoded for _ in range(generation.samples_per_prompt)]
    return [*samples, *([separator] for _ in range(generation.measured_posts))]


def _sampling(config: RunConfig, language_model: LanguageModel) -> Sampling:
    generation = config.generation
    # The separator in front counts here, and not in the spec.
    return Sampling(
        temperature=generation.temperature,
        top_k=TOP_K,
        top_p=generation.top_p,
        min_length=generation.min_length + 1,
        max_length=generation.max_length + 1,
        end_id=language_model.separator_id,
    )
