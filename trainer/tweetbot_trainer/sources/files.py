"""Posts from files whose shape is detected: archives, what tools leave behind, tables, and plain lines."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from tweetbot_api.conditions import Reason
from tweetbot_api.spec.source import Columns
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.authors import Authors
from tweetbot_trainer.sources.base import Post, is_repost_text, well_formed
from tweetbot_trainer.sources.byte_streams import as_utf8, open_unpacked
from tweetbot_trainer.sources.columns import has_ids_only, shown
from tweetbot_trainer.sources.limits import unreadable
from tweetbot_trainer.sources.mastodon_archive import OUTBOX_MEMBER, MastodonArchive, is_outbox
from tweetbot_trainer.sources.parquet import PARQUET_MAGIC, read_parquet
from tweetbot_trainer.sources.records import PlacedRecords, read_records
from tweetbot_trainer.sources.shapes import Shape, find_shape, is_notice
from tweetbot_trainer.sources.tars import is_tar
from tweetbot_trainer.sources.x_archive import POST_MEMBERS, XArchive, posts_of_items
from tweetbot_trainer.sources.ytd import is_assignment, read_objects
from tweetbot_trainer.sources.zips import ZIP_MAGIC, PostZip, opened

_DATA_MEMBERS: Final = re.compile(
    r"(?!__MACOSX/|.*\.\./)(.*/)?[^/.][^/]*\.(csv|tsv|psv|json|jsonl|ndjson|txt)", re.IGNORECASE
)
_IDS_TO_LOOK_AT = 20
_ID = re.compile(r"\d{5,25}|\d[.,]\d+[eE]\+?\d+")


class FilesSource:
    """For each handle the files that hold its posts, of any shape."""

    def __init__(
        self, files: Mapping[str, Sequence[Path]], columns: Columns | None = None, *, archives_only: bool = False
    ) -> None:
        self._files = files
        self._columns = columns
        self._archives_only = archives_only

    def posts(self, handle: str) -> Iterator[Post]:
        """Yield the handle's posts, file by file; those of other authors are left out."""
        for path in self._files[handle]:
            is_empty = True
            for post in self._opened(path, handle).posts():
                is_empty = False
                yield post
            if is_empty:
                raise TrainerError(Reason.SOURCE_EMPTY, f"{path.name} holds no posts by @{handle}")

    def display_name(self, handle: str) -> str | None:
        """Return the display name that an archive tells; other files do not tell."""
        names = (self._opened(path, handle).display_name() for path in self._files[handle])
        return next((name for name in names if name), None)

    def avatar(self, handle: str) -> bytes | None:
        """Return the picture in an archive from X; a damaged one is not worth a run."""
        try:
            files = (self._opened(path, handle) for path in self._files[handle])
            pictures = (file.avatar() for file in files if isinstance(file, XArchive))
            return next((picture for picture in pictures if picture), None)
        except TrainerError:
            return None

    def _opened(self, path: Path, handle: str) -> "PostFile":
        file = open_posts(path, handle, self._columns)
        if self._archives_only and not isinstance(file, XArchive | MastodonArchive):
            raise unreadable(path.name, "is no archive from X or Mastodon; read other files with spec.source.files")
        return file


class PostFile(Protocol):
    """One file, read for one handle."""

    def posts(self) -> Iterator[Post]:
        """Yield the handle's posts in their order."""
        ...

    def display_name(self) -> str | None:
        """Return the account's name as people see it, if the file tells."""
        ...


def open_posts(path: Path, handle: str, columns: Columns | None = None) -> PostFile:
    """Return what reads the file, by what the file is: its name only decides between kinds of text."""
    with open_unpacked(path) as stream:
        head = stream.peek()
        if head.startswith(ZIP_MAGIC):
            with opened(path) as archive:
                if archive.members(POST_MEMBERS):
                    return XArchive(path, handle)
                if archive.members(OUTBOX_MEMBER):
                    return MastodonArchive(path, handle)
                return ZippedFiles(path, handle, columns, archive.members(_DATA_MEMBERS))
        if is_tar(head) or is_outbox(as_utf8(stream, path.name).peek()):
            return MastodonArchive(path, handle)
    return PlainFile(path, handle, columns)


