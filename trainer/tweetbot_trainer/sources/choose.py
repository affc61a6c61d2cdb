"""From `spec.source` to a source that can be read: the files are fetched, for each handle its own."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tweetbot_api import spec
from tweetbot_api.runconfig import S3Location
from tweetbot_trainer.s3 import fetch_uri
from tweetbot_trainer.sources.base import Source
from tweetbot_trainer.sources.files import FilesSource

_MAX_NAME_CHARACTERS = 100


def open_source(wanted: spec.Source, handles: Sequence[str], location: S3Location, folder: Path) -> Source:
    """Fetch the files of each handle into the folder and return the source that reads them.

    The location says how the S3 store is reached.
    """
    files = {
        handle: [
            _fetch(uri.replace("{handle}", handle), folder / handle / str(number), location)
            for number, uri in enumerate(wanted.uris)
        ]
        for handle in handles
    }
    columns = wanted.files.columns if wanted.files else None
    return FilesSource(files, columns, archives_only=wanted.archive is not None)


def _fetch(uri: str, folder: Path, location: S3Location) -> Path:
    """Return the file at the address under its own name: messages name it, and its suffix tells tables from lines."""
    name = PurePosixPath(uri).name[-_MAX_NAME_CHARACTERS:]
    return fetch_uri(uri, folder / (name if name.strip(".") else "posts"), location)
