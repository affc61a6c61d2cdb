"""What a file of posts would give, without training anything: `tweetbot inspect`."""

import hashlib
import zipfile
from pathlib import Path
from typing import Literal

from tweetbot_api.conditions import Reason
from tweetbot_api.model import ApiModel
from tweetbot_trainer.cleaning import clean_posts
from tweetbot_trainer.dataset import num_characters
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.archive import ArchiveSource
from tweetbot_trainer.sources.base import Source
from tweetbot_trainer.sources.jsonl import JsonlSource


class Inspection(ApiModel):
    """Counts of one file."""

    shape: Literal["archive", "jsonl"]
    """What the file is."""
    handle: str
    """The account asked for."""
    display_name: str | None
    """Its display name, if the file tells."""
    downloaded: int
    """Posts in the file."""
    retweets: int
    """Posts of others."""
    short: int
    """Posts with fewer than three words of their own."""
    kept: int
    """Posts that a bot would learn from."""
    characters: int
    """Characters of the kept posts."""
    sha256: str
    """Hash of the kept texts, joined by new lines."""


def inspect_file(path: Path, handle: str) -> Inspection:
    """Read and clean the file, an archive if it is a zip, else JSON lines."""
    if not path.is_file():
        raise TrainerError(Reason.SOURCE_NOT_FOUND, f"there is no file {path}")
    is_archive = zipfile.is_zipfile(path)
    source: Source = ArchiveSource({handle: path}) if is_archive else JsonlSource({handle: path})
    cleaned = clean_posts(handle, source.display_name(handle), source.posts(handle))
    counts = cleaned.counts
    return Inspection(
        shape="archive" if is_archive else "jsonl",
        handle=handle,
        display_name=counts.display_name,
        downloaded=counts.downloaded,
        retweets=counts.retweets,
        short=counts.short,
        kept=counts.kept,
        characters=num_characters(cleaned.texts),
        sha256=hashlib.sha256("\n".join(cleaned.texts).encode()).hexdigest(),
    )
