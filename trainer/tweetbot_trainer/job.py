"""One Job in the cluster: works on the bots of a run manifest, together or in turn, and tells how each ended.

One bot's failure never touches the next. How a bot ended is told at once, and how all did stands in the termination
message, so a result is known even if the operator is away.
"""

import logging
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pydantic import ValidationError

from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome, ResultMessage
from tweetbot_api.runconfig import RunConfig, RunManifest, S3Location
from tweetbot_api.termination import encode_termination
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.interruption import (
    Interrupted,
    hold_sigterm,
    release_sigterm,
    sigterm_interrupts,
)
from tweetbot_trainer.job_failures import exit_code, failure_of, interrupted, may_end_better
from tweetbot_trainer.job_log import log_to_file, logged_to
from tweetbot_trainer.member import Member
from tweetbot_trainer.operator_channel import HttpReporter, OperatorChannel, Results
from tweetbot_trainer.progress import NullReporter, Reporter
from tweetbot_trainer.s3 import open_store
from tweetbot_trainer.tracking import Tracker, open_tracker

logger = logging.getLogger(__name__)

RESULT_TIMEOUT_SECONDS: Final = 600.0
INTERRUPTED_RESULT_TIMEOUT_SECONDS: Final = 10.0


class StageFunction(Protocol):
    """One half of a run: `prepare.prepare` or `pipeline.train_bot`."""

    def __call__(
        self, config: RunConfig, store: Store, reporter: Reporter, tracker: Tracker, work_dir: Path
    ) -> BotOutcome:
        """Do it, or raise TrainerError."""
        ...


class BatchFunction(Protocol):
    """One half of many runs at once: `together.training.train_together`."""

    def __call__(
        self, members: Sequence[Member], work_dir: Path, on_end: Callable[[Member, BotOutcome | Exception], None]
    ) -> None:
        """Do it, and tell once of each how it ended."""
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


def load_together(manifest: RunManifest) -> BatchFunction | None:
    """Import and return the function that trains this batch of bots as one, None if it is not to be had."""
    if manifest.job_kind != "train" or len(manifest.bots) == 1:
        return None
    from tweetbot_trainer.together.alike import may_be_together
    from tweetbot_trainer.together.training import train_together

    return train_together if may_be_together(manifest.bots) else None


