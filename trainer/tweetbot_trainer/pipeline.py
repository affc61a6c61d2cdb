"""The train half of a run: train, evaluate, generate, publish.

Works from the dataset that the prepare half has stored. A run whose manifest is stored is reported, not repeated. The
text of posts never reaches a log.
"""

import json
import logging
import time
from functools import partial
from pathlib import Path
from typing import Final

import torch

from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import digest
from tweetbot_api.runconfig import RunConfig
from tweetbot_api.status import Evaluation
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.base_model import check_block_size, fingerprint, resolve_base_model
from tweetbot_trainer.checkpoint import Checkpoints, remove_checkpoints
from tweetbot_trainer.control import Control
from tweetbot_trainer.distributed import (
    local_device,
    lost_peers_named,
    open_process_group,
    rank,
    use_available_cpus,
)
from tweetbot_trainer.engine import device_errors_named, uses_bf16
from tweetbot_trainer.evaluate import held_out_loss, make_evaluation
from tweetbot_trainer.generate import Sample, check_prompts, write_posts, write_samples
from tweetbot_trainer.hub import push_model
from tweetbot_trainer.interruption import sigterm_asks
from tweetbot_trainer.language import main_language
from tweetbot_trainer.lineage import start_training
from tweetbot_trainer.metrics_log import MetricsLog
from tweetbot_trainer.models import LanguageModel, load_language_model
from tweetbot_trainer.output_manifest import read_output_manifest
from tweetbot_trainer.progress import Reporter
from tweetbot_trainer.publish import TrainedBot, publish
from tweetbot_trainer.stored_dataset import read_dataset, seed_of, tokenize
from tweetbot_trainer.text_measures import add_writing
from tweetbot_trainer.tracking import Tracker
from tweetbot_trainer.train import train
from tweetbot_trainer.versions import version_of

logger = logging.getLogger(__name__)

_FEWEST_HELD_OUT_TOKENS: Final = 2


def train_bot(config: RunConfig, store: Store, reporter: Reporter, tracker: Tracker, work_dir: Path) -> BotOutcome:
    """Train one bot and leave model, card, pictures and manifest in the store; return losses, samples and addresses."""
    if finished := read_output_manifest(store):
        logger.info("run is finished already sha256=%s", finished.manifest_sha256)
        remove_checkpoints(store)
        return finished.model_copy(update={"hugging_face": push_model(config, store, work_dir)})
    started = time.monotonic()
    # Where the pod can still be stopped at any moment, and before anything heavy is read.
    open_process_group(local_device())
    dataset = read_dataset(config, store)
    reporter.report("Training", 0)
    start_training(config, dataset.parts.train, tracker, work_dir)
    folder = resolve_base_model(config.base_model, config.output, work_dir)
    language_model = load_base_model(config, folder)
    blocks, held_out = tokenize(config, dataset.parts, language_model)
    metrics = MetricsLog(work_dir, reporter, tracker)
    with device_errors_named():
        base_loss = _held_out_loss(config, language_model.model, held_out)
        metrics.add_held_out(0, base_loss)
        with lost_peers_named(), sigterm_asks() as is_asked_to_stop:
            train(
                language_model.model,
                blocks,
                config.training,
                seed_of(config),
                metrics,
                held_out_loss=None
                if base_loss is None
                else partial(held_out_loss, token_ids=held_out, block_size=config.training.block_size),
                checkpoints=Checkpoints(
                    store, training_identity(config, fingerprint(folder), blocks), work_dir, Control()
                ),
                is_asked_to_stop=is_asked_to_stop,
            )
        if rank() > 0:
            return BotOutcome()
        evaluation = _evaluate(config, language_model, held_out, base_loss, reporter, metrics)
        samples = _generate(config, language_model, reporter)
        measured_posts = list(write_posts(language_model, config.generation, "", config.generation.measured_posts))
    evaluation = add_writing(evaluation, measured_posts, dataset.learned, seed_of(config))
    metrics.add_writing(evaluation)
    bot = TrainedBot(
        config=config,
        info=dataset.info,
        language_model=language_model,
        evaluation=evaluation,
        samples=samples,
        language=config.cleaning.language or main_language(dataset.learned),
        avatars=dataset.avatars,
        measured_posts=measured_posts,
        metrics=metrics,
        device=device_name(language_model.model.device),
        arithmetic="bf16" if uses_bf16(config.training, language_model.model.device) else "fp32",
        engine="deepspeed",
    )
    outcome = publish(bot, store, reporter, tracker, work_dir)
    remove_checkpoints(store)
    logger.info("run finished seconds=%d sha256=%s", time.monotonic() - started, outcome.manifest_sha256)
    return outcome


def load_base_model(config: RunConfig, folder: Path) -> LanguageModel:
    """Return the base model on this process's device, after checking that the recipe fits it."""
    check_block_size(folder, config.training.block_size)
    use_available_cpus()
    device = local_device()
    with device_errors_named():
        language_model = load_language_model(folder, device)
    check_prompts(language_model, config.generation)
    logger.info(
        "base model loaded parameters=%d device=%s threads=%d",
        language_model.model.num_parameters(), device, torch.get_num_threads(),
    )  # fmt: skip
    return language_model


def training_identity(config: RunConfig, base_model: str, blocks: list[list[int]]) -> dict[str, str]:
    """Return what must be the same for a training to go on from another attempt's checkpoint.

    `base_model` is the fingerprint of its files.
    """
    recipe = config.training.model_dump(mode="json", exclude={"checkpoint_steps"})
    return {
        "recipe": digest(json.dumps(recipe, sort_keys=True)),
        "dataset": digest(json.dumps(blocks)),
        "baseModel": base_model,
        **_versions(),
    }


def _held_out_loss(config: RunConfig, model: torch.nn.Module, held_out: list[int]) -> float | None:
    if len(held_out) < _FEWEST_HELD_OUT_TOKENS:
        return None
    return held_out_loss(model, held_out, config.training.block_size)


def _evaluate(
    config: RunConfig,
    language_model: LanguageModel,
    held_out: list[int],
    base_loss: float | None,
    reporter: Reporter,
    metrics: MetricsLog,
) -> Evaluation | None:
    """Return how well the bot foresees held-out posts, None if none were held out."""
    reporter.report("Evaluating", 0)
    loss = _held_out_loss(config, language_model.model, held_out)
    if loss is None or base_loss is None:
        return None
    # The checkpoint of a bot that was trained in company does not tell of the base model.
    metrics.add_held_out(0, base_loss)
    metrics.add_held_out(metrics.num_steps, loss)
    logger.info("evaluated loss=%.4f base_loss=%.4f", loss, base_loss)
    return make_evaluation(loss, base_loss)


def _generate(config: RunConfig, language_model: LanguageModel, reporter: Reporter) -> list[Sample]:
    reporter.report("Generating", 0)
    return write_samples(language_model, config.generation, seed_of(config))


def _versions() -> dict[str, str]:
    return {name: version_of(name) for name in ("tweetbot-operator", "torch", "transformers", "deepspeed", "peft")}


def device_name(device: torch.device) -> str:
    """Return what a bot was trained on, for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