class PlainFile:
    """A file of records: text, packed or not, or Parquet."""

    def __init__(self, path: Path, handle: str, columns: Columns | None) -> None:
        self._path = path
        self._handle = handle
        self._columns = columns

    def posts(self) -> Iterator[Post]:
        """Yield the handle's posts."""
        with open_unpacked(self._path) as stream:
            place = self._path.name
            if stream.peek().startswith(PARQUET_MAGIC):
                yield from _posts_of_records(read_parquet(self._path), self._handle, place, self._columns)
                return
            text = as_utf8(stream, place)
            if is_assignment(text.peek()):
                yield from posts_of_items(read_objects(text, place), self._handle, place)
                return
            yield from _posts_of_records(read_records(text, place, self._columns), self._handle, place, self._columns)

    def display_name(self) -> str | None:
        """Return None: records do not tell."""
        return None


class ZippedFiles:
    """A zip of text files with records, such as a dataset is downloaded in."""

    def __init__(self, path: Path, handle: str, columns: Columns | None, members: Sequence[str]) -> None:
        self._path = path
        self._handle = handle
        self._columns = columns
        self._members = members

    def posts(self) -> Iterator[Post]:
        """Yield the handle's posts, member by member."""
        with opened(self._path) as archive:
            if not self._members:
                raise TrainerError(
                    Reason.SOURCE_EMPTY,
                    f"{archive.name} holds no data/tweets.js, no outbox.json, and no CSV, JSON or text file",
                )
            for member in self._members:
                yield from self._posts_of(archive, member)

    def display_name(self) -> str | None:
        """Return None: records do not tell."""
        return None

    def _posts_of(self, archive: PostZip, member: str) -> Iterator[Post]:
        place = archive.place(member)
        with archive.open(member) as file:
            text = as_utf8(file, place)
            yield from _posts_of_records(read_records(text, place, self._columns), self._handle, place, self._columns)


def _posts_of_records(records: PlacedRecords, handle: str, place: str, columns: Columns | None) -> Iterator[Post]:
    """Yield the posts of records, each by its shape."""
    authors = Authors(handle, place)
    shape: Shape | None = None
    for here, record in _refuse_ids(records, place):
        if isinstance(record, str):
            text = well_formed(record)
            authors.num_own += 1
            yield Post(
                id=None,
                handle=handle,
                text=text,
                kind="repost" if is_repost_text(text) else "original",
                source="lines",
            )
            continue
        if not isinstance(record, dict):
            raise unreadable(here, "is neither a text nor an object")
        if is_notice(record):
            continue
        if shape is None or not shape.fits(record):
            shape = find_shape(record, columns)
        posts = shape.posts(record, authors) if shape else None
        if posts is None:
            raise unreadable(
                here,
                f"has no text where it is looked for; its fields are {shown(record)}. "
                "Name the one that holds it in spec.source.files.columns",
            )
        yield from posts
    authors.check()


def _refuse_ids(records: PlacedRecords, place: str) -> PlacedRecords:
    """Return the records, unless the first ones are identifiers and nothing else."""
    first = list(itertools.islice(records, _IDS_TO_LOOK_AT))
    if first and all(_is_id(record) for _, record in first):
        raise TrainerError(Reason.IDS_WITHOUT_TEXT, f"{place} holds ids without text; hydrate first")
    return itertools.chain(first, records)


def _is_id(record: Any) -> bool:
    if isinstance(record, dict):
        return has_ids_only(record)
    return not isinstance(record, bool) and isinstance(record, int | float | str) and bool(_ID.fullmatch(str(record)))
