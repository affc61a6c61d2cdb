"""One Job in the cluster: works on the bots of a run manifest one after the other and tells how each ended.

One bot's failure never touches the next. How all ended stands in the termination message before anything else is
tried, so a result is known even if the operator is away.
"""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pydantic import ValidationError

from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.exitcodes import ExitCode, is_retryable
from tweetbot_api.messages import BotOutcome, ResultMessage
from tweetbot_api.runconfig import RunConfig, RunManifest, S3Location
from tweetbot_api.status import Failure
from tweetbot_api.termination import encode_termination
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.interruption import (
    SIGTERM_EXIT_CODE,
    Interrupted,
    hold_sigterm,
    release_sigterm,
    sigterm_interrupts,
)
from tweetbot_trainer.job_log import log_tail, log_to_file
from tweetbot_trainer.operator_channel import HttpReporter, OperatorChannel, ResultSender
from tweetbot_trainer.progress import NullReporter, Reporter
from tweetbot_trainer.s3 import open_store
from tweetbot_trainer.tracking import NullTracker, Tracker, open_tracker

logger = logging.getLogger(__name__)

RESULT_TIMEOUT_SECONDS: Final = 600.0
INTERRUPTED_RESULT_TIMEOUT_SECONDS: Final = 10.0
_MESSAGE_CHARACTERS = 1024


class StageFunction(Protocol):
    """One half of a run: `prepare.prepare` or `pipeline.train_bot`."""

    def __call__(
        self, config: RunConfig, store: Store, reporter: Reporter, tracker: Tracker, work_dir: Path
    ) -> BotOutcome:
        """Do it, or raise TrainerError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPaths:
    """Where the pod has what the Job reads and writes."""

    manifest: Path = Path(names.MANIFEST_DIR, names.MANIFEST_FILE)
    """The run manifest; the operator's CA lies beside it."""
    token: Path = Path(names.TOKEN_DIR, names.TOKEN_FILE)
    """The projected token for the operator."""
    work_dir: Path = Path(names.WORK_DIR)
    """Scratch space."""
    termination_message: Path = Path(names.TERMINATION_MESSAGE_PATH)
    """The file that the kubelet copies into the pod's status."""


def load_stage(kind: names.JobKind) -> StageFunction:
    """Import and return the function that does this half of a run: only training needs torch."""
    if kind == "prepare":
        from tweetbot_trainer.prepare import prepare

        return prepare
    if kind == "purge":
        from tweetbot_trainer.purge import purge

        return purge
    from tweetbot_trainer.pipeline import train_bot

    return train_bot


