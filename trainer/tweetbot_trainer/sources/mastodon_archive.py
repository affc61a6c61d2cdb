"""Posts from the archive that a Mastodon server gives the account's owner: `outbox.json`, alone or in a tar or zip.

ActivityStreams: `Create` carries the post, `Announce` is a boost and names only an address. Only what everybody may
read is used (addressed to the public, listed or not); followers-only and direct messages are passed over. A content
warning is the author's heading to readers, not part of the text that is learned.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.authors import same_account
from tweetbot_trainer.sources.base import Post, well_formed
from tweetbot_trainer.sources.byte_streams import as_utf8, open_unpacked
from tweetbot_trainer.sources.html_text import html_to_text
from tweetbot_trainer.sources.json_values import parse, read_items
from tweetbot_trainer.sources.limits import MAX_ITEM_BYTES, unreadable
from tweetbot_trainer.sources.tars import is_tar, tar_member
from tweetbot_trainer.sources.times import parse_time
from tweetbot_trainer.sources.x_objects import inner, language
from tweetbot_trainer.sources.zips import ZIP_MAGIC, opened

SHAPE: Final = "mastodon-archive"
OUTBOX_MEMBER: Final = re.compile(r"(?!\.\./)([^/\\]+/)?outbox\.json")
_ACTOR_MEMBER = re.compile(r"(?!\.\./)([^/\\]+/)?actor\.json")
_PUBLIC = frozenset({"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"})


class MastodonArchive:
    """The archive of one account: `outbox.json`, or the tar or zip that it comes in."""

    def __init__(self, path: Path, handle: str) -> None:
        self._path = path
        self._handle = handle

    def posts(self) -> Iterator[Post]:
        """Yield the public posts, and a repost for each boost; refuse the archive of another account."""
        with _member(self._path, OUTBOX_MEMBER) as found:
            if found is None:
                raise TrainerError(Reason.SOURCE_EMPTY, f"{self._path.name} holds no outbox.json")
            file, place = found
            for number, activity in enumerate(read_items(file, place, "orderedItems.item"), start=1):
                if not isinstance(activity, dict):
                    raise unreadable(place, f"has something else than an object as item {number}")
                self._check_owner(activity)
                if post := _post(activity, self._handle, f"{place} item {number}"):
                    yield post

    def display_name(self) -> str | None:
        """Return the display name in the archive's actor.json."""
        with _member(self._path, _ACTOR_MEMBER) as found:
            if found is None:
                return None
            file, place = found
            actor = parse(file.read(MAX_ITEM_BYTES), place)
        name = actor.get("name") if isinstance(actor, dict) else None
        return well_formed(name)[:200] if isinstance(name, str) and name else None

    def _check_owner(self, activity: Mapping[str, Any]) -> None:
        owner = account_of(activity.get("actor"))
        if owner and not same_account(owner, self._handle):
            raise TrainerError(
                Reason.HANDLE_MISMATCH, f"the archive belongs to @{well_formed(owner)[:100]}, not to @{self._handle}"
            )


def account_of(actor: object) -> str | None:
    """Return `name@server` of an actor's address, `https://server/users/name` or `https://server/@name`."""
    found = re.fullmatch(r"https?://([^/\s]+)/(?:users/|@)?([^/\s]+)/?", actor) if isinstance(actor, str) else None
    return f"{found[2]}@{found[1]}" if found else None


def is_outbox(sample: bytes) -> bool:
    """Tell by its beginning whether a file is an outbox."""
    return sample.lstrip().startswith(b"{") and b'"OrderedCollection"' in sample


def _post(activity: Mapping[str, Any], handle: str, place: str) -> Post | None:
    """Return what the activity tells; None if it is not a public post or boost."""
    note = inner(activity, "object")
    if activity.get("type") == "Announce" and _is_public(activity):
        post_id = activity.get("id")
        return Post(
            id=post_id if isinstance(post_id, str) else None,
            handle=handle,
            text="",
            created_at=parse_time(activity.get("published")),
            kind="repost",
            source=SHAPE,
        )
    content = note.get("content")
    if activity.get("type") != "Create" or not isinstance(content, str) or not _is_public(note):
        return None
    languages = inner(note, "contentMap")
    return Post(
        id=note["id"] if isinstance(note.get("id"), str) else None,
        handle=handle,
        text=html_to_text(well_formed(content), place),
        created_at=parse_time(note.get("published") or activity.get("published")),
        kind="reply" if note.get("inReplyTo") else "original",
        lang=language(next(iter(languages), None)),
        source=SHAPE,
    )


def _is_public(item: Mapping[str, Any]) -> bool:
    """Tell whether everybody may read it: the public is among those it is addressed to, or who get a copy."""
    readers: list[object] = []
    for field in ("to", "cc"):
        value = item.get(field)
        readers += value if isinstance(value, list) else [value]
    return any(isinstance(reader, str) and reader in _PUBLIC for reader in readers)


@contextmanager
def _member(path: Path, wanted: re.Pattern[str]) -> Iterator[tuple[io.BufferedReader, str] | None]:
    """Open the file of this name in the archive, or the outbox that stands alone; None if there is none."""
    with open_unpacked(path) as stream:
        head = stream.peek()
        if head.startswith(ZIP_MAGIC):
            with opened(path) as archive:
                names = archive.members(wanted)
                if not names:
                    yield None
                    return
                with archive.open(names[0]) as file:
                    yield as_utf8(file, archive.place(names[0])), archive.place(names[0])
        elif is_tar(head):
            with tar_member(stream, wanted, path.name) as file_in_tar:
                place = f"the archive {path.name}"
                yield (as_utf8(file_in_tar, place), place) if file_in_tar else None
        else:
            yield (as_utf8(stream, path.name), path.name) if wanted is OUTBOX_MEMBER else None
