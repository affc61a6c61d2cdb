"""The handles of a TweetBotBatch, read from a table in S3 and handed to the operator, which keeps them."""

import logging
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import ValidationError

from tweetbot_api import names
from tweetbot_api.bot_batch import MOST_HANDLES
from tweetbot_api.conditions import Reason
from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.messages import LONGEST_CELL, BotOutcome, HandlesMessage
from tweetbot_api.runconfig import ListManifest
from tweetbot_api.termination import encode_termination
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.job import JobPaths
from tweetbot_trainer.job_failures import failure_of
from tweetbot_trainer.job_log import log_to_file
from tweetbot_trainer.operator_channel import OperatorChannel, ResultSender
from tweetbot_trainer.s3 import fetch_uri
from tweetbot_trainer.sources.byte_streams import as_utf8, open_unpacked
from tweetbot_trainer.sources.columns import shown
from tweetbot_trainer.sources.delimited import header, read_rows, text_lines

logger = logging.getLogger(__name__)

HANDOVER_SECONDS: Final = 600.0


def run_list_job(manifest: ListManifest, paths: JobPaths, send: Callable[[HandlesMessage], bool] | None = None) -> int:
    """Read, hand over, and return the exit code; a failure stands in the termination message."""
    log_file = paths.work_dir / "log.txt"
    with log_to_file(log_file):
        try:
            _hand_over(manifest, paths, send or _open_sender(manifest, paths))
        except Exception as error:  # noqa: BLE001 - whatever it is, the operator is told
            failure = failure_of(error, log_file)
            message = encode_termination([BotOutcome(failure=failure)])
            paths.termination_message.write_text(message, encoding="utf-8")
            return failure.exit_code or ExitCode.TRANSIENT
    return ExitCode.OK


def load_list_manifest(path: Path) -> ListManifest:
    """Return what the operator wants; raise InvalidSpec if it cannot be read."""
    try:
        return ListManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainerError(Reason.INVALID_SPEC, f"the manifest {path} cannot be read: {error}") from error


def read_handles(path: Path, column: str) -> list[str]:
    """Return the cells of a table's column, empty ones left out; raise TrainerError if there is no such column."""
    with open_unpacked(path) as stream:
        lines = text_lines(as_utf8(stream, path.name), path.name)
        columns, delimiter = header(next(lines, ""))
        if column not in columns:
            raise TrainerError(
                Reason.SOURCE_UNREADABLE,
                f"{path.name} has no column {column!r} in its first line, but {shown(columns)}; "
                f"correct spec.handlesFrom.csv.column",
            )
        cells = ((row[column] or "").strip() for _, row in read_rows(lines, columns, delimiter, path.name))
        handles = list(islice((cell[:LONGEST_CELL] for cell in cells if cell), MOST_HANDLES + 1))
    if len(handles) > MOST_HANDLES:
        raise TrainerError(
            Reason.SOURCE_UNREADABLE,
            f"{path.name} holds more than {MOST_HANDLES:,} handles, the most that a TweetBotBatch has; "
            f"split the file, and make a TweetBotBatch for each part",
        )
    return handles


def _hand_over(manifest: ListManifest, paths: JobPaths, send: Callable[[HandlesMessage], bool]) -> None:
    name = PurePosixPath(manifest.uri).name.strip(".") or "handles.csv"
    path = fetch_uri(manifest.uri, paths.work_dir / "list" / name, manifest.store)
    handles = read_handles(path, manifest.column)
    logger.info("handles read job=%s uri=%s handles=%d", manifest.job_name, manifest.uri, len(handles))
    message = HandlesMessage(batch=manifest.batch, job_name=manifest.job_name, handles=handles)
    if not send(message):
        raise TrainerError(
            Reason.RESULT_LOST,
            "the operator did not take the handles; allow this namespace to reach port 8443 of the operator",
        )


def _open_sender(manifest: ListManifest, paths: JobPaths) -> Callable[[HandlesMessage], bool]:
    channel = OperatorChannel(manifest.operator_url, paths.manifest.parent / names.CA_FILE, paths.token)
    deadline = time.monotonic() + HANDOVER_SECONDS
    return lambda message: ResultSender(channel).send(message, lambda: deadline, names.HANDLES_PATH)
