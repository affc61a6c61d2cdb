"""What a file of posts would give, without training anything: `tweetbot inspect`."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tweetbot_api.conditions import Reason
from tweetbot_api.model import ApiModel
from tweetbot_api.spec.cleaning import Cleaning
from tweetbot_api.spec.source import Columns
from tweetbot_trainer.cleaning import clean_posts
from tweetbot_trainer.dataset import check_enough_text, num_characters
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.raw_posts import RawPosts
from tweetbot_trainer.sources.files import FilesSource
from tweetbot_trainer.text_file import TextFile

_BY_CHARACTERS: Final = Cleaning(unspaced_scripts="characters")
_ENOUGH_BY_CHARACTERS: Final = "with spec.cleaning.unspacedScripts: characters there would be enough"


class Inspection(ApiModel):
    """Counts of one file."""

    shape: str
    """What the file is: a name of the table in `docs/sources.md`; several, joined by `+`, if it is mixed."""
    handle: str
    """The account asked for."""
    display_name: str | None
    """Its display name, if the file tells."""
    downloaded: int
    """The account's posts in the file, each once."""
    retweets: int
    """Posts of others that it repeats."""
    short: int
    """Posts with fewer than three words of their own."""
    kept: int
    """Posts that a bot would learn from."""
    characters: int
    """Characters of the kept posts."""
    sha256: str
    """Hash of the kept texts, in their order, joined by new lines, as UTF-8."""
    enough: bool
    """Whether a bot can be trained on them: at least 6,000 characters, separators counted."""
    advice: str | None
    """What is wrong with the amount and what would mend it, or that more than 40,000 characters would be better."""


def inspect_file(path: Path, handle: str, columns: Columns | None = None, kept_file: Path | None = None) -> Inspection:
    """Fetch and clean the file's posts as the prepare Job does; write the kept texts to a file if one is named.

    The file of kept texts holds one JSON string per line.
    """
    if not path.is_file():
        raise TrainerError(Reason.SOURCE_NOT_FOUND, f"there is no file {path}")
    source = FilesSource({handle: [path]}, columns)
    with tempfile.TemporaryDirectory(prefix="tweetbot-inspect-") as folder:
        raw = RawPosts(Path(folder, "raw.jsonl"))
        raw.write(source.posts(handle))
        texts = TextFile(Path(folder, "kept"))
        counts = clean_posts(handle, source.display_name(handle), raw.read(handle), texts=texts).counts
        if kept_file:
            _write_kept(texts, kept_file)
        advice, enough = _advice(handle, texts)
        if not enough and _is_enough_by_characters(handle, raw, TextFile(Path(folder, "by-characters"))):
            advice = f"{advice}; {_ENOUGH_BY_CHARACTERS}"
        return Inspection(
            shape="+".join(sorted(raw.shapes)),
            handle=handle,
            display_name=counts.display_name,
            downloaded=counts.downloaded,
            retweets=counts.retweets,
            short=counts.short,
            kept=counts.kept,
            characters=num_characters(texts),
            sha256=_sha256(texts),
            enough=enough,
            advice=advice,
        )


def parse_columns(pairs: Sequence[str]) -> Columns | None:
    """Return the columns that pairs like `text=body` name; None if there are no pairs."""
    if not pairs:
        return None
    try:
        return Columns.model_validate(dict(pair.split("=", 1) for pair in pairs))
    except ValueError as error:
        known = ", ".join(field.alias or name for name, field in Columns.model_fields.items())
        raise TrainerError(
            Reason.INVALID_SPEC, f"give each column as part=column, text among them; parts are {known}"
        ) from error


def _advice(handle: str, texts: Sequence[str]) -> tuple[str | None, bool]:
    """Return what is to be said of the amount of text, and whether it is enough."""
    try:
        return check_enough_text({handle: texts}), True
    except TrainerError as error:
        return error.message, False


def _is_enough_by_characters(handle: str, raw: RawPosts, texts: TextFile) -> bool:
    """Tell whether the posts would be enough if writing without spaces were judged by its characters."""
    clean_posts(handle, None, raw.read(handle), _BY_CHARACTERS, texts)
    return _advice(handle, texts)[1]


def _sha256(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for number, text in enumerate(texts):
        digest.update(f"\n{text}".encode() if number else text.encode())
    return digest.hexdigest()


def _write_kept(texts: Sequence[str], path: Path) -> None:
    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(text, ensure_ascii=False) + "\n" for text in texts)
    except OSError as error:
        raise TrainerError(Reason.INVALID_SPEC, f"the kept texts cannot be written to {path}: {error}") from error