class Job:
    """The bots of one run manifest, worked on in one pod."""

    def __init__(
        self,
        manifest: RunManifest,
        paths: JobPaths,
        load_stage: Callable[[names.JobKind], StageFunction] = load_stage,
        store_of: Callable[[S3Location], Store] = open_store,
        *,
        load_together: Callable[[RunManifest], BatchFunction | None] = lambda _manifest: None,
        is_shared: bool = False,
    ) -> None:
        self._manifest = manifest
        self._load_together = load_together
        self._is_shared = is_shared
        """Other processes work on the same bots, in step with this one."""
        self._paths = paths
        self._load_stage = load_stage
        self._store_of = store_of
        self._channel = _open_channel(manifest, paths)
        self._results = Results(self._channel) if self._channel else None
        self._outcomes: dict[str, BotOutcome] = {}
        """How the bots ended that are done with, by uid."""
        self._saved: set[str] = set()
        """The bots that were stopped and have a checkpoint."""

    def run(self) -> int:
        """Work on every bot, leave the results, and return the exit code."""
        with sigterm_interrupts():
            self._run_bots()
            is_interrupted = len(self._outcomes) < len(self._manifest.bots)
            outcomes = []
            for config in self._manifest.bots:
                outcome = self._outcomes.get(config.bot.uid)
                if outcome is None:
                    has_checkpoint = config.bot.uid in self._saved
                    outcome = BotOutcome(failure=interrupted(self._log_file(config), has_checkpoint=has_checkpoint))
                    self._send_result(config, outcome)
                outcomes.append(outcome)
            self._write_termination_message(outcomes)
            try:
                release_sigterm()
                if self._results:
                    seconds = INTERRUPTED_RESULT_TIMEOUT_SECONDS if is_interrupted else RESULT_TIMEOUT_SECONDS
                    self._results.finish(seconds)
            except Interrupted:
                logger.warning("stopped by SIGTERM before all results were acknowledged")
            try:
                self._upload_logs()
            except Interrupted:
                logger.warning("stopped by SIGTERM before all logs were stored")
        return exit_code(outcomes)

    def _run_bots(self) -> None:
        """Note how the bots end, and which were stopped with a checkpoint; SIGTERM is held from here on."""
        try:
            try:
                together = None if self._is_shared else self._load_together(self._manifest)
                if together:
                    self._run_together(together)
                else:
                    self._run_in_turn()
            finally:
                hold_sigterm()
        except Interrupted as interruption:
            logger.warning("stopped by SIGTERM has_checkpoint=%s", interruption.has_checkpoint)

    def _run_in_turn(self) -> None:
        for config in self._manifest.bots:
            with log_to_file(self._log_file(config)):
                self._run_bot(config)
            if self._is_shared and may_end_better(self._outcomes[config.bot.uid]):
                # The other processes cannot know that this one went on to the next bot.
                return

    def _run_bot(self, config: RunConfig) -> None:
        member = self._open(config)
        if member is None:
            return
        try:
            stage = self._load_stage(self._manifest.job_kind)
            result = stage(config, member.store, member.reporter, member.tracker, member.work_dir)
        except Interrupted as interruption:
            if interruption.has_checkpoint:
                self._saved.add(config.bot.uid)
            member.tracker.interrupt()
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one bot's run must not end its neighbours'
            self._end(member, error)
        else:
            self._end(member, result)

    def _run_together(self, train: BatchFunction) -> None:
        with ExitStack() as logs:
            for config in self._manifest.bots:
                logs.enter_context(log_to_file(self._log_file(config)))
            members = [member for config in self._manifest.bots if (member := self._open(config))]
            try:
                train(members, self._paths.work_dir / "together", self._end)
            except Interrupted as interruption:
                self._saved |= interruption.saved
                stopped = [member for member in members if member.config.bot.uid not in self._outcomes]
                with ThreadPoolExecutor(max(1, len(stopped))) as threads:
                    list(threads.map(lambda member: member.tracker.interrupt(), stopped))
                raise

    def _open(self, config: RunConfig) -> Member | None:
        """Return what one bot's run reads and writes, None if that cannot be had and the bot is done with."""
        kind, log_file = self._manifest.job_kind, self._log_file(config)
        work_dir = self._paths.work_dir / config.bot.uid
        work_dir.mkdir(parents=True, exist_ok=True)
        with logged_to(log_file):
            _log_event("bot started", self._manifest, config)
            try:
                store = self._store_of(config.output)
            except Exception as error:  # noqa: BLE001 - one bot's store is not its neighbours'
                self._note(config, BotOutcome(failure=failure_of(error, log_file)))
                return None
            return Member(
                config=config,
                store=store,
                reporter=HttpReporter(self._channel, config.bot, kind) if self._channel else NullReporter(),
                tracker=open_tracker(config.wandb, config.bot, kind, work_dir, store),
                work_dir=work_dir,
                log_file=log_file,
            )

    def _end(self, member: Member, result: BotOutcome | Exception) -> None:
        """Note how a bot ended, and close what it wrote to."""
        with logged_to(member.log_file):
            member.tracker.finish(1 if isinstance(result, Exception) else 0)
            if isinstance(member.reporter, HttpReporter):
                member.reporter.close()
            if isinstance(result, Exception):
                result = BotOutcome(failure=failure_of(result, member.log_file))
            else:
                _log_event("bot finished", self._manifest, member.config)
        self._note(member.config, result)
        shutil.rmtree(member.work_dir, ignore_errors=True)

    def _write_termination_message(self, outcomes: Sequence[BotOutcome]) -> None:
        try:
            self._paths.termination_message.write_text(encode_termination(outcomes), encoding="utf-8")
        except (OSError, ValueError) as error:
            logger.error("termination message not written error=%r", error)

    def _note(self, config: RunConfig, outcome: BotOutcome) -> None:
        """Keep how a bot ended, and tell it at once: its owner need not wait for its neighbours."""
        self._outcomes[config.bot.uid] = outcome
        self._send_result(config, outcome)

    def _send_result(self, config: RunConfig, outcome: BotOutcome) -> None:
        if self._results:
            message = ResultMessage(bot=config.bot, job_kind=self._manifest.job_kind, outcome=outcome)
            self._results.send(message)

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
                store = self._store_of(config.output)
                # A queue may have stopped this very attempt before, which had another pod then.
                if earlier := store.read_bytes(key):
                    path.write_bytes(earlier + path.read_bytes())
                store.upload(path, key)
            except Exception as error:  # noqa: BLE001 - the results are out; nothing may change the exit code now
                logger.warning("log not stored bot=%s error=%r", config.bot.name, error)

    def _log_file(self, config: RunConfig) -> Path:
        return self._paths.work_dir / "logs" / f"{config.bot.uid}.txt"


def load_manifest(path: Path, kind: names.JobKind) -> RunManifest:
    """Return the run manifest; raise InvalidSpec if it cannot be read or is for the other kind of Job."""
    try:
        manifest = RunManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainerError(Reason.INVALID_SPEC, f"the run manifest {path} cannot be read: {error}") from error
    if manifest.job_kind != kind:
        raise TrainerError(Reason.INVALID_SPEC, f"the run manifest {path} is for a {manifest.job_kind} Job")
    return manifest


def _open_channel(manifest: RunManifest, paths: JobPaths) -> OperatorChannel | None:
    if manifest.operator_url is None:
        return None
    return OperatorChannel(manifest.operator_url, paths.manifest.parent / names.CA_FILE, paths.token)


def _log_event(event: str, manifest: RunManifest, config: RunConfig) -> None:
    bot = config.bot
    logger.info(
        "%s job=%s namespace=%s name=%s uid=%s run=%s attempt=%d",
        event, manifest.job_name, bot.namespace, bot.name, bot.uid, bot.run_id, bot.attempt,
    )  # fmt: skip
