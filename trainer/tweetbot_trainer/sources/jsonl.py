"""Posts from a text file with one JSON value per line: a string, or an object with `full_text` or `text`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.base import Post, PostKind, is_repost_text, well_formed

MAX_LINE_BYTES: Final = 1024**2
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonlSource:
    """One file for each handle."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def posts(self, handle: str) -> Iterator[Post]:
        """Yield one post per line that is not blank."""
        path = self._files[handle]
        is_empty = True
        for number, line in _lines(path):
            is_empty = False
            yield _post(line, handle, f"{path.name} line {number}", number)
        if is_empty:
            raise TrainerError(Reason.SOURCE_EMPTY, f"{path.name} for @{handle} holds no posts")

    def display_name(self, handle: str) -> str | None:  # noqa: ARG002 - the protocol's signature
        """Return None: lines of posts do not name their author."""
        return None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank with their numbers."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise _unreadable(f"{path.name} line {number}", f"is longer than {MAX_LINE_BYTES:,} bytes")
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if line := line.strip():
                yield number, line


def _post(line: bytes, handle: str, place: str, number: int) -> Post:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _unreadable(place, "is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(place, f"is not JSON: {error}") from error
    fields = {"text": value} if isinstance(value, str) else value
    text = fields.get("full_text", fields.get("text")) if isinstance(fields, dict) else None
    if not isinstance(text, str):
        raise _unreadable(place, "is neither a JSON string nor an object with text or full_text")
    text = well_formed(text)
    return Post(id=str(fields.get("id") or number), handle=handle, text=text, kind=_kind(fields, text), source="jsonl")


def _kind(fields: Mapping[str, object], text: str) -> PostKind:
    """Return the kind by the fields of X's API (1.1 and 2), or by the text where there are none."""
    references = fields.get("referenced_tweets")
    named = {item.get("type") for item in references if isinstance(item, dict)} if isinstance(references, list) else ()
    if fields.get("retweeted_status") or "retweeted" in named or is_repost_text(text):
        return "repost"
    if fields.get("in_reply_to_status_id") or "replied_to" in named:
        return "reply"
    return "quote" if fields.get("quoted_status") or "quoted" in named else "original"


def _unreadable(place: str, problem: str) -> TrainerError:
    return TrainerError(Reason.SOURCE_UNREADABLE, f"{place} {problem}")
