"""From `spec.baseModel` to a local folder that holds a usable pretrained model.

Only weights as safetensors, configuration and tokenizer are ever fetched: no pickles, no code of the model's
repository. Does not import torch, so that the prepare Job refuses a bad model before a GPU is asked for.
"""

import hashlib
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.constants import is_offline_mode
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tweetbot_api.conditions import Reason
from tweetbot_api.names import digest
from tweetbot_api.runconfig import S3Location
from tweetbot_api.spec.training import BaseModelReference
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.s3 import fetch_prefix, list_prefix

_WEIGHTS = "*.safetensors"
_TOKENIZER_AND_CONFIG = ("*.json", "merges.txt", "vocab.txt")
_FINGERPRINT_BYTES: Final = 2**20
_CONTEXT_KEYS: Final = ("n_positions", "max_position_embeddings")


def resolve_base_model(
    reference: BaseModelReference, location: S3Location, work_dir: Path, *, weights: bool = True
) -> Path:
    """Return a folder with the model; without `weights` only with tokenizer and configuration.

    The location says how the S3 store is reached, for a reference `s3://…`. Raises BaseModelNotFound or
    BaseModelUnusable; that weights exist is checked even if they are not fetched.
    """
    if reference.name.startswith("s3://"):
        folder, names = _from_s3(reference.name, location, work_dir / "base-model", weights=weights)
    elif reference.name.startswith("file://"):
        folder = Path(unquote(urlsplit(reference.name).path))
        names = _names_in(folder)
    else:
        folder, names = _from_hub(reference, weights=weights)
    _check_names(reference.name, names)
    return folder


def fingerprint(folder: Path) -> str:
    """Return a hash that tells two base models apart: of names, sizes, and where the weights begin."""
    paths = sorted(path for path in folder.iterdir() if _is_wanted(path.name, weights=True))
    parts = []
    for path in paths:
        with path.open("rb") as file:
            beginning = hashlib.sha256(file.read(_FINGERPRINT_BYTES)).hexdigest()
        parts += [path.name, str(path.stat().st_size), beginning]
    return digest(*parts)


def check_block_size(folder: Path, block_size: int) -> None:
    """Raise BaseModelUnusable if the model cannot read as many tokens at once as one block has."""
    config = json.loads((folder / "config.json").read_bytes())
    context = next((config[key] for key in _CONTEXT_KEYS if isinstance(config.get(key), int)), None)
    if context is not None and context < block_size:
        raise TrainerError(
            Reason.BASE_MODEL_UNUSABLE,
            f"spec.training.blockSize is {block_size:,}, but the base model reads {context:,} tokens at most",
        )


def _from_s3(uri: str, location: S3Location, folder: Path, *, weights: bool) -> tuple[Path, list[str]]:
    names = list_prefix(uri, location)
    if not names:
        raise TrainerError(Reason.BASE_MODEL_NOT_FOUND, f"there is no model below {uri}")
    fetch_prefix(uri, [name for name in names if _is_wanted(name, weights=weights)], folder, location)
    return folder, names


def _from_hub(reference: BaseModelReference, *, weights: bool) -> tuple[Path, list[str]]:
    """Return the snapshot in the Hub's cache, downloaded unless it is there, and the names that the Hub has."""
    patterns = [*_TOKENIZER_AND_CONFIG, _WEIGHTS] if weights else [*_TOKENIZER_AND_CONFIG]
    try:
        folder = Path(snapshot_download(reference.name, revision=reference.revision, allow_patterns=patterns))
        if weights or is_offline_mode():
            return folder, _names_in(folder)
        return folder, HfApi().list_repo_files(reference.name, revision=reference.revision)
    except (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        revision = f" at revision {reference.revision}" if reference.revision else ""
        raise TrainerError(
            Reason.BASE_MODEL_NOT_FOUND, f"the Hub has no model {reference.name}{revision} that can be read: {error}"
        ) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise _not_cached(reference.name, error) from error
    except (HfHubHTTPError, OSError) as error:
        raise TrainerError(Reason.STORAGE_UNAVAILABLE, f"the Hub failed on {reference.name}: {error}") from error


def _not_cached(name: str, error: Exception) -> TrainerError:
    if is_offline_mode():
        return TrainerError(
            Reason.BASE_MODEL_NOT_FOUND,
            f"the model {name} is not in the local cache, and HF_HUB_OFFLINE forbids to ask the Hub; "
            "give spec.baseModel.name as s3://bucket/prefix",
        )
    return TrainerError(Reason.STORAGE_UNAVAILABLE, f"the Hub cannot be reached for {name}: {error}")


def _names_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise TrainerError(Reason.BASE_MODEL_NOT_FOUND, f"there is no folder {folder} with a model")
    return [path.name for path in folder.iterdir()]


def _is_wanted(name: str, *, weights: bool) -> bool:
    patterns = (*_TOKENIZER_AND_CONFIG, _WEIGHTS) if weights else _TOKENIZER_AND_CONFIG
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_names(model: str, names: list[str]) -> None:
    for pattern, what in (
        ("config.json", "config.json"),
        ("tokenizer.json", "tokenizer.json"),
        (_WEIGHTS, "safetensors"),
    ):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise TrainerError(Reason.BASE_MODEL_UNUSABLE, f"the base model {model} has no {what}")
