"""From `spec.source` to a source that can be read: over the network, or from files, for each handle its own."""

from pathlib import Path, PurePosixPath

from tweetbot_api.runconfig import RunConfig, S3Location
from tweetbot_trainer.s3 import fetch_uri
from tweetbot_trainer.sources.base import Source
from tweetbot_trainer.sources.files import FilesSource
from tweetbot_trainer.sources.network import open_network_source

_MAX_NAME_CHARACTERS = 100


def open_source(config: RunConfig, folder: Path) -> Source:
    """Return the source that the run names; files are fetched into the folder."""
    if source := open_network_source(config):
        return source
    wanted = config.source
    files = {
        handle: [
            _fetch(uri.replace("{handle}", handle), folder / handle / str(number), config.output)
            for number, uri in enumerate(wanted.uris)
        ]
        for handle in config.handles
    }
    columns = wanted.files.columns if wanted.files else None
    return FilesSource(files, columns, archives_only=wanted.archive is not None)


def _fetch(uri: str, folder: Path, location: S3Location) -> Path:
    """Return the file at the address under its own name: messages name it, and its suffix tells tables from lines."""
    name = PurePosixPath(uri).name[-_MAX_NAME_CHARACTERS:]
    return fetch_uri(uri, folder / (name if name.strip(".") else "posts"), location)
