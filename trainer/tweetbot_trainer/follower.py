"""The processes of a training beside the first: they train in step with it, and leave reports and results to it."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from tweetbot_api import names
from tweetbot_api.exitcodes import ExitCode, is_retryable
from tweetbot_api.runconfig import RunManifest, S3Location
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.interruption import SIGTERM_EXIT_CODE, Interrupted, sigterm_interrupts
from tweetbot_trainer.progress import NullReporter
from tweetbot_trainer.s3 import open_store
from tweetbot_trainer.stages import StageFunction, load_stage
from tweetbot_trainer.tracking import NullTracker

logger = logging.getLogger(__name__)


def follow(
    manifest: RunManifest,
    work_dir: Path,
    load_stage: Callable[[names.JobKind], StageFunction] = load_stage,
    store_of: Callable[[S3Location], Store] = open_store,
) -> int:
    """Work on the bots beside the process that reports and publishes; return the exit code."""
    with sigterm_interrupts():
        try:
            for config in manifest.bots:
                folder = work_dir / config.bot.uid
                folder.mkdir(parents=True, exist_ok=True)
                try:
                    stage = load_stage(manifest.job_kind)
                    stage(config, store_of(config.output), NullReporter(), NullTracker(), folder)
                except TrainerError as error:
                    logger.error("bot failed reason=%s message=%s", error.reason, error.message)
                    if is_retryable(error.exit_code):
                        return error.exit_code
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
        except Interrupted as interruption:
            return ExitCode.STOPPED_WITH_CHECKPOINT if interruption.has_checkpoint else SIGTERM_EXIT_CODE
    return ExitCode.OK
