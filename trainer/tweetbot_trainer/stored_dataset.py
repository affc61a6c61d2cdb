"""What the prepare half has left of one run, as the train half takes it: read, divided, tokenised."""

import hashlib
import logging
from dataclasses import dataclass

from tweetbot_api.conditions import Reason
from tweetbot_api.names import DATASET_AVATARS, DATASET_INFO, DATASET_POSTS
from tweetbot_api.runconfig import RunConfig
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.avatar import draw_avatar
from tweetbot_trainer.dataset import (
    DatasetInfo,
    Split,
    build_blocks,
    join_posts,
    posts_from_jsonl,
    split,
    training_text,
)
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.models import LanguageModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDataset:
    """The posts of one run, and what is known of them."""

    info: DatasetInfo
    """What the prepare half noted."""
    parts: Split
    """The posts that are learned, and those that are held out."""
    avatars: dict[str, bytes]
    """Pictures of the accounts that have one which can be shown, as PNG by handle."""

    @property
    def learned(self) -> list[str]:
        """The posts that are learned, each once."""
        return [post for texts in self.parts.train.values() for post in texts]


def read_dataset(config: RunConfig, store: Store) -> StoredDataset:
    """Return what is stored; raise DatasetDamaged if it is not there whole."""
    facts, posts = store.read_bytes(DATASET_INFO), store.read_bytes(DATASET_POSTS)
    if facts is None or posts is None:
        raise TrainerError(Reason.DATASET_DAMAGED, f"there is no dataset at {store.uri(DATASET_INFO)}")
    info = DatasetInfo.model_validate_json(facts)
    if hashlib.sha256(posts).hexdigest() != info.dataset.sha256:
        raise TrainerError(
            Reason.DATASET_DAMAGED, f"{store.uri(DATASET_POSTS)} is not the file that {DATASET_INFO} describes"
        )
    parts = split(posts_from_jsonl(posts, config.handles), config.training.eval_fraction, seed_of(config))
    return StoredDataset(info=info, parts=parts, avatars=_read_avatars(config, store))


def tokenize(config: RunConfig, parts: Split, language_model: LanguageModel) -> tuple[list[list[int]], list[int]]:
    """Return the blocks to learn, `[blocks, tokens]`, and the tokens of the held-out posts."""
    recipe = config.training
    text = training_text(parts.train, recipe.epochs, seed_of(config))
    blocks = build_blocks(language_model.encode(text), recipe.block_size)
    held_out = [post for texts in parts.held_out.values() for post in texts]
    logger.info("posts tokenized blocks=%d block_size=%d", len(blocks), recipe.block_size)
    return blocks, language_model.encode(join_posts(held_out)) if held_out else []


def seed_of(config: RunConfig) -> int:
    """Return the run's seed, which the operator or the command line has always set."""
    if config.training.seed is None:
        raise ValueError("the run configuration carries no seed")
    return config.training.seed


def _read_avatars(config: RunConfig, store: Store) -> dict[str, bytes]:
    found = {handle: store.read_bytes(f"{DATASET_AVATARS}/{handle}") for handle in config.handles}
    drawn = {handle: draw_avatar(data) for handle, data in found.items() if data}
    return {handle: picture for handle, picture in drawn.items() if picture}
