"""Posts that a model writes: for each prompt several at once, sampled from a seed, each up to its end of text.

A prompt is continued from right behind the separator, where posts begin in the training text.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch
from transformers import GenerationConfig

from tweetbot_api.conditions import Reason
from tweetbot_api.model import ApiModel
from tweetbot_api.spec.generation import Generation
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.models import LanguageModel
from tweetbot_trainer.safe_text import printable

TOP_K: Final = 50
"""What huggingtweets' version of transformers applied without being asked; newer ones have other defaults."""

_WRITTEN_AT_ONCE: Final = 64
"""Posts of one batch: enough to keep a GPU busy, few enough for its memory beside an optimiser."""


class Sample(ApiModel):
    """What the bot made of one prompt."""

    prompt: str
    """The beginning that was given."""
    posts: list[str]
    """Whole posts, the prompt included, each on one line."""


def generation_config(language_model: LanguageModel, generation: Generation) -> GenerationConfig:
    """Return the settings that are saved with the model; lengths are without the separator in front."""
    separator_id = language_model.separator_id
    return GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True,
        min_length=generation.min_length,
        max_length=generation.max_length,
        temperature=generation.temperature,
        top_p=generation.top_p,
        top_k=TOP_K,
        bos_token_id=separator_id,
        eos_token_id=separator_id,
        pad_token_id=separator_id,
    )


def check_prompts(language_model: LanguageModel, generation: Generation) -> None:
    """Raise InvalidSpec if a prompt leaves no room for a post, or if a post would not fit into the model's context."""
    context = language_model.context
    if context is not None and generation.max_length >= context:
        raise TrainerError(
            Reason.INVALID_SPEC,
            f"spec.generation.maxLength is {generation.max_length:,}; the base model reads {context:,} tokens at most, "
            "one of which stands before the post",
        )
    for index, prompt in enumerate(generation.prompts):
        num_tokens = len(language_model.encode(prompt))
        if num_tokens >= generation.max_length:
            raise TrainerError(
                Reason.INVALID_SPEC,
                f"spec.generation.prompts[{index}] has {num_tokens:,} tokens; "
                f"spec.generation.maxLength ({generation.max_length:,}) must be larger",
            )


def write_samples(language_model: LanguageModel, generation: Generation, seed: int) -> list[Sample]:
    """Return `samples_per_prompt` posts for each prompt; the same seed on the same machine gives the same posts."""
    torch.manual_seed(seed)
    return [
        Sample(
            prompt=prompt, posts=list(write_posts(language_model, generation, prompt, generation.samples_per_prompt))
        )
        for prompt in generation.prompts
    ]


def write_posts(language_model: LanguageModel, generation: Generation, prompt: str, count: int) -> Iterator[str]:
    """Yield so many posts that go on from the prompt, drawn from torch's random state, as many at once as memory holds.

    A large model leaves little room beside itself, and a trained one must not be lost for its samples.
    """
    language_model.model.train(mode=False)
    at_once, num_written = _WRITTEN_AT_ONCE, 0
    while num_written < count:
        try:
            posts = _write(language_model, generation, prompt, min(at_once, count - num_written))
        except torch.OutOfMemoryError:
            if at_once == 1:
                raise
            at_once //= 2
            continue
        yield from posts
        num_written += len(posts)


@torch.inference_mode()
def _write(language_model: LanguageModel, generation: Generation, prompt: str, count: int) -> list[str]:
    model: Any = language_model.model
    prompt_ids = [language_model.separator_id, *language_model.encode(prompt)]
    settings: Any = generation_config(language_model, generation)
    settings.update(
        min_length=generation.min_length + 1,
        max_length=generation.max_length + 1,
        num_return_sequences=count,
    )
    ids = torch.tensor([prompt_ids], device=model.device)
    output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    return [read_post(language_model, sequence, len(prompt_ids)) for sequence in output.tolist()]


def read_post(language_model: LanguageModel, ids: Sequence[int], num_prompt_ids: int) -> str:
    """Return the post on one line: the prompt and what follows up to the first separator or new line."""
    written = list(ids[num_prompt_ids:])
    if language_model.separator_id in written:
        written = written[: written.index(language_model.separator_id)]
    prompt = _decode(language_model, ids[1:num_prompt_ids])
    text = _decode(language_model, [*ids[1:num_prompt_ids], *written])
    return printable(prompt + text[len(prompt) :].split("\n", 1)[0])


def _decode(language_model: LanguageModel, ids: Sequence[int]) -> str:
    text = language_model.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text)
