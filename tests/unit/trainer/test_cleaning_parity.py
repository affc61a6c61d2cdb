"""The trainer's cleaning against a second statement of huggingtweets' rules, on posts made of what could trip it."""

import random

from tests.unit.trainer.huggingtweets_rules import kept_text
from tweetbot_trainer.cleaning import clean_posts
from tweetbot_trainer.sources.base import Post, is_repost_text

NUM_POSTS = 12_000
SPACES = [" ", " ", " ", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", "\x1c", ""]
LINKS = [
    "https://t.co/a1B2c3", "http://t.co/x", "https://x.y/?q=1&amp;r=2", "http:", "https:", "http:https://t.co/a",
    "https:http:", "HTTPS://T.CO/A", "(https://t.co/p)", "see:http://x.y.", "https://ü.de/🥚", "http://", "xhttp:a",
]  # fmt: skip
ENTITIES = ["&amp;", "&lt;", "&gt;", "&amp;amp;", "&amp;lt;", "&lt;3", "&ampamp;;", "&quot;", "&#39;", "&AMP;", "&"]
MARKS = ["@ada", "#moon", "@", "#", "me@home", "C#", "@ada:", "RT @ada:", "RT @ada", "rt @ada:", "RT @:", "RT @ä_1:"]
WORDS = [
    "moon",
    "tea",
    "I",
    "don't",
    "httpd",
    "HTTP",
    "Https",
    "naïve",
    "今日は",
    "привет",
    "🥚",
    "❤️",
    "👩\u200d🚀",
    "...",
    "İ",
    "ß",
]
PIECES = [SPACES, SPACES, LINKS, ENTITIES, MARKS, WORDS, WORDS, WORDS]


def make_post(rng):
    """Return a post of up to 16 pieces, each apart from or glued to the next."""
    pieces = [rng.choice(rng.choice(PIECES)) + rng.choice(SPACES) for _ in range(rng.randrange(17))]
    return "".join(pieces)


def test_the_same_posts_are_kept_with_the_same_texts_as_by_huggingtweets_rules():
    rng = random.Random(20261123)
    raw = [make_post(rng) for _ in range(NUM_POSTS)]
    posts = [
        Post(
            handle="me", text=text, kind="repost" if is_repost_text(text) else "original", source="test", id=str(number)
        )
        for number, text in enumerate(raw)
    ]
    want = []
    for text, post in zip(raw, posts, strict=True):
        kept = kept_text(text)
        want += [] if kept is None else [kept]
        assert clean_posts("me", None, [post]).texts == want[len(want) - (kept is not None) :], repr(text)
    cleaned = clean_posts("me", None, posts)
    assert want == cleaned.texts
    counts = cleaned.counts
    assert (len(raw), len(want)) == (counts.downloaded, counts.kept)
    assert min(counts.retweets, counts.short, counts.kept) > NUM_POSTS / 100, "each fate is met often"
