"""A trained bot at work: posts from a saved model, with the settings saved beside it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from pydantic import ValidationError

from tweetbot_api.conditions import Reason
from tweetbot_api.problems import tell_problems
from tweetbot_api.spec.generation import Generation
from tweetbot_trainer.distributed import local_device, use_available_cpus
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.generate import check_prompts, write_posts
from tweetbot_trainer.models import load_language_model

_SAVED = ("min_length", "max_length", "temperature", "top_p")


def posts_by_saved_model(folder: Path, prompts: Sequence[str], count: int, seed: int) -> Iterator[str]:
    """Yield so many posts for each prompt in turn; the same seed on the same machine gives the same posts.

    Raises InvalidSpec for a prompt that is too long.
    """
    wishes = [_saved_generation(folder, prompt) for prompt in prompts]
    use_available_cpus()
    language_model = load_language_model(folder, local_device())
    for wish in wishes:
        check_prompts(language_model, wish)
    torch.manual_seed(seed)
    for prompt, wish in zip(prompts, wishes, strict=True):
        yield from write_posts(language_model, wish, prompt, count)


def _saved_generation(folder: Path, prompt: str) -> Generation:
    """Return the model's own settings with this prompt; huggingtweets' where it has none."""
    path = folder / "generation_config.json"
    saved = json.loads(path.read_bytes()) if path.is_file() else {}
    try:
        return Generation(prompts=[prompt], **{name: saved[name] for name in _SAVED if saved.get(name) is not None})
    except ValidationError as error:
        problems = "; ".join(tell_problems(error))
        raise TrainerError(
            Reason.INVALID_SPEC, f"the prompt or the settings in {path.name} cannot be used: {problems}"
        ) from error
