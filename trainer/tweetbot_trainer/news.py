"""Is there enough that the former model has not learned from? Told before anything is stored or a GPU is asked for."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from tweetbot_api.messages import BotOutcome, Unchanged
from tweetbot_api.names import DATASET_POSTS
from tweetbot_api.runconfig import RunConfig
from tweetbot_trainer.dataset import posts_from_jsonl
from tweetbot_trainer.s3 import open_store

logger = logging.getLogger(__name__)


def compare_with_former(config: RunConfig, posts: Mapping[str, Sequence[str]]) -> BotOutcome | None:
    """Return the outcome of a run that need not be trained, or None if it is to be."""
    if config.former is None:
        return None
    bucket, _, prefix = config.former.uri.removeprefix("s3://").partition("/")
    former = open_store(config.output.model_copy(update={"bucket": bucket, "prefix": prefix}))
    stored = former.read_bytes(DATASET_POSTS)
    if stored is None:
        logger.info("former dataset is gone uri=%s", config.former.uri)
        return None
    new_posts = count_new_posts(posts_from_jsonl(stored, config.handles), posts)
    logger.info("compared with the former run new_posts=%d", new_posts)
    return BotOutcome(unchanged=Unchanged(new_posts=new_posts)) if new_posts < config.former.min_new_posts else None


def count_new_posts(former: Mapping[str, Sequence[str]], posts: Mapping[str, Sequence[str]]) -> int:
    """Return how many posts are not among the former ones; a text that comes twice counts twice."""
    return sum((Counter(texts) - Counter(former.get(handle, ()))).total() for handle, texts in posts.items())
