"""The train half of a run: train, evaluate, generate, publish.

Works from the dataset that the prepare half has stored. A run whose manifest is stored is reported, not repeated. The
text of posts never reaches a log.
"""

import hashlib
import json
import logging
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch

from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import DATASET_AVATARS, DATASET_INFO, DATASET_POSTS, digest
from tweetbot_api.runconfig import RunConfig
from tweetbot_api.status import Evaluation
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.avatar import draw_avatar
from tweetbot_trainer.base_model import check_block_size, fingerprint, resolve_base_model
from tweetbot_trainer.checkpoint import Checkpoints, remove_checkpoints
from tweetbot_trainer.control import Control
from tweetbot_trainer.dataset import (
    DatasetInfo,
    PostsByHandle,
    build_blocks,
    join_posts,
    posts_from_jsonl,
    split,
    training_text,
)
from tweetbot_trainer.distributed import local_device, rank, use_available_cpus
from tweetbot_trainer.engine import memory_errors_named, uses_bf16
from tweetbot_trainer.errors import TrainerError
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
from tweetbot_trainer.text_measures import add_writing
from tweetbot_trainer.tracking import Tracker
from tweetbot_trainer.train import train

logger = logging.getLogger(__name__)

_FEWEST_HELD_OUT_TOKENS: Final = 2


def train_bot(config: RunConfig, store: Store, reporter: Reporter, tracker: Tracker, work_dir: Path) -> BotOutcome:
    """Train one bot and leave model, card, pictures and manifest in the store; return losses, samples and addresses."""
    if finished := read_output_manifest(store):
        logger.info("run is finished already sha256=%s", finished.manifest_sha256)
        remove_checkpoints(store)
        return finished.model_copy(update={"hugging_face": push_model(config, store, work_dir)})
    started = time.monotonic()
    info, posts = _read_dataset(config, store)
    reporter.report("Training", 0)
    start_training(config, split(posts, config.training.eval_fraction, _seed(config)).train, tracker, work_dir)
    folder = resolve_base_model(config.base_model, config.output, work_dir)
    language_model = _load_base_model(config, folder)
    blocks, held_out = _tokenize(config, posts, language_model)
    metrics = MetricsLog(work_dir, reporter, tracker)
    with memory_errors_named():
        base_loss = _held_out_loss(config, language_model.model, held_out)
        metrics.add_held_out(0, base_loss)
        with sigterm_asks() as is_asked_to_stop:
            train(
                language_model.model,
                blocks,
                config.training,
                _seed(config),
                metrics,
                held_out_loss=None
                if base_loss is None
                else partial(held_out_loss, token_ids=held_out, block_size=config.training.block_size),
                checkpoints=Checkpoints(store, _identity(config, folder, blocks), work_dir, Control()),
                is_asked_to_stop=is_asked_to_stop,
            )
        if rank() > 0:
            return BotOutcome()
        evaluation = _evaluate(config, language_model, held_out, base_loss, reporter, metrics)
        samples = _generate(config, language_model, reporter)
        measured_posts = list(write_posts(language_model, config.generation, "", config.generation.measured_posts))
    learned_posts = _learned_posts(config, posts)
    evaluation = add_writing(evaluation, measured_posts, learned_posts, _seed(config))
    metrics.add_writing(evaluation)
    bot = TrainedBot(
        config=config,
        info=info,
        language_model=language_model,
        evaluation=evaluation,
        samples=samples,
        language=config.cleaning.language or main_language(learned_posts),
        avatars=_read_avatars(config, store),
        measured_posts=measured_posts,
        metrics=metrics,
        device=_device_name(language_model.model.device),
        arithmetic="bf16" if uses_bf16(config.training, language_model.model.device) else "fp32",
    )
    outcome = publish(bot, store, reporter, tracker, work_dir)
    remove_checkpoints(store)
    logger.info("run finished seconds=%d sha256=%s", time.monotonic() - started, outcome.manifest_sha256)
    return outcome


