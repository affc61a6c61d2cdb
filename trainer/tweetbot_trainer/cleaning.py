"""From raw posts to the texts that a bot learns, exactly as huggingtweets does it, with the counts of its card.

Pure: no clock, no files. What `spec.cleaning` asks for beyond huggingtweets is in `post_rules`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tweetbot_api.spec.cleaning import Cleaning
from tweetbot_api.status import HandleCounts
from tweetbot_trainer.post_rules import PostRules
from tweetbot_trainer.sources.base import Post
from tweetbot_trainer.text_file import TextFile

_ENTITIES = (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_LINK_PREFIXES = ("http:", "https:")
# What is deleted together with a link, in this order: text before it, text behind it.
_LINK_SURROUNDINGS = ((" ", ""), ("", " "), ("\n", " "), ("\n", ""), ("", ""))
_SPACES = re.compile(" +")


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanedPosts:
    """What is left of one handle's posts."""

    counts: HandleCounts
    """The handle's column of the card's data table."""
    texts: Sequence[str]
    """The kept texts, in the order of the source."""


def clean_posts(
    handle: str,
    display_name: str | None,
    posts: Iterable[Post],
    cleaning: Cleaning | None = None,
    texts: TextFile | None = None,
) -> CleanedPosts:
    """Clean one handle's posts and count what falls away; without `cleaning` exactly as huggingtweets does it.

    The kept texts are collected in `texts`, for what may not fit into memory, else in a list.
    """
    kept: list[str] | TextFile = [] if texts is None else texts
    rules = PostRules(cleaning or Cleaning())
    num_reposts = num_short = num_filtered = 0
    for post in posts:
        if post.kind == "repost":
            num_reposts += 1
            continue
        cleaned = clean_text(post.text)
        text = rules.apply_marks(cleaned)
        if rules.is_short(cleaned) or not text:
            num_short += 1
        elif rules.leaves_out(cleaned, post.lang):
            num_filtered += 1
        else:
            kept.append(text)
    counts = HandleCounts(
        handle=handle,
        display_name=display_name,
        downloaded=num_reposts + num_short + num_filtered + len(kept),
        retweets=num_reposts,
        short=num_short,
        filtered=num_filtered,
        kept=len(kept),
    )
    return CleanedPosts(counts=counts, texts=kept)


def clean_text(text: str) -> str:
    """Return the text with entities decoded, links deleted and white space folded."""
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    for prefix in _LINK_PREFIXES:
        for before, behind in _LINK_SURROUNDINGS:
            text = _without_links(text, prefix, before, behind)
    return " ".join(_SPACES.sub(" ", text).split())


def _without_links(text: str, prefix: str, before: str, behind: str) -> str:
    """Delete each link (the prefix and the characters up to white space) that stands between these two texts.

    A link without the text behind it is matched whole and put back: trying again at each `http:` inside it would take
    quadratic time.
    """
    if prefix not in text:
        return text
    link = re.compile(rf"{before}{prefix}\S+({behind})?")
    return link.sub(lambda found: found[0] if behind and not found[1] else "", text)
