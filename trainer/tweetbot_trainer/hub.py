"""The push of a stored model to the Hugging Face Hub: after S3, bounded, and never the cause of a failed run."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from tweetbot_api.names import (
    ENV_HF_TOKEN,
    ENV_S3_ACCESS_KEY,
    ENV_S3_SECRET_KEY,
    ENV_WANDB_API_KEY,
    HUB_PUSH,
    MODEL_DIR,
)
from tweetbot_api.runconfig import HuggingFaceTarget, RunConfig
from tweetbot_api.status import HuggingFaceModel
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.errors import TrainerError

logger = logging.getLogger(__name__)

PUSH_SECONDS: Final = 600.0
"""How long all tries together may take: the GPU is held meanwhile."""
PAUSES_SECONDS: Final = (2.0, 10.0, 30.0)
"""Pauses before the second and each further try."""
HUB: Final = "https://huggingface.co"
_LONGEST_FAILURE = 1024
_REFUSED = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
)
_NOT_FOR_THE_HUB = frozenset({ENV_S3_ACCESS_KEY, ENV_S3_SECRET_KEY, ENV_WANDB_API_KEY})


def push_model(
    config: RunConfig, store: Store, work_dir: Path, sleep: Callable[[float], None] = time.sleep
) -> HuggingFaceModel | None:
    """Push the stored model if the run asks for it; return where it is, or why it is not there. Raises nothing.

    A push that is done is noted in the store and not done again.
    """
    target = config.hugging_face
    if target is None:
        return None
    try:
        done = read_push(store)
        if done:
            return done
        pushed = _push(target, _model_folder(store, work_dir), config.bot.run_id, sleep)
        if pushed.failure is None:
            store.write_bytes(HUB_PUSH, json.dumps(pushed.to_wire(), indent=2).encode())
    except (TrainerError, OSError) as error:
        pushed = _failed(target, str(error))
    if pushed.failure:
        logger.warning("model not pushed to the Hub repo=%s error=%s", target.repo, pushed.failure)
    else:
        logger.info("model pushed to the Hub url=%s revision=%s", pushed.url, pushed.revision)
    return pushed


def is_push_due(config: RunConfig, store: Store) -> bool:
    """Tell whether the run asks for a push that is not done."""
    return config.hugging_face is not None and read_push(store) is None


def read_push(store: Store) -> HuggingFaceModel | None:
    """Return the push that is noted in the store."""
    data = store.read_bytes(HUB_PUSH)
    return HuggingFaceModel.model_validate_json(data) if data else None


def _model_folder(store: Store, work_dir: Path) -> Path:
    """Return the folder with the model, fetched from the store if another attempt has trained it."""
    folder = work_dir / MODEL_DIR
    if not folder.is_dir():
        for key in store.list(f"{MODEL_DIR}/"):
            store.download(key, work_dir / key)
    return folder


def _push(target: HuggingFaceTarget, folder: Path, run_id: str, sleep: Callable[[float], None]) -> HuggingFaceModel:
    """Try until the model is there, the Hub refuses it, or time is up."""
    deadline = time.monotonic() + PUSH_SECONDS
    request = {
        "folder": str(folder), "repo": target.repo, "private": target.private, "message": f"Publish run {run_id}",
    }  # fmt: skip
    answer: dict[str, Any] = {}
    for pause in (*PAUSES_SECONDS, None):
        answer = _ask(request, deadline - time.monotonic())
        if "error" not in answer:
            return HuggingFaceModel(url=answer["url"], revision=answer["revision"])
        if answer["status"] in _REFUSED or pause is None or time.monotonic() + pause > deadline:
            break
        logger.info("push to the Hub is tried again repo=%s error=%s", target.repo, answer["error"])
        sleep(pause)
    return _failed(target, answer["error"])


def _ask(request: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Have a process push; return its answer."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_HUB}
    try:
        process = subprocess.run(
            [sys.executable, "-P", "-m", "tweetbot_trainer.hub_process"],
            input=json.dumps(request),
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=max(seconds, 0.0),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"the Hub did not take the model within {PUSH_SECONDS:.0f} s", "status": None}
    try:
        answer: dict[str, Any] = json.loads(process.stdout)
    except ValueError:
        return {"error": f"the process that pushes ended with code {process.returncode}", "status": None}
    return answer


def _failed(target: HuggingFaceTarget, why: str) -> HuggingFaceModel:
    token = os.environ.get(ENV_HF_TOKEN)
    why = why.replace(token, "***") if token else why
    return HuggingFaceModel(url=f"{os.environ.get('HF_ENDPOINT', HUB)}/{target.repo}", failure=why[:_LONGEST_FAILURE])
