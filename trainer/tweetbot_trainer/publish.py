"""What a trained bot leaves behind: model folder, card, pictures, samples, metrics, and last the manifest."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import (
    CARD_FACTS,
    DATASET_INFO,
    DATASET_POSTS,
    LOSS_CURVE,
    METRICS,
    MODEL_DIR,
    PREDICTIONS,
    SAMPLES,
)
from tweetbot_api.runconfig import RunConfig
from tweetbot_api.status import Evaluation, WandbRuns
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.card import CardFacts, EngineName
from tweetbot_trainer.dataset import DatasetInfo
from tweetbot_trainer.generate import Sample, generation_config
from tweetbot_trainer.hub import push_model
from tweetbot_trainer.lineage import track_model
from tweetbot_trainer.metrics_log import MetricsLog
from tweetbot_trainer.models import LanguageModel
from tweetbot_trainer.output_manifest import RunFacts, write_output_manifest
from tweetbot_trainer.progress import Reporter
from tweetbot_trainer.showcase import write_showcase
from tweetbot_trainer.tracking import Tracker
from tweetbot_trainer.versions import version_of

_STATUS_SAMPLES: Final = 3
_STATUS_CHARACTERS: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedBot:
    """All that there is to publish."""

    config: RunConfig
    """The run."""
    info: DatasetInfo
    """The dataset it learned from."""
    language_model: LanguageModel
    """The trained model."""
    evaluation: Evaluation | None
    """Held-out loss, if posts were held out."""
    samples: list[Sample]
    """What it wrote."""
    language: str
    """What most of the posts are written in (ISO 639-1)."""
    avatars: Mapping[str, bytes]
    """Pictures of the accounts that have one, as PNG by handle."""
    measured_posts: list[str]
    """What it wrote without a prompt, to be measured."""
    metrics: MetricsLog
    """How the training went."""
    device: str
    """What it was trained on, for people."""
    arithmetic: str
    """`fp32` or `bf16`."""
    engine: EngineName
    """What trained it."""


def publish(bot: TrainedBot, store: Store, reporter: Reporter, tracker: Tracker, work_dir: Path) -> BotOutcome:
    """Store everything, the manifest last; return what the status reports."""
    reporter.report("Publishing", 0)
    files = _write_files(bot, tracker.url, work_dir)
    _upload(files, store, reporter)
    store.discard_unfinished()
    outcome = BotOutcome(
        data=bot.info.data,
        dataset=bot.info.dataset,
        evaluation=bot.evaluation,
        wandb=_wandb_runs(bot, tracker.url),
        samples=_status_samples(bot.samples),
    )
    for key in (DATASET_POSTS, DATASET_INFO):
        files[key] = work_dir / key
        store.download(key, files[key])
    facts = RunFacts(bot=bot.config.bot, created_at=datetime.now(UTC), outcome=outcome, details=_details(bot))
    sha256 = write_output_manifest(store, files, facts)
    # What is stored is safe: from here on nothing can fail the run.
    posts = [(sample.prompt, post) for sample in bot.samples for post in sample.posts]
    track_model(bot.config, bot.evaluation, posts, store.uri(MODEL_DIR), tracker, work_dir)
    tracker.finish()
    pushed = push_model(bot.config, store, work_dir)
    reporter.report("Publishing", 1)
    return outcome.model_copy(update={"manifest_sha256": sha256, "hugging_face": pushed})


def _write_files(bot: TrainedBot, train_url: str | None, work_dir: Path) -> dict[str, Path]:
    """Write every output to the work folder; return them by key."""
    _save_model(bot, work_dir / MODEL_DIR)
    facts = _card_facts(bot, train_url)
    (work_dir / CARD_FACTS).write_text(json.dumps(facts.to_wire(), indent=2, ensure_ascii=False), encoding="utf-8")
    write_showcase(work_dir / MODEL_DIR, facts, bot.metrics.losses, bot.avatars)
    for name in (PREDICTIONS, LOSS_CURVE):
        shutil.copyfile(work_dir / MODEL_DIR / name, work_dir / name)
    written = [*bot.samples, Sample(prompt="", posts=bot.measured_posts)]
    samples = json.dumps([sample.to_wire() for sample in written if sample.posts], indent=2, ensure_ascii=False)
    (work_dir / SAMPLES).write_text(samples, encoding="utf-8")
    model_files = [path for path in sorted((work_dir / MODEL_DIR).rglob("*")) if path.is_file()]
    return {
        **{path.relative_to(work_dir).as_posix(): path for path in model_files},
        **{key: work_dir / key for key in (PREDICTIONS, LOSS_CURVE, METRICS, SAMPLES, CARD_FACTS)},
    }


def _save_model(bot: TrainedBot, folder: Path) -> None:
    """Save weights, tokenizer and settings so that `transformers.pipeline` writes as the samples were written."""
    shutil.rmtree(folder, ignore_errors=True)
    model, tokenizer = bot.language_model.model, bot.language_model.tokenizer
    model.generation_config = generation_config(bot.language_model, bot.config.generation)
    # The pipeline puts it before every prompt.
    model.config.prefix = bot.language_model.separator
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _upload(files: Mapping[str, Path], store: Store, reporter: Reporter) -> None:
    num_bytes = sum(path.stat().st_size for path in files.values())
    num_stored = 0
    for key, path in files.items():
        store.upload(path, key)
        num_stored += path.stat().st_size
        reporter.report("Publishing", 0.9 * num_stored / num_bytes)


def _card_facts(bot: TrainedBot, train_url: str | None) -> CardFacts:
    return CardFacts(
        config=bot.config,
        data=bot.info.data,
        dataset=bot.info.dataset,
        language=bot.language,
        avatars=list(bot.avatars),
        evaluation=bot.evaluation,
        samples=bot.samples,
        wandb=_wandb_runs(bot, train_url),
        num_steps=bot.metrics.num_steps,
        device=bot.device,
        arithmetic=bot.arithmetic,
        engine=bot.engine,
    )


def _wandb_runs(bot: TrainedBot, train_url: str | None) -> WandbRuns | None:
    if not (bot.info.preprocess_url or train_url):
        return None
    return WandbRuns(preprocess_url=bot.info.preprocess_url, train_url=train_url)


def _status_samples(samples: list[Sample]) -> list[str]:
    """Return the first post of each prompt, then the second of each, and so on."""
    rounds = zip(*(sample.posts for sample in samples), strict=True)
    posts = [post for in_turn in rounds for post in in_turn if post]
    return [post[:_STATUS_CHARACTERS] for post in posts[:_STATUS_SAMPLES]]


def _details(bot: TrainedBot) -> dict[str, Any]:
    """Return what one would need to do the run again."""
    return {
        "baseModel": bot.config.base_model.to_wire(),
        "training": bot.config.training.to_wire(),
        "steps": bot.metrics.num_steps,
        "device": bot.device,
        "arithmetic": bot.arithmetic,
        "versions": {name: version_of(name) for name in ("tweetbot-operator", "torch", "transformers", "deepspeed")},
    }
