"""How posts are written, in numbers: diversity, length, marks, and how much is repeated from what was learned.

Pure. Words are compared in lower case and without punctuation. Writing without spaces counts by its letters, two to a
word, as `spec.cleaning.unspacedScripts: characters` counts it.

distinct-n
  distinct n-grams divided by all n-grams of the posts (Li et al. 2016, A Diversity-Promoting Objective Function for
  Neural Conversation Models, arXiv:1510.03055). It falls with the amount of text, so bot and author are measured on
  equally many posts.
memorization
  the share of posts that have eight or more consecutive words in common with one learned post: the measure that
  huggingtweets' readers ask for, as verbatim overlap of n words (Lee et al. 2022, Deduplicating Training Data Makes
  Language Models Better, arXiv:2107.06499, uses 50 tokens of long documents; a post is seldom that long).
"""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import emoji

from tweetbot_api.status import Evaluation, Writing
from tweetbot_trainer.post_rules import CHARACTERS_PER_WORD, HASHTAG, MENTION, UNSPACED

MEMORIZED_WORDS: Final = 8
WRITING_ROWS: Final = (
    ("Words", "words"),
    ("Characters", "characters"),
    ("Distinct words (distinct-1)", "distinct1"),
    ("Distinct pairs of words (distinct-2)", "distinct2"),
    ("Hashtags", "hashtags"),
    ("Mentions", "mentions"),
    ("Emoji", "emoji"),
)
"""Each measure's title for people, and its field of `Writing`."""
_MOST_AUTHOR_POSTS: Final = 1_000
"""More would not make the author's means any truer, only the run longer."""
_WORD: Final = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:['\u2019][^\W{UNSPACED}]+)*")
_UNSPACED_LETTER: Final = re.compile(f"[{UNSPACED}]")


def add_writing(
    evaluation: Evaluation | None, bot_posts: Sequence[str], learned_posts: Sequence[str], seed: int
) -> Evaluation | None:
    """Return the evaluation with how the bot writes beside its author; unchanged if it wrote nothing."""
    if not bot_posts or not learned_posts:
        return evaluation
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    author_posts = rng.sample(learned_posts, min(len(learned_posts), _MOST_AUTHOR_POSTS))
    num_compared = min(len(bot_posts), len(author_posts))
    return (evaluation or Evaluation()).model_copy(
        update={
            "memorization": memorization(bot_posts, learned_posts),
            "duplicates": duplicates(bot_posts),
            "bot": measure(bot_posts, num_compared),
            "author": measure(author_posts, num_compared),
        }
    )


def measure(posts: Sequence[str], num_for_distinct: int) -> Writing:
    """Return the measures of the posts, the diversity over the first `num_for_distinct` of them."""
    compared = [_words(post) for post in posts[:num_for_distinct]]
    return Writing(
        posts=len(posts),
        words=_mean(num_words(post) for post in posts),
        characters=_mean(len(post) for post in posts),
        distinct1=distinct(compared, 1),
        distinct2=distinct(compared, 2),
        hashtags=_mean(len(HASHTAG.findall(post)) for post in posts),
        mentions=_mean(len(MENTION.findall(post)) for post in posts),
        emoji=_mean(0 if post.isascii() else emoji.emoji_count(post) for post in posts),
    )


def distinct(posts: Iterable[Sequence[str]], n: int) -> float:
    """Return distinct n-grams as a share of all n-grams, none of which spans two posts; 0 if there is none."""
    ngrams = [tuple(words[start : start + n]) for words in posts for start in range(len(words) - n + 1)]
    return round(len(set(ngrams)) / len(ngrams), 4) if ngrams else 0.0


def memorization(posts: Sequence[str], learned_posts: Iterable[str]) -> float:
    """Return the share of the posts that repeat eight or more consecutive words of a learned post.

    The learned posts are streamed past what the bot wrote, which is little: a million of them take no memory.
    """
    writers: dict[tuple[str, ...], set[int]] = {}
    for index, post in enumerate(posts):
        for window in _windows(_words(post)):
            writers.setdefault(window, set()).add(index)
    memorized: set[int] = set()
    for learned in learned_posts:
        for window in _windows(_words(learned)):
            memorized |= writers.get(window, set())
    return round(len(memorized) / len(posts), 4) if posts else 0.0


def duplicates(posts: Sequence[str]) -> float:
    """Return the share of the posts that are the same, word for word, as one before them."""
    return round(1 - len({tuple(_words(post)) or post for post in posts}) / len(posts), 4) if posts else 0.0


def num_words(text: str) -> float:
    """Return how many words the text has; letters of writing without spaces are half a word each."""
    return sum(map(_weight, _words(text))) / CHARACTERS_PER_WORD


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _weight(word: str) -> int:
    return 1 if _UNSPACED_LETTER.match(word) else CHARACTERS_PER_WORD


def _windows(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield from each place on the shortest stretch that is as long as eight words."""
    wanted = MEMORIZED_WORDS * CHARACTERS_PER_WORD
    end = total = 0
    for start, word in enumerate(words):
        while end < len(words) and total < wanted:
            total += _weight(words[end])
            end += 1
        if total < wanted:
            return
        yield tuple(words[start:end])
        total -= _weight(word)


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return round(sum(numbers) / len(numbers), 4) if numbers else 0.0
