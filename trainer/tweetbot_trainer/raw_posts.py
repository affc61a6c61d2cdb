"""One handle's fetched posts, kept in a file between fetching and cleaning, each once and in its last version."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tweetbot_trainer.sources.base import Post

_MAX_NUMBER_DIGITS: Final = 20

_Key = int | str


class RawPosts:
    """The posts of one handle in a file of JSON lines.

    Several files of one account, or several answers of an API, hold some posts twice: the first counts. Of a post that
    was edited, all versions may be there, in any order: the last one counts, where it stands.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_versions: dict[_Key, _Key] = {}
        self.shapes: set[str] = set()

    def write(self, posts: Iterable[Post]) -> None:
        """Replace the file by these posts, less the repeated ones."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._last_versions.clear()
        seen: set[_Key] = set()
        with self._path.open("w", encoding="utf-8") as file:
            for post in posts:
                if post.id is not None:
                    key = _key(post.id)
                    if key in seen:
                        continue
                    seen.add(key)
                    self._note_version(post, key)
                self.shapes.add(post.source)
                file.write(json.dumps(_to_json(post), ensure_ascii=False) + "\n")

    def read(self, handle: str) -> Iterator[Post]:
        """Yield the posts in their order, of edited ones the last version only."""
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                post = _from_json(json.loads(line), handle)
                if not self._is_outdated(post):
                    yield post

    def _note_version(self, post: Post, key: _Key) -> None:
        if post.first_version is not None:
            first = _key(post.first_version)
            self._last_versions[first] = max(self._last_versions.get(first, key), key, key=_order)

    def _is_outdated(self, post: Post) -> bool:
        if post.id is None or not self._last_versions:
            return False
        key = _key(post.id)
        first = _key(post.first_version) if post.first_version else key
        return self._last_versions.get(first, key) != key


def _key(post_id: str) -> _Key:
    """Return the identifier as small as it can be kept: a million of them are."""
    return int(post_id) if len(post_id) <= _MAX_NUMBER_DIGITS and post_id.isdecimal() else post_id


def _order(key: _Key) -> tuple[bool, int, str]:
    """Order identifiers by age: later posts have larger numbers."""
    return (True, key, "") if isinstance(key, int) else (False, len(key), key)


def _to_json(post: Post) -> dict[str, Any]:
    """Return the fields that a post has, less the handle, which the file is for."""
    fields = {
        "id": post.id,
        "createdAt": post.created_at.isoformat() if post.created_at else None,
        "kind": post.kind,
        "text": post.text,
        "lang": post.lang,
        "source": post.source,
        "firstVersion": post.first_version,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _from_json(fields: dict[str, Any], handle: str) -> Post:
    return Post(
        id=fields.get("id"),
        handle=handle,
        text=fields["text"],
        created_at=datetime.fromisoformat(fields["createdAt"]) if "createdAt" in fields else None,
        kind=fields["kind"],
        lang=fields.get("lang"),
        source=fields["source"],
        first_version=fields.get("firstVersion"),
    )