def _read_dataset(config: RunConfig, store: Store) -> tuple[DatasetInfo, PostsByHandle]:
    """Return what the prepare half has stored; raise StorageUnavailable if it is not there whole."""
    facts, posts = store.read_bytes(DATASET_INFO), store.read_bytes(DATASET_POSTS)
    if facts is None or posts is None:
        raise TrainerError(Reason.STORAGE_UNAVAILABLE, f"there is no dataset at {store.uri(DATASET_INFO)}")
    info = DatasetInfo.model_validate_json(facts)
    if hashlib.sha256(posts).hexdigest() != info.dataset.sha256:
        raise TrainerError(
            Reason.STORAGE_UNAVAILABLE, f"{store.uri(DATASET_POSTS)} is not the file that {DATASET_INFO} describes"
        )
    return info, posts_from_jsonl(posts, config.handles)


def _read_avatars(config: RunConfig, store: Store) -> dict[str, bytes]:
    """Return the pictures of the accounts that have one which can be shown."""
    found = {handle: store.read_bytes(f"{DATASET_AVATARS}/{handle}") for handle in config.handles}
    drawn = {handle: draw_avatar(data) for handle, data in found.items() if data}
    return {handle: picture for handle, picture in drawn.items() if picture}


def _load_base_model(config: RunConfig, folder: Path) -> LanguageModel:
    """Return the base model on this process's device, after checking that the recipe fits it."""
    check_block_size(folder, config.training.block_size)
    use_available_cpus()
    device = local_device()
    with memory_errors_named():
        language_model = load_language_model(folder, device)
    check_prompts(language_model, config.generation)
    logger.info(
        "base model loaded parameters=%d device=%s threads=%d",
        language_model.model.num_parameters(), device, torch.get_num_threads(),
    )  # fmt: skip
    return language_model


def _tokenize(
    config: RunConfig, posts: PostsByHandle, language_model: LanguageModel
) -> tuple[list[list[int]], list[int]]:
    """Return the blocks to learn and the tokens of the held-out posts."""
    recipe = config.training
    parts = split(posts, recipe.eval_fraction, _seed(config))
    text = training_text(parts.train, recipe.epochs, _seed(config))
    blocks = build_blocks(language_model.encode(text), recipe.block_size)
    held_out = [post for texts in parts.held_out.values() for post in texts]
    logger.info("posts tokenized blocks=%d block_size=%d", len(blocks), recipe.block_size)
    return blocks, language_model.encode(join_posts(held_out)) if held_out else []


def _identity(config: RunConfig, model_folder: Path, blocks: list[list[int]]) -> dict[str, str]:
    """Return what must be the same for a training to go on from another attempt's checkpoint."""
    recipe = config.training.model_dump(mode="json", exclude={"checkpoint_steps"})
    return {
        "recipe": digest(json.dumps(recipe, sort_keys=True)),
        "dataset": digest(json.dumps(blocks)),
        "baseModel": fingerprint(model_folder),
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
    metrics.add_held_out(metrics.num_steps, loss)
    logger.info("evaluated loss=%.4f base_loss=%.4f", loss, base_loss)
    return make_evaluation(loss, base_loss)


def _learned_posts(config: RunConfig, posts: PostsByHandle) -> list[str]:
    learned = split(posts, config.training.eval_fraction, _seed(config)).train
    return [post for texts in learned.values() for post in texts]


def _generate(config: RunConfig, language_model: LanguageModel, reporter: Reporter) -> list[Sample]:
    reporter.report("Generating", 0)
    return write_samples(language_model, config.generation, _seed(config))


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("tweetbot-operator", "torch", "transformers", "deepspeed", "peft")}


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _seed(config: RunConfig) -> int:
    if config.training.seed is None:
        raise ValueError("the run configuration carries no seed")
    return config.training.seed
