"""From kept posts to the text and the token blocks that a bot is trained on, and the posts held out to measure it.

Pure: the same posts and seed give the same bytes.
"""

import io
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, TextIO

from tweetbot_api.conditions import Reason
from tweetbot_api.model import ApiModel
from tweetbot_api.names import END_OF_TEXT
from tweetbot_api.status import Dataset, HandleCounts
from tweetbot_trainer.errors import TrainerError

LEAST_CHARACTERS: Final = 6_000
"""With less text than this a model would only learn it by heart."""
FEW_CHARACTERS: Final = 40_000
"""With less text than this the owner is warned."""

PostsByHandle = Mapping[str, Sequence[str]]


class DatasetInfo(ApiModel):
    """What `dataset/dataset.json` says of the stored posts; the prepare Job's whole result."""

    data: list[HandleCounts]
    """The card's data table."""
    dataset: Dataset
    """Size and hash of the stored posts."""
    seed: int
    """Seed of split and shuffling."""
    preprocess_url: str | None = None
    """The W&B run of the preparation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Kept posts, parted."""

    train: dict[str, list[str]]
    """Posts to learn, by handle."""
    held_out: dict[str, list[str]]
    """Posts to measure the loss on, by handle; empty lists if nothing is measured."""


def split(posts_by_handle: PostsByHandle, eval_fraction: float, seed: int) -> Split:
    """Hold out a share of each handle's posts, chosen by the seed; both parts keep their order."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    train: dict[str, list[str]] = {}
    held_out: dict[str, list[str]] = {}
    for handle, texts in posts_by_handle.items():
        chosen = set(rng.sample(range(len(texts)), num_held_out(len(texts), eval_fraction)))
        train[handle] = [text for index, text in enumerate(texts) if index not in chosen]
        held_out[handle] = [text for index, text in enumerate(texts) if index in chosen]
    return Split(train=train, held_out=held_out)


def num_held_out(num_posts: int, eval_fraction: float) -> int:
    """Return how many of so many posts are held out: at least one if any, never all."""
    if not eval_fraction or num_posts < 2:
        return 0
    return max(1, int(num_posts * eval_fraction))


def training_text(posts_by_handle: PostsByHandle, epochs: int, seed: int) -> str:
    """Return all epochs as one text: in each, every handle's posts shuffled and repeated to the longest's length."""
    file = io.StringIO()
    write_training_text(posts_by_handle, epochs, seed, file)
    return file.getvalue()


def write_training_text(posts_by_handle: PostsByHandle, epochs: int, seed: int, file: TextIO) -> None:
    """Write the training text without holding it: it is `epochs` times as long as the posts."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    longest = max(num_characters(texts) for texts in posts_by_handle.values())
    file.write(END_OF_TEXT)
    for _ in range(epochs):
        for texts in posts_by_handle.values():
            file.writelines(text + END_OF_TEXT for text in _balanced(texts, longest, rng))


def _balanced(texts: Sequence[str], num_wanted: int, rng: random.Random) -> list[str]:
    """Return the texts shuffled, repeated from the front until they hold as many characters as wanted."""
    shuffled = list(texts)
    rng.shuffle(shuffled)
    num_have = num_characters(shuffled)
    if not 0 < num_have < num_wanted:
        return shuffled
    for index in range(num_wanted):
        if num_have >= num_wanted:
            break
        shuffled.append(shuffled[index])
        num_have += len(shuffled[index])
    rng.shuffle(shuffled)
    return shuffled


def join_posts(texts: Iterable[str]) -> str:
    """Return the texts with the separator between them and at both ends."""
    return END_OF_TEXT + END_OF_TEXT.join(texts) + END_OF_TEXT


def build_blocks(token_ids: Sequence[int], block_size: int) -> list[list[int]]:
    """Cut the tokens into blocks of this size and drop the incomplete tail.

    Raises TooLittleText if not even one block can be filled.
    """
    num_blocks = len(token_ids) // block_size
    if not num_blocks:
        raise TrainerError(
            Reason.TOO_LITTLE_TEXT,
            f"the training text has {len(token_ids):,} tokens, fewer than one block of {block_size:,}; "
            "lower spec.training.blockSize or give more posts",
        )
    return [list(token_ids[index * block_size : (index + 1) * block_size]) for index in range(num_blocks)]


def num_characters(texts: Iterable[str]) -> int:
    """Return how many characters the texts have together."""
    return sum(map(len, texts))


def check_enough_text(posts_by_handle: PostsByHandle) -> str | None:
    """Return a warning if there is little text, None if there is plenty.

    Raises TooLittleText below 6,000 characters, separators counted as huggingtweets counts them.
    """
    num_posts = sum(map(len, posts_by_handle.values()))
    num_joined = sum(map(num_characters, posts_by_handle.values())) + len(END_OF_TEXT) * max(0, num_posts - 1)
    if num_joined < LEAST_CHARACTERS:
        raise TrainerError(
            Reason.TOO_LITTLE_TEXT,
            f"{num_posts:,} posts with {num_joined:,} characters are left after cleaning; "
            f"at least {LEAST_CHARACTERS:,} characters are needed",
        )
    if num_joined < FEW_CHARACTERS:
        return f"only {num_joined:,} characters are left after cleaning; with {FEW_CHARACTERS:,} a bot writes better"
    return None


def write_posts(posts_by_handle: PostsByHandle, file: BinaryIO) -> None:
    """Write the kept posts as they are stored, one `{"handle", "text"}` per line."""
    for handle, texts in posts_by_handle.items():
        for text in texts:
            line = json.dumps({"handle": handle, "text": text}, ensure_ascii=False)
            file.write(f"{line}\n".encode())


def posts_from_jsonl(data: bytes, handles: Iterable[str]) -> dict[str, list[str]]:
    """Return the stored posts by handle, in the order of the handles."""
    posts: dict[str, list[str]] = {handle: [] for handle in handles}
    for line in data.splitlines():
        post = json.loads(line)
        posts[post["handle"]].append(post["text"])
    return posts
