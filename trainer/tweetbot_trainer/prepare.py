"""The prepare half of a run: fetch the posts, clean and count them, store what the train half needs.

Needs no GPU and imports no torch. What is stored already is reported again instead of being worked for twice.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import DATASET_AVATARS, DATASET_INFO, DATASET_POSTS
from tweetbot_api.runconfig import RunConfig
from tweetbot_api.status import Dataset, WandbRuns
from tweetbot_trainer.artifacts import Store, file_sha256
from tweetbot_trainer.base_model import check_block_size, resolve_base_model
from tweetbot_trainer.cleaning import CleanedPosts, clean_posts
from tweetbot_trainer.dataset import (
    DatasetInfo,
    PostsByHandle,
    build_blocks,
    check_enough_text,
    num_characters,
    split,
    training_text,
    write_posts,
)
from tweetbot_trainer.hub import is_push_due, read_push
from tweetbot_trainer.lineage import start_preparation, track_preparation
from tweetbot_trainer.news import compare_with_former
from tweetbot_trainer.output_manifest import read_output_manifest
from tweetbot_trainer.progress import Reporter
from tweetbot_trainer.raw_posts import RawPosts
from tweetbot_trainer.sources.base import HasAvatars, Source
from tweetbot_trainer.sources.choose import open_source
from tweetbot_trainer.text_file import TextFile
from tweetbot_trainer.tracking import Tracker

logger = logging.getLogger(__name__)

_TOKENIZED_AT_ONCE: Final = 1_000
_PLAINLY_ENOUGH_BLOCKS: Final = 4
_MOST_AVATAR_BYTES: Final = 2 * 1024**2


def prepare(config: RunConfig, store: Store, reporter: Reporter, tracker: Tracker, work_dir: Path) -> BotOutcome:
    """Leave the dataset of one run in the store; return its counts and size."""
    # A model that is stored but not on the Hub yet is the train half's to push: it has the token.
    if (finished := read_output_manifest(store)) and not is_push_due(config, store):
        logger.info("run is finished already sha256=%s", finished.manifest_sha256)
        return finished.model_copy(update={"hugging_face": read_push(store) if config.hugging_face else None})
    if stored := store.read_bytes(DATASET_INFO):
        logger.info("dataset is stored already")
        return _outcome(DatasetInfo.model_validate_json(stored))
    start_preparation(config, tracker)
    tokenizer = _load_tokenizer(config, work_dir)
    raw_posts = {handle: RawPosts(work_dir / "raw" / f"{handle}.jsonl") for handle in config.handles}
    display_names = _fetch(config, raw_posts, store, reporter, work_dir)
    cleaned = _clean(config, raw_posts, display_names, reporter, work_dir)
    if unchanged := compare_with_former(config, _by_handle(cleaned)):
        return unchanged
    info = _store_dataset(config, cleaned, tokenizer, store, tracker.url, work_dir)
    track_preparation(config, work_dir / "raw", _learned(config, _by_handle(cleaned)), tracker, work_dir)
    tracker.finish()
    reporter.report("Cleaning", 1)
    return _outcome(info)


def _load_tokenizer(config: RunConfig, work_dir: Path) -> Tokenizer:
    """Return the base model's tokenizer, after checking that the model will do."""
    folder = resolve_base_model(config.base_model, config.output, work_dir, weights=False)
    check_block_size(folder, config.training.block_size)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def _fetch(
    config: RunConfig, raw_posts: Mapping[str, RawPosts], store: Store, reporter: Reporter, work_dir: Path
) -> dict[str, str | None]:
    """Write each handle's raw posts to a file, store its picture if there is one; return the display names."""
    reporter.report("Fetching", 0)
    source = open_source(config, work_dir / "source")
    display_names: dict[str, str | None] = {}
    for index, handle in enumerate(config.handles, start=1):
        raw_posts[handle].write(source.posts(handle))
        display_names[handle] = source.display_name(handle)
        _store_avatar(source, handle, store)
        reporter.report("Fetching", index / len(config.handles))
    return display_names


