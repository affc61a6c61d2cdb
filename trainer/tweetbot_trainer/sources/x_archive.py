"""Posts from the data archive that X sends to an account's owner: a zip, read member by member, never extracted.

Only the members named here are opened. Deleted posts and direct messages are in the archive too; they are never read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.base import Post, well_formed
from tweetbot_trainer.sources.limits import unreadable
from tweetbot_trainer.sources.x_avatar import read_avatar
from tweetbot_trainer.sources.x_notes import LongTexts
from tweetbot_trainer.sources.x_objects import inner, post_of_v1
from tweetbot_trainer.sources.ytd import read_objects
from tweetbot_trainer.sources.zips import PostZip, opened

SHAPE: Final = "x-archive"
# Who unpacks the archive and packs it again often packs the folder around it too.
_DATA = r"(?!\.\.?/)([^/\\]+/)?data/"
POST_MEMBERS: Final = re.compile(rf"tweets?\.js|{_DATA}tweets?(-part\d+)?\.js")
_ACCOUNT_MEMBERS = re.compile(rf"account\.js|{_DATA}account\.js")
_NOTE_MEMBERS = re.compile(rf"{_DATA}note-tweets?(-part\d+)?\.js")


class XArchive:
    """The archive of one account."""

    def __init__(self, path: Path, handle: str) -> None:
        self._path = path
        self._handle = handle

    def posts(self) -> Iterator[Post]:
        """Yield the posts, long ones in full; refuse the archive of another account."""
        with opened(self._path) as archive:
            self._check_owner(archive)
            members = archive.members(POST_MEMBERS)
            if not members:
                raise TrainerError(Reason.SOURCE_EMPTY, f"{archive.name} holds no data/tweets.js")
            with LongTexts() as long_texts:
                _collect(archive, long_texts)
                for member in members:
                    with archive.open(member) as file:
                        place = archive.place(member)
                        yield from posts_of_items(read_objects(file, place), self._handle, place, long_texts)

    def display_name(self) -> str | None:
        """Return the display name in the archive's account.js."""
        with opened(self._path) as archive:
            name = _account(archive).get("accountDisplayName")
        return well_formed(name)[:200] if isinstance(name, str) and name else None

    def avatar(self) -> bytes | None:
        """Return the account's picture, if the archive holds it."""
        with opened(self._path) as archive:
            return read_avatar(archive)

    def _check_owner(self, archive: PostZip) -> None:
        owner = _account(archive).get("username")
        if isinstance(owner, str) and owner.lower() != self._handle.lower():
            raise TrainerError(
                Reason.HANDLE_MISMATCH, f"the archive belongs to @{well_formed(owner)[:50]}, not to @{self._handle}"
            )


def posts_of_items(
    items: Iterable[Mapping[str, Any]], handle: str, place: str, long_texts: LongTexts | None = None
) -> Iterator[Post]:
    """Yield the posts of a tweets.js, with their full texts where these are known."""
    for number, item in enumerate(items, start=1):
        tweet = item.get("tweet", item)
        post = post_of_v1(tweet, handle, SHAPE) if isinstance(tweet, dict) else None
        if post is None:
            raise unreadable(place, f"has no full_text in post {number}")
        yield _replaced(post, tweet, long_texts)


def _replaced(post: Post, tweet: Mapping[str, Any], long_texts: LongTexts | None) -> Post:
    """Return the post with its full text and its first version, if it has them."""
    text = long_texts.of(post.id, post.text, post.created_at) if long_texts else None
    first = _first_version(tweet)
    if text is None and first is None:
        return post
    return Post(
        id=post.id,
        handle=post.handle,
        text=text or post.text,
        created_at=post.created_at,
        kind=post.kind,
        lang=post.lang,
        source=post.source,
        first_version=first,
    )


def _first_version(tweet: Mapping[str, Any]) -> str | None:
    """Return the id of the post that this one is an edit of; the first version may not know that it was edited."""
    info = inner(tweet, "edit_info")
    edit = inner(info, "edit")
    ids = (inner(edit, "editControlInitial") or inner(info, "initial")).get("editTweetIds")
    if isinstance(ids, list) and len(ids) > 1:
        return str(ids[0])
    first = edit.get("initialTweetId")
    return first if isinstance(first, str) and first else None


def _account(archive: PostZip) -> Mapping[str, object]:
    """Return the account that the archive belongs to; empty if it does not tell."""
    for member in archive.members(_ACCOUNT_MEMBERS):
        with archive.open(member) as file:
            for item in read_objects(file, archive.place(member)):
                account = item.get("account", item)
                if isinstance(account, dict):
                    return account
    return {}


def _collect(archive: PostZip, long_texts: LongTexts) -> None:
    for member in archive.members(_NOTE_MEMBERS):
        with archive.open(member) as file:
            for item in read_objects(file, archive.place(member)):
                long_texts.add(item)
