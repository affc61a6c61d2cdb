"""Posts as X's two APIs describe them in JSON; tools and archives keep them as they are.

Version 2: https://docs.x.com/x-api/fundamentals/data-dictionary; version 1.1: its Tweet object, compatible and
extended mode.
"""

from collections.abc import Mapping
from typing import Any, Final

from tweetbot_trainer.sources.base import Post, PostKind, is_repost_text, well_formed
from tweetbot_trainer.sources.ids import sound_id
from tweetbot_trainer.sources.times import parse_time

Fields = Mapping[str, Any]

_NO_LANGUAGE: Final = frozenset({"und", "zxx", "art", "qam", "qct", "qht", "qme", "qst"})
_OLD_LANGUAGES: Final = {"in": "id", "iw": "he", "ji": "yi"}
_MAX_LANGUAGE_CHARACTERS: Final = 35


def post_of_v2(tweet: Fields, handle: str, source: str) -> Post | None:
    """Return the post of a version 2 object, long ones in full; None if it carries no text."""
    text = inner(tweet, "note_tweet").get("text") or tweet.get("text")
    if not isinstance(text, str):
        return None
    text = well_formed(text)
    history = tweet.get("edit_history_tweet_ids")
    return Post(
        id=sound_id(tweet.get("id")),
        handle=handle,
        text=text,
        created_at=parse_time(tweet.get("created_at")),
        kind=_kind_of_v2(tweet, text),
        lang=language(tweet.get("lang")),
        source=source,
        first_version=sound_id(history[0]) if isinstance(history, list) and len(history) > 1 else None,
    )


def post_of_v1(tweet: Fields, handle: str, source: str) -> Post | None:
    """Return the post of a version 1.1 object, long ones in full; None if it carries no text."""
    text = inner(tweet, "extended_tweet").get("full_text") or tweet.get("full_text", tweet.get("text"))
    if not isinstance(text, str):
        return None
    text = well_formed(text)
    return Post(
        id=sound_id(tweet.get("id_str") or tweet.get("id")),
        handle=handle,
        text=text,
        created_at=parse_time(tweet.get("created_at")),
        kind=_kind_of_v1(tweet, text),
        lang=language(tweet.get("lang")),
        source=source,
    )


def inner(fields: Fields, name: str) -> Fields:
    """Return the object in a field; an empty one if there is none."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def language(code: object) -> str | None:
    """Return the language's code; None for X's codes for posts of mentions, hashtags, links or emojis only."""
    if not isinstance(code, str) or not code or code.lower() in _NO_LANGUAGE:
        return None
    return _OLD_LANGUAGES.get(code.lower(), code.lower())[:_MAX_LANGUAGE_CHARACTERS]


def _kind_of_v2(tweet: Fields, text: str) -> PostKind:
    references = tweet.get("referenced_tweets")
    items = references if isinstance(references, list) else []
    kinds = {item.get("type") for item in items if isinstance(item, dict)}
    if "retweeted" in kinds or is_repost_text(text):
        return "repost"
    if "replied_to" in kinds:
        return "reply"
    return "quote" if "quoted" in kinds else "original"


def _kind_of_v1(tweet: Fields, text: str) -> PostKind:
    # The field `retweeted` says whether the asking account has retweeted it; archives write false for retweets too.
    if tweet.get("retweeted_status") or is_repost_text(text):
        return "repost"
    if tweet.get("in_reply_to_status_id_str") or tweet.get("in_reply_to_status_id"):
        return "reply"
    return "quote" if tweet.get("quoted_status_id_str") or tweet.get("quoted_status") else "original"
