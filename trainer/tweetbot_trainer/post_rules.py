"""Which cleaned posts are learned from, and what becomes of their mentions and hashtags, by `spec.cleaning`.

With the defaults this is huggingtweets' rule alone: a post is short with fewer than three words that contain none of
`http`, `@` and `#`.
"""

import re
from typing import Final

from tweetbot_api.spec.cleaning import Cleaning, Marks
from tweetbot_trainer.language import is_language

_NOT_OWN: Final = ("http", "@", "#")
CHARACTERS_PER_WORD: Final = 2
"""Of writing without spaces; Japanese and Chinese words have two characters or a little more."""
UNSPACED: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan
    "\u1000-\u109f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
"""Letters of writing that puts no spaces between words, as ranges for a regular expression's brackets."""
_LETTER_WITHOUT_SPACES: Final = re.compile(f"[{UNSPACED}]")
_SPACED_LETTER: Final = rf"[^\W{UNSPACED}]"
_AFTER_NO_WORD: Final = rf"(?<!{_SPACED_LETTER})"
MENTION: Final = re.compile(
    # A name as X, Bluesky (a domain) and Mastodon (a name at a domain) write it.
    _AFTER_NO_WORD + r"[@\uff20][A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*(?:@[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)?"
)
HASHTAG: Final = re.compile(_AFTER_NO_WORD + r"(?<![&#])[#\uff03](?=\w*[^\W\d_])\w+")
_LINK: Final = re.compile(r"http\S*", re.IGNORECASE)


class PostRules:
    """The rules of one bot."""

    def __init__(self, cleaning: Cleaning) -> None:
        self._cleaning = cleaning
        self._denied = _any_term(cleaning.deny_terms)

    def is_short(self, text: str) -> bool:
        """Tell whether the cleaned text has too few words of the author's own."""
        if self._cleaning.unspaced_scripts == "words":
            num_own = sum(map(_is_own, text.split()))
        else:
            num_own = sum(map(_num_own, text.split()))
        return num_own < self._cleaning.min_words

    def leaves_out(self, text: str, language: str | None = None) -> bool:
        """Tell whether the cleaned text holds a denied term or is in another language than the one wanted.

        The language is what the source says (`en`, `pt-BR`); where it says none, the detector is asked.
        """
        if self._denied and self._denied.search(text):
            return True
        wanted = self._cleaning.language
        if wanted is None:
            return False
        if language:
            return language.lower().split("-")[0] != wanted
        return not is_language(_without_marks(text), wanted)

    def apply_marks(self, text: str) -> str:
        """Return the cleaned text with its mentions and hashtags kept, deleted or masked."""
        text = _apply(self._cleaning.mentions, MENTION, "@user", text)
        return _apply(self._cleaning.hashtags, HASHTAG, "#hashtag", text)


def _is_own(word: str) -> bool:
    """Tell whether huggingtweets counts the word."""
    lower = word.lower()
    return not any(mark in lower for mark in _NOT_OWN)


def _num_own(word: str) -> int:
    """Return for how many words the text between two spaces counts; its marks and links count for none."""
    num_letters = len(_LETTER_WITHOUT_SPACES.findall(_without_marks(word)))
    return max(num_letters // CHARACTERS_PER_WORD, _is_own(word))


def _without_marks(text: str) -> str:
    for pattern in (_LINK, MENTION, HASHTAG):
        text = pattern.sub(" ", text)
    return text.strip()


def _apply(wish: Marks, pattern: re.Pattern[str], mask: str, text: str) -> str:
    if wish == "keep":
        return text
    return " ".join(pattern.sub(mask if wish == "mask" else "", text).split())


def _any_term(terms: list[str]) -> re.Pattern[str] | None:
    """Return a pattern for any of the terms, as whole words where the writing has words."""
    if not terms:
        return None
    return re.compile("|".join(map(_term, terms)), re.IGNORECASE)


def _term(term: str) -> str:
    words = r"\s+".join(map(re.escape, term.split()))
    before = _AFTER_NO_WORD if re.match(_SPACED_LETTER, term) else ""
    behind = rf"(?!{_SPACED_LETTER})" if re.match(_SPACED_LETTER, term[-1]) else ""
    return f"{before}{words}{behind}"
