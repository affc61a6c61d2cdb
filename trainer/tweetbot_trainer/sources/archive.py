"""Posts from the data archive that X sends to an account's owner: a zip, read member by member, never extracted.

Only the members named here are opened. Deleted posts and direct messages are in the archive too; they are never read.
"""

import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.base import Post, PostKind, is_repost_text, well_formed
from tweetbot_trainer.sources.ytd import read_items

MAX_ENTRIES: Final = 500_000
MAX_MEMBER_BYTES: Final = 2 * 1024**3
MAX_COMPRESSION_RATIO: Final = 200

_POST_MEMBERS = re.compile(r"data/tweets?\.js|data/tweets-part\d+\.js|tweets?\.js")
_ACCOUNT_MEMBERS = re.compile(r"(data/)?account\.js")
_NOTE_MEMBERS = re.compile(r"data/note-tweet\.js")
_LEADING_MENTIONS = re.compile(r"(@\w+\s+)*")
_HEAD_LENGTH = 40
_NOTE_TIME_TOLERANCE = 1

_Notes = Mapping[datetime, list[str]]


class ArchiveSource:
    """One archive for each handle."""

    def __init__(self, archives: Mapping[str, Path]) -> None:
        self._archives = archives

    def posts(self, handle: str) -> Iterator[Post]:
        """Yield the posts of the archive, long ones in full; refuse the archive of another account."""
        with _opened(self._archives[handle]) as archive:
            _check_owner(archive, handle)
            notes = _long_texts(archive)
            members = _members(archive, _POST_MEMBERS)
            count = 0
            for member in members:
                for item in read_items(archive, member):
                    count += 1
                    yield _post(item, handle, count, notes)
            if not count:
                found = f"no posts in {', '.join(members)}" if members else "no data/tweets.js"
                raise TrainerError(Reason.SOURCE_EMPTY, f"the archive of @{handle} holds {found}")

    def display_name(self, handle: str) -> str | None:
        """Return the display name in the archive's account.js."""
        with _opened(self._archives[handle]) as archive:
            name = _account(archive).get("accountDisplayName")
        return well_formed(name)[:200] if isinstance(name, str) and name else None


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the zip; say SourceUnreadable for whatever is wrong with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MAX_ENTRIES:
                raise TrainerError(Reason.SOURCE_UNREADABLE, f"{path.name} holds more than {MAX_ENTRIES:,} entries")
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise TrainerError(
            Reason.SOURCE_UNREADABLE, f"{path.name} is not a sound zip archive as X sends it: {error}"
        ) from error


def _members(archive: zipfile.ZipFile, pattern: re.Pattern[str]) -> list[str]:
    """Return the names of the members that match, checked, in the order of their numbers."""
    found = [info for info in archive.infolist() if pattern.fullmatch(info.filename)]
    names = [info.filename for info in found]
    if len(set(names)) < len(names):
        raise TrainerError(Reason.SOURCE_UNREADABLE, f"the archive holds one member twice: {', '.join(names)}")
    for info in found:
        _check_member(info)
    return sorted(names, key=lambda name: (len(name), name))


def _check_member(info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 0x1:
        raise TrainerError(Reason.SOURCE_UNREADABLE, f"{info.filename} is encrypted; upload the archive unencrypted")
    if info.file_size > MAX_MEMBER_BYTES:
        raise TrainerError(Reason.SOURCE_UNREADABLE, f"{info.filename} is larger than {MAX_MEMBER_BYTES:,} bytes")
    if info.file_size > MAX_COMPRESSION_RATIO * max(info.compress_size, 1):
        raise TrainerError(
            Reason.SOURCE_UNREADABLE,
            f"{info.filename} is compressed more than {MAX_COMPRESSION_RATIO}:1, which no real archive is",
        )


def _account(archive: zipfile.ZipFile) -> Mapping[str, object]:
    """Return the account that the archive belongs to; empty if it does not tell."""
    for member in _members(archive, _ACCOUNT_MEMBERS):
        for item in read_items(archive, member):
            account = item.get("account", item)
            if isinstance(account, dict):
                return account
    return {}


def _check_owner(archive: zipfile.ZipFile, handle: str) -> None:
    owner = _account(archive).get("username")
    if isinstance(owner, str) and owner.lower() != handle.lower():
        raise TrainerError(
            Reason.HANDLE_MISMATCH, f"the archive belongs to @{well_formed(owner)[:50]}, not to @{handle}"
        )


def _long_texts(archive: zipfile.ZipFile) -> _Notes:
    """Return the full texts of long posts by their second; posts and notes have different ids."""
    notes: defaultdict[datetime, list[str]] = defaultdict(list)
    for member in _members(archive, _NOTE_MEMBERS):
        for item in read_items(archive, member):
            note = item.get("noteTweet", item)
            core = note.get("core") if isinstance(note, dict) else None
            text = core.get("text") if isinstance(core, dict) else None
            time = _note_time(note.get("createdAt")) if isinstance(note, dict) else None
            if isinstance(text, str) and time:
                notes[time].append(well_formed(text))
    return notes


def _post(item: Mapping[str, Any], handle: str, number: int, notes: _Notes) -> Post:
    tweet = item.get("tweet", item)
    text = tweet.get("full_text", tweet.get("text")) if isinstance(tweet, dict) else None
    if not isinstance(text, str):
        raise TrainerError(Reason.SOURCE_UNREADABLE, f"post {number} of the archive of @{handle} has no full_text")
    created_at = _post_time(tweet.get("created_at"))
    text = well_formed(text)
    return Post(
        id=str(tweet.get("id_str") or tweet.get("id") or number),
        handle=handle,
        text=_in_full(text, created_at, notes),
        created_at=created_at,
        kind=_kind(tweet, text),
        source="x-archive",
    )


def _kind(tweet: Mapping[str, object], text: str) -> PostKind:
    # The field `retweeted` is false in archives even for retweets; the text tells.
    if is_repost_text(text):
        return "repost"
    if tweet.get("in_reply_to_status_id") or tweet.get("in_reply_to_status_id_str"):
        return "reply"
    return "quote" if tweet.get("quoted_status_id_str") else "original"


def _in_full(text: str, created_at: datetime | None, notes: _Notes) -> str:
    """Return the long text of the same second that begins alike, or the text itself."""
    if created_at is None or not notes:
        return text
    start = text[_LEADING_MENTIONS.match(text).end() :]  # type: ignore[union-attr]  # it matches any text
    head = start.split("…", 1)[0][:_HEAD_LENGTH]
    for offset in range(-_NOTE_TIME_TOLERANCE, _NOTE_TIME_TOLERANCE + 1):
        for note in notes.get(created_at + timedelta(seconds=offset), ()):
            if head in (_escaped(note)[:_HEAD_LENGTH], note[:_HEAD_LENGTH]) and len(note) > len(head):
                return note
    return text


def _escaped(text: str) -> str:
    """Return the text as `full_text` escapes it; notes hold it plain."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post_time(value: object) -> datetime | None:
    try:
        return datetime.strptime(str(value), "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
    except ValueError:
        return None


def _note_time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC).replace(microsecond=0)
    except ValueError:
        return None
