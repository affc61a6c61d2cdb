"""The model card: facts of a run, rendered as the README.md of the model's folder.

Pure. Every value that a template prints is escaped unless the code below has marked it as safe, so neither a display
name nor a post can add Markdown or HTML; the front matter is written by a YAML library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import quote

import yaml
from jinja2 import PackageLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from tweetbot_api.names import model_name
from tweetbot_api.runconfig import RunConfig
from tweetbot_api.status import Evaluation, HandleCounts, WandbRuns
from tweetbot_trainer.generate import Sample
from tweetbot_trainer.safe_text import escape_markdown, printable

PROJECT_TAGS: Final = ("huggingtweets", "tweetbot")
_POSTS_PER_PROMPT: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """Everything that a card tells."""

    config: RunConfig
    """The run."""
    data: Sequence[HandleCounts]
    """The data table, one column per handle."""
    evaluation: Evaluation | None
    """Held-out loss, if posts were held out."""
    samples: Sequence[Sample]
    """What the bot wrote."""
    wandb: WandbRuns | None
    """The runs' addresses, when online."""
    num_steps: int
    """Optimiser steps of the training."""
    device: str
    """What it was trained on, as people say it: `CPU` or the GPU's name."""
    arithmetic: str
    """`fp32` or `bf16`."""


def render_card(facts: CardFacts) -> str:
    """Return the card: front matter and text."""
    front_matter = yaml.safe_dump(_metadata(facts), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{front_matter}---\n\n{_template().render(_values(facts))}"


def hub_name(base_model: str) -> str | None:
    """Return the base model's name on the Hub, None if it comes from elsewhere."""
    return None if "://" in base_model else base_model


@cache
def _template() -> Any:
    environment = SandboxedEnvironment(
        loader=PackageLoader("tweetbot_trainer"),
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # `finalize` escapes HTML and Markdown
    )
    return environment.get_template("model_card.md.jinja")


def _escaped(value: object) -> object:
    return escape_markdown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _metadata(facts: CardFacts) -> dict[str, Any]:
    """Return the front matter as the Hub reads it."""
    base_model = hub_name(facts.config.base_model.name)
    return {
        "language": "en",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        **({"base_model": base_model} if base_model else {}),
        "tags": list(PROJECT_TAGS),
        "widget": [{"text": prompt} for prompt in facts.config.generation.prompts if prompt],
        **(
            {"model-index": [_model_index(facts, facts.evaluation)]}
            if facts.evaluation and facts.evaluation.loss is not None
            else {}
        ),
    }


def _model_index(facts: CardFacts, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "name": model_name(facts.config.handles),
        "results": [
            {
                "task": {"type": "text-generation", "name": "Text Generation"},
                "dataset": {"type": "private", "name": f"held-out posts of {_at_handles(facts)}"},
                "metrics": [
                    {"type": "perplexity", "name": "Perplexity", "value": evaluation.perplexity},
                    {"type": "loss", "name": "Loss (nats per token)", "value": evaluation.loss},
                ],
            }
        ],
    }


def _values(facts: CardFacts) -> dict[str, Any]:
    """Return what the template prints; only addresses made here are marked as safe."""
    base_model = facts.config.base_model
    hub = hub_name(base_model.name)
    wandb = facts.wandb or WandbRuns()
    return {
        "name": Markup(model_name(facts.config.handles)),  # noqa: S704 - handles and hyphens
        "is_cyborg": len(facts.config.handles) > 1,
        "data": facts.data,
        "title_of": title_of,
        "names": " & ".join(title_of(counts) for counts in facts.data),
        "handles": _at_handles(facts),
        "base_model": hub or base_model.name.rstrip("/").rpartition("/")[2],
        "base_model_url": _safe_url(f"https://huggingface.co/{hub}") if hub else None,
        "revision": base_model.revision,
        "training": facts.config.training,
        "generation": facts.config.generation,
        "num_steps": facts.num_steps,
        "device": facts.device,
        "arithmetic": facts.arithmetic,
        "evaluation": facts.evaluation,
        "samples": facts.samples,
        "posts_per_prompt": _POSTS_PER_PROMPT,
        # Inside a fence of code nothing is markup but the fence's end, which stands on a line of its own.
        "first_prompt": Markup(repr(printable(facts.config.generation.prompts[0]))),  # noqa: S704
        "preprocess_url": _safe_url(wandb.preprocess_url),
        "train_url": _safe_url(wandb.train_url),
    }


def title_of(counts: HandleCounts) -> str:
    """Return the account's display name, or its handle where the source tells none."""
    return printable(counts.display_name or "") or f"@{counts.handle}"


def _at_handles(facts: CardFacts) -> str:
    return " & ".join(f"@{handle}" for handle in facts.config.handles)


def _safe_url(url: str | None) -> Markup | None:
    """Return an https address with everything quoted that could end the link; None for anything else."""
    if url is None or not url.startswith("https://"):
        return None
    return Markup(quote(url, safe=":/?&=%@~+,;-._"))  # noqa: S704 - quoted
