"""From `spec.source` to a source that can be read: the files are fetched, one per handle."""

from collections.abc import Sequence
from pathlib import Path

from tweetbot_api import spec
from tweetbot_api.runconfig import S3Location
from tweetbot_trainer.s3 import fetch_uri
from tweetbot_trainer.sources.archive import ArchiveSource
from tweetbot_trainer.sources.base import Source
from tweetbot_trainer.sources.jsonl import JsonlSource


def open_source(wanted: spec.Source, handles: Sequence[str], location: S3Location, folder: Path) -> Source:
    """Fetch the file of each handle into the folder and return the source that reads them.

    The location says how the S3 store is reached.
    """
    files = {
        handle: fetch_uri(wanted.uris[0].replace("{handle}", handle), folder / handle, location) for handle in handles
    }
    return ArchiveSource(files) if wanted.archive else JsonlSource(files)
