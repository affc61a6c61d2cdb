"""The model card: facts of a run, rendered as the README.md of the model's folder.

Pure. Every value that a template prints is escaped unless the code below has marked it as safe, so neither a display
name nor a post can add Markdown or HTML; the front matter is written by huggingface_hub's own card data.
"""

from functools import cache
from typing import Any, Final, Literal
from urllib.parse import quote

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import PackageLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from tweetbot_api.model import ApiModel
from tweetbot_api.names import model_name
from tweetbot_api.runconfig import RunConfig
from tweetbot_api.spec.cleaning import Cleaning
from tweetbot_api.spec.source import Source
from tweetbot_api.spec.training import Lora
from tweetbot_api.status import Dataset, Evaluation, HandleCounts, WandbRuns
from tweetbot_trainer.data_rows import data_rows
from tweetbot_trainer.generate import Sample
from tweetbot_trainer.safe_text import escape_markdown, printable
from tweetbot_trainer.text_measures import WRITING_ROWS

PROJECT_TAGS: Final = ("huggingtweets", "tweetbot")
_POSTS_PER_PROMPT: Final = 5
_LICENSES: Final = {"gpt2": "mit", "openai-community/gpt2": "mit", "distilgpt2": "apache-2.0"}
"""Of base models whose weights name no license beside them."""


EngineName = Literal["deepspeed", "fused"]
"""What trained a bot: DeepSpeed, or the engine that trains several bots at once."""


class CardFacts(ApiModel):
    """Everything that a card tells; stored with the run, so that the card can be written anew."""

    config: RunConfig
    """The run."""
    data: list[HandleCounts]
    """The data table, one column per handle."""
    dataset: Dataset
    """The posts that were learned."""
    language: str
    """What most of the posts are written in (ISO 639-1)."""
    avatars: list[str] = []
    """Handles whose picture lies beside the card."""
    evaluation: Evaluation | None = None
    """Held-out loss and writing, as far as they were measured."""
    samples: list[Sample]
    """What the bot wrote."""
    wandb: WandbRuns | None = None
    """The runs' addresses, when online."""
    num_steps: int
    """Optimiser steps of the training."""
    device: str
    """What it was trained on, as people say it: `CPU` or the GPU's name."""
    arithmetic: str
    """`fp32` or `bf16`."""
    engine: EngineName = "deepspeed"
    """What trained it."""


def render_card(facts: CardFacts) -> str:
    """Return the card: front matter and text."""
    return f"---\n{_metadata(facts).to_yaml()}\n---\n\n{_template().render(_values(facts))}"


def hub_name(base_model: str) -> str | None:
    """Return the base model's name on the Hub, None if it comes from elsewhere."""
    return None if "://" in base_model else base_model


def _origin(source: Source) -> str:
    """Return where the posts were read, as people say it."""
    if source.mastodon:
        return f"the Mastodon server {source.mastodon.instance}"
    return {"archive": "the archive of the account's owner", "files": "files", "x": "X's API", "bluesky": "Bluesky"}[
        source.kind
    ]


def title_of(counts: HandleCounts) -> str:
    """Return the account's display name, or its handle where the source tells none."""
    return printable(counts.display_name or "") or f"@{counts.handle}"


def avatar_file(handle: str) -> str:
    """Return where the account's picture lies in the model's folder."""
    return f"avatars/{handle}.png"


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


def _metadata(facts: CardFacts) -> ModelCardData:
    """Return the front matter as the Hub reads it."""
    base_model = hub_name(facts.config.base_model.name)
    license_name = _LICENSES.get(base_model or "")
    repository = facts.config.hugging_face.repo if facts.config.hugging_face else None
    return ModelCardData(
        language=facts.language,
        license=license_name or "other",
        license_name=None if license_name else "that-of-the-base-model",
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=base_model,
        tags=list(PROJECT_TAGS),
        thumbnail=f"https://huggingface.co/{repository}/resolve/main/predictions.png" if repository else None,
        widget=[{"text": prompt} for prompt in facts.config.generation.prompts if prompt] or None,
        model_name=model_name(facts.config.handles),
        eval_results=_eval_results(facts) or None,
    )


def _eval_results(facts: CardFacts) -> list[EvalResult]:
    evaluation = facts.evaluation or Evaluation()
    metrics = (
        ("perplexity", "Perplexity", evaluation.perplexity),
        ("loss", "Loss (nats per token)", evaluation.loss),
        ("memorization", "Share of posts with 8 learned words in a row", evaluation.memorization),
    )
    return [
        EvalResult(
            task_type="text-generation",
            task_name="Text Generation",
            dataset_type="private",
            dataset_name=f"posts of {_at_handles(facts)}",
            metric_type=metric_type,
            metric_name=metric_name,
            metric_value=value,
        )
        for metric_type, metric_name, value in metrics
        if value is not None
    ]


def _values(facts: CardFacts) -> dict[str, Any]:
    """Return what the template prints; only addresses and names made here are marked as safe."""
    base_model = facts.config.base_model
    hub = hub_name(base_model.name)
    wandb = facts.wandb or WandbRuns()
    evaluation = facts.evaluation or Evaluation()
    return {
        "name": Markup(model_name(facts.config.handles)),  # noqa: S704 - handles and hyphens
        "is_cyborg": len(facts.config.handles) > 1,
        "avatars": [Markup(quote(avatar_file(handle))) for handle in facts.avatars],  # noqa: S704 - quoted
        "data": facts.data,
        "data_rows": data_rows(facts.data),
        "dataset": facts.dataset,
        "cleaning": facts.config.cleaning,
        "is_cleaned_as_huggingtweets": facts.config.cleaning == Cleaning(),
        "title_of": title_of,
        "shown": _shown,
        "number": _number,
        "names": " & ".join(title_of(counts) for counts in facts.data),
        "handles": _at_handles(facts),
        "origin": _origin(facts.config.source),
        "base_model": hub or base_model.name.rstrip("/").rpartition("/")[2],
        "base_model_url": _safe_url(f"https://huggingface.co/{hub}") if hub else None,
        "revision": base_model.revision,
        "training": facts.config.training,
        "lora": facts.config.training.lora or Lora(),
        "generation": facts.config.generation,
        "num_steps": facts.num_steps,
        "device": facts.device,
        "arithmetic": facts.arithmetic,
        "is_trained_together": facts.engine == "fused",
        "evaluation": evaluation,
        "writing_rows": WRITING_ROWS,
        "samples": facts.samples,
        "posts_per_prompt": _POSTS_PER_PROMPT,
        # Inside a fence of code nothing is markup but the fence's end, which stands on a line of its own.
        "first_prompt": Markup(repr(printable(facts.config.generation.prompts[0]))),  # noqa: S704
        "preprocess_url": _safe_url(wandb.preprocess_url),
        "train_url": _safe_url(wandb.train_url),
    }


def _shown(text: str, instead: str) -> str:
    """Return what can be seen of a text; the other where nothing can, for empty emphasis is a line across the page."""
    return printable(text) or instead


def _number(value: float, form: str = "g") -> Markup:
    """Return the number in this form, alike whether it was stored as 1 or 1.0."""
    return Markup(format(value, form))  # noqa: S704 - digits


def _at_handles(facts: CardFacts) -> str:
    return " & ".join(f"@{handle}" for handle in facts.config.handles)


def _safe_url(url: str | None) -> Markup | None:
    """Return an https address with everything quoted that could end the link; None for anything else."""
    if url is None or not url.startswith("https://"):
        return None
    return Markup(quote(url, safe=":/?&=%@~+,;-._"))  # noqa: S704 - quoted