def _store_avatar(source: Source, handle: str, store: Store) -> None:
    """Store the account's picture as it is; the train half, which can decode pictures, looks whether it is one."""
    picture = source.avatar(handle) if isinstance(source, HasAvatars) else None
    if picture and len(picture) <= _MOST_AVATAR_BYTES:
        store.write_bytes(f"{DATASET_AVATARS}/{handle}", picture)


def _clean(
    config: RunConfig,
    raw_posts: Mapping[str, RawPosts],
    display_names: Mapping[str, str | None],
    reporter: Reporter,
    work_dir: Path,
) -> list[CleanedPosts]:
    """Clean and count the posts of each handle."""
    reporter.report("Cleaning", 0)
    cleaned = []
    for index, handle in enumerate(config.handles, start=1):
        texts = TextFile(work_dir / "kept" / handle)
        posts = clean_posts(handle, display_names[handle], raw_posts[handle].read(handle), config.cleaning, texts)
        counts = posts.counts
        logger.info(
            "posts cleaned handle=%s downloaded=%d retweets=%d short=%d filtered=%d kept=%d",
            handle, counts.downloaded, counts.retweets, counts.short, counts.filtered, counts.kept,
        )  # fmt: skip
        cleaned.append(posts)
        reporter.report("Cleaning", 0.5 * index / len(config.handles))
    return cleaned


def _store_dataset(
    config: RunConfig,
    cleaned: list[CleanedPosts],
    tokenizer: Tokenizer,
    store: Store,
    preprocess_url: str | None,
    work_dir: Path,
) -> DatasetInfo:
    """Store the kept posts, and last what is known of them; refuse what is too little to train on."""
    posts = _by_handle(cleaned)
    warning = check_enough_text(posts)
    if warning:
        logger.warning("little text: %s", warning)
    num_tokens = sum(_count_tokens(texts, tokenizer) for texts in posts.values())
    _require_one_block(config, posts, num_tokens, tokenizer)
    path = work_dir / DATASET_POSTS
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_posts(posts, file)
    info = DatasetInfo(
        data=[item.counts for item in cleaned],
        dataset=Dataset(
            characters=sum(map(num_characters, posts.values())),
            tokens=num_tokens,
            sha256=file_sha256(path),
            warning=warning,
        ),
        seed=_seed(config),
        preprocess_url=preprocess_url,
    )
    store.upload(path, DATASET_POSTS)
    store.write_bytes(DATASET_INFO, json.dumps(info.to_wire(), indent=2, ensure_ascii=False).encode())
    logger.info("dataset stored uri=%s tokens=%d", store.uri(DATASET_POSTS), num_tokens)
    return info


def _count_tokens(texts: Sequence[str], tokenizer: Tokenizer) -> int:
    """Count in portions: the encodings of a large archive at once would take gigabytes."""
    return sum(
        len(encoding.ids)
        for start in range(0, len(texts), _TOKENIZED_AT_ONCE)
        for encoding in tokenizer.encode_batch(texts[start : start + _TOKENIZED_AT_ONCE], add_special_tokens=False)
    )


def _require_one_block(config: RunConfig, posts: PostsByHandle, num_tokens: int, tokenizer: Tokenizer) -> None:
    """Raise TooLittleText if the training text would not fill one block, before a GPU is asked for."""
    training = config.training
    if num_tokens * training.epochs < _PLAINLY_ENOUGH_BLOCKS * training.block_size:
        text = training_text(_learned(config, posts), training.epochs, _seed(config))
        build_blocks(tokenizer.encode(text, add_special_tokens=False).ids, training.block_size)


def _learned(config: RunConfig, posts: PostsByHandle) -> PostsByHandle:
    return split(posts, config.training.eval_fraction, _seed(config)).train


def _by_handle(cleaned: list[CleanedPosts]) -> PostsByHandle:
    return {item.counts.handle: item.texts for item in cleaned}


def _seed(config: RunConfig) -> int:
    if config.training.seed is None:
        raise ValueError("the run configuration carries no seed")
    return config.training.seed


def _outcome(info: DatasetInfo) -> BotOutcome:
    wandb = WandbRuns(preprocess_url=info.preprocess_url) if info.preprocess_url else None
    return BotOutcome(data=info.data, dataset=info.dataset, wandb=wandb)