class Job:
    """The bots of one run manifest, worked on in one pod."""

    def __init__(
        self,
        manifest: RunManifest,
        paths: JobPaths,
        load_stage: Callable[[names.JobKind], StageFunction] = load_stage,
        store_of: Callable[[S3Location], Store] = open_store,
        *,
        is_shared: bool = False,
    ) -> None:
        self._manifest = manifest
        self._is_shared = is_shared
        """Other processes work on the same bots, in step with this one."""
        self._paths = paths
        self._load_stage = load_stage
        self._store_of = store_of
        self._channel = _open_channel(manifest, paths)

    def run(self) -> int:
        """Work on every bot, leave the results, and return the exit code."""
        with sigterm_interrupts():
            outcomes, interruption = self._run_bots()
            is_interrupted = len(outcomes) < len(self._manifest.bots)
            for config in self._manifest.bots[len(outcomes) :]:
                outcomes.append(self._interrupted(config, interruption))
                interruption = None
            self._write_termination_message(outcomes)
            try:
                release_sigterm()
                self._send_results(
                    outcomes, INTERRUPTED_RESULT_TIMEOUT_SECONDS if is_interrupted else RESULT_TIMEOUT_SECONDS
                )
            except Interrupted:
                logger.warning("stopped by SIGTERM before all results were acknowledged")
            try:
                self._upload_logs()
            except Interrupted:
                logger.warning("stopped by SIGTERM before all logs were stored")
        return exit_code(outcomes)

    def _run_bots(self) -> tuple[list[BotOutcome], Interrupted | None]:
        """Return how the bots ended, only the first of them after an interruption; SIGTERM is held from here on."""
        outcomes: list[BotOutcome] = []
        try:
            try:
                for config in self._manifest.bots:
                    outcomes.append(self._run_bot(config))
                    if self._is_shared and _may_end_better(outcomes[-1]):
                        # The other processes cannot know that this one went on to the next bot.
                        break
            finally:
                hold_sigterm()
        except Interrupted as interruption:
            logger.warning("stopped by SIGTERM has_checkpoint=%s", interruption.has_checkpoint)
            return outcomes, interruption
        return outcomes, None

    def _run_bot(self, config: RunConfig) -> BotOutcome:
        """Return how the bot's half run ended, whatever it did."""
        work_dir = self._paths.work_dir / config.bot.uid
        with log_to_file(self._log_file(config)):
            _log_event("bot started", self._manifest, config)
            try:
                outcome = self._work_on(config, work_dir)
                _log_event("bot finished", self._manifest, config)
                return outcome
            except Exception as error:  # noqa: BLE001 - a bug in one bot's run must not end its neighbours'
                return BotOutcome(failure=self._failure(error, config))
            finally:
                shutil.rmtree(work_dir, ignore_errors=True)

    def _work_on(self, config: RunConfig, work_dir: Path) -> BotOutcome:
        kind = self._manifest.job_kind
        work_dir.mkdir(parents=True, exist_ok=True)
        store = self._store_of(config.output)
        tracker = open_tracker(config.wandb, config.bot, kind, work_dir, store)
        reporter = HttpReporter(self._channel, config.bot, kind) if self._channel else None
        try:
            outcome = self._load_stage(kind)(config, store, reporter or NullReporter(), tracker, work_dir)
        except Interrupted:
            tracker.interrupt()
            raise
        except BaseException:
            _close(tracker, reporter, exit_code=1)
            raise
        _close(tracker, reporter, exit_code=0)
        return outcome

    def _failure(self, error: Exception, config: RunConfig) -> Failure:
        """Log what went wrong and put it into the words of the contract."""
        match error:
            case TrainerError():
                logger.error("bot failed reason=%s message=%s", error.reason, error.message)
                reason, message, code = error.reason, error.message, error.exit_code
            case MemoryError():
                logger.error("bot failed reason=%s", Reason.OUT_OF_MEMORY, exc_info=error)
                reason, message, code = Reason.OUT_OF_MEMORY, "the process ran out of memory", ExitCode.TRANSIENT
            case _:
                logger.error("bot failed reason=%s", Reason.INTERNAL_ERROR, exc_info=error)
                reason, message, code = Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}", ExitCode.TRANSIENT
        return Failure(
            reason=reason,
            message=message[:_MESSAGE_CHARACTERS],
            exit_code=code,
            log_tail=log_tail(self._log_file(config)),
        )

    def _interrupted(self, config: RunConfig, interruption: Interrupted | None) -> BotOutcome:
        """Return the end of a bot that was not done; `interruption` broke it off, None if it was not begun."""
        has_checkpoint = interruption is not None and interruption.has_checkpoint
        so_far = "; a checkpoint is stored, from which the next attempt goes on" if has_checkpoint else ""
        return BotOutcome(
            failure=Failure(
                reason=Reason.INTERRUPTED,
                message=f"the pod was stopped before the bot was done{so_far}",
                exit_code=ExitCode.STOPPED_WITH_CHECKPOINT if has_checkpoint else SIGTERM_EXIT_CODE,
                log_tail=log_tail(self._log_file(config)),
            )
        )

    def _write_termination_message(self, outcomes: Sequence[BotOutcome]) -> None:
        try:
            self._paths.termination_message.write_text(encode_termination(outcomes), encoding="utf-8")
        except (OSError, ValueError) as error:
            logger.error("termination message not written error=%r", error)

    def _send_results(self, outcomes: Sequence[BotOutcome], timeout_seconds: float) -> None:
        """Send each bot's result; the time is for all of them together."""
        if not self._channel:
            return
        sender = ResultSender(self._channel)
        deadline = time.monotonic() + timeout_seconds
        for config, outcome in zip(self._manifest.bots, outcomes, strict=True):
            message = ResultMessage(bot=config.bot, job_kind=self._manifest.job_kind, outcome=outcome)
            sender.send(message, deadline - time.monotonic())

    def _upload_logs(self) -> None:
        """Keep each bot's log in its store; a failure costs the log only."""
        if self._manifest.job_kind == "purge":
            return
        for config in self._manifest.bots:
            path = self._log_file(config)
            if not path.exists():
                continue
            key = names.attempt_log(self._manifest.job_kind, config.bot.attempt)
            try:
                self._store_of(config.output).upload(path, key)
            except Exception as error:  # noqa: BLE001 - the results are out; nothing may change the exit code now
                logger.warning("log not stored bot=%s error=%r", config.bot.name, error)

    def _log_file(self, config: RunConfig) -> Path:
        return self._paths.work_dir / "logs" / f"{config.bot.uid}.txt"


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


def load_manifest(path: Path, kind: names.JobKind) -> RunManifest:
    """Return the run manifest; raise InvalidSpec if it cannot be read or is for the other kind of Job."""
    try:
        manifest = RunManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainerError(Reason.INVALID_SPEC, f"the run manifest {path} cannot be read: {error}") from error
    if manifest.job_kind != kind:
        raise TrainerError(Reason.INVALID_SPEC, f"the run manifest {path} is for a {manifest.job_kind} Job")
    return manifest


def exit_code(outcomes: Sequence[BotOutcome]) -> int:
    """Return 0 if all went well, else a code after which another attempt may help, else the first failure's."""
    codes = [outcome.failure.exit_code or ExitCode.TRANSIENT for outcome in outcomes if outcome.failure]
    return next((code for code in codes if is_retryable(code)), codes[0] if codes else ExitCode.OK)


def _may_end_better(outcome: BotOutcome) -> bool:
    return outcome.failure is not None and is_retryable(outcome.failure.exit_code or ExitCode.TRANSIENT)


def _open_channel(manifest: RunManifest, paths: JobPaths) -> OperatorChannel | None:
    if manifest.operator_url is None:
        return None
    return OperatorChannel(manifest.operator_url, paths.manifest.parent / names.CA_FILE, paths.token)


def _close(tracker: Tracker, reporter: HttpReporter | None, exit_code: int) -> None:
    tracker.finish(exit_code)
    if reporter:
        reporter.close()


def _log_event(event: str, manifest: RunManifest, config: RunConfig) -> None:
    bot = config.bot
    logger.info(
        "%s job=%s namespace=%s name=%s uid=%s run=%s attempt=%d",
        event, manifest.job_name, bot.namespace, bot.name, bot.uid, bot.run_id, bot.attempt,
    )  # fmt: skip
