"""A finished run as a person names it, a folder or an `s3://` address: its model and its card."""

import json
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import ValidationError

from tweetbot_api.conditions import Reason
from tweetbot_api.names import CARD_FACTS, METRICS, MODEL_DIR
from tweetbot_api.runconfig import S3Location
from tweetbot_trainer.artifacts import LocalStore, Store
from tweetbot_trainer.card import CardFacts, avatar_file
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.s3 import open_store
from tweetbot_trainer.showcase import write_showcase

_MODEL_SUFFIXES: Final = frozenset({".json", ".safetensors", ".txt"})
_CONFIG: Final = "config.json"


def open_run(address: str, endpoint: str | None = None) -> Store:
    """Return the files below the address; the endpoint is that of an S3-compatible store."""
    if not address.startswith("s3://"):
        if not Path(address).is_dir():
            raise TrainerError(Reason.INVALID_SPEC, f"there is no folder {address}")
        return LocalStore(Path(address))
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    if not bucket:
        raise TrainerError(Reason.INVALID_SPEC, f"{address} names no bucket; write s3://bucket/prefix")
    return open_store(S3Location(bucket=bucket, prefix=prefix.strip("/"), endpoint=endpoint))


def fetch_model(address: str, work_dir: Path, endpoint: str | None = None) -> Path:
    """Return a local folder with the model of the run at the address, or the model that lies there itself."""
    store = open_run(address, endpoint)
    keys = store.list()
    folder = next((folder for folder in (f"{MODEL_DIR}/", "") if f"{folder}{_CONFIG}" in keys), None)
    if folder is None:
        raise TrainerError(
            Reason.BASE_MODEL_NOT_FOUND, f"{address} holds no model: {_CONFIG} is neither there nor in {MODEL_DIR}/"
        )
    if isinstance(store, LocalStore):
        return Path(address, folder)
    for key in keys:
        name = key.removeprefix(folder)
        if key.startswith(folder) and PurePosixPath(name).name == name and Path(name).suffix in _MODEL_SUFFIXES:
            store.download(key, work_dir / MODEL_DIR / name)
    return work_dir / MODEL_DIR


def render_again(store: Store, folder: Path) -> list[Path]:
    """Write card, pictures and avatars of a finished run into the folder; return their paths."""
    data = store.read_bytes(CARD_FACTS)
    if data is None:
        raise TrainerError(
            Reason.INVALID_SPEC, f"there is no {store.uri(CARD_FACTS)}; give the folder of a finished run"
        )
    try:
        facts = CardFacts.model_validate_json(data)
    except ValidationError as error:
        raise TrainerError(Reason.INVALID_SPEC, f"{store.uri(CARD_FACTS)} is not what this version writes") from error
    pictures = {handle: store.read_bytes(f"{MODEL_DIR}/{avatar_file(handle)}") for handle in facts.avatars}
    avatars = {handle: picture for handle, picture in pictures.items() if picture}
    return write_showcase(folder, facts, _losses(store), avatars)


def _losses(store: Store) -> list[tuple[int, float]]:
    """Return (step, training loss in nats per token) of the stored metrics."""
    lines = [json.loads(line) for line in (store.read_bytes(METRICS) or b"").splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]
