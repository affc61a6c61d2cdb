"""One Job in the cluster: works on the bots of a run manifest, together or in turn, and tells how each ended.

One bot's failure never touches the next. How a bot ended is told at once, and how all did stands in the termination
message, so a result is known even if the operator is away.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final

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
from tweetbot_trainer.log_keeper import LogKeeper
from tweetbot_trainer.member import Member
from tweetbot_trainer.members import Members
from tweetbot_trainer.operator_channel import OperatorChannel, Results
from tweetbot_trainer.s3 import open_store
from tweetbot_trainer.stages import BatchFunction, StageFunction, load_stage

logger = logging.getLogger(__name__)

RESULT_TIMEOUT_SECONDS: Final = 600.0
INTERRUPTED_RESULT_TIMEOUT_SECONDS: Final = 10.0
_PREPARED_AT_ONCE: Final = 4
_CLOSE_SECONDS: Final = 5.0
"""What trackers of bots that have ended may still take when the pod is stopped."""


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
        channel = _open_channel(manifest, paths)
        self._results = Results(channel) if channel else None
        self._members = Members(manifest, paths.work_dir, store_of, channel)
        logged = () if manifest.job_kind == "purge" else manifest.bots
        self._logs = LogKeeper(manifest.job_kind, logged, self._members.log_file, store_of, self._members.is_unwanted)
        self._outcomes: dict[str, BotOutcome] = {}
        """How the bots ended that are done with, by uid."""
        self._saved: set[str] = set()
        """The bots that were stopped and have a checkpoint."""
        self._is_over = False
        """What threads that could not be ended still do is not told any more."""
        self._at_work: dict[str, Member] = {}
        """The bots that are worked on in turn or side by side, by uid."""

    def run(self) -> int:
        """Work on every bot, leave the results, and return the exit code."""
        with sigterm_interrupts(), self._logs.at_work():
            self._run_bots()
            self._is_over = True
            is_interrupted = len(self._outcomes) < len(self._manifest.bots)
            outcomes = []
            for config in self._manifest.bots:
                outcome = self._outcomes.get(config.bot.uid)
                if outcome is None:
                    has_checkpoint = config.bot.uid in self._saved
                    outcome = BotOutcome(
                        failure=interrupted(self._members.log_file(config), has_checkpoint=has_checkpoint)
                    )
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
                self._logs.store()
            except Interrupted:
                logger.warning("stopped by SIGTERM before all logs were stored")
        bots = zip(self._manifest.bots, outcomes, strict=True)
        return exit_code([outcome for config, outcome in bots if not self._members.is_unwanted(config)])

    def _run_bots(self) -> None:
        """Note how the bots end, and which were stopped with a checkpoint; SIGTERM is held from here on."""
        try:
            try:
                together = None if self._is_shared else self._load_together(self._manifest)
                if together:
                    self._run_together(together)
                elif self._manifest.job_kind == "prepare":
                    self._run_side_by_side()
                else:
                    self._run_in_turn()
            finally:
                hold_sigterm()
        except Interrupted as interruption:
            logger.warning("stopped by SIGTERM has_checkpoint=%s", interruption.has_checkpoint)

    def _run_in_turn(self) -> None:
        for config in self._manifest.bots:
            with log_to_file(self._members.log_file(config)):
                self._run_bot(config)
            if self._is_shared and may_end_better(self._outcomes[config.bot.uid]):
                # The other processes cannot know that this one went on to the next bot.
                return

    def _run_side_by_side(self) -> None:
        """Work on a few bots at a time, for each of them mostly waits for a network."""
        waiting = iter(self._manifest.bots)

        def work() -> None:
            for config in waiting:
                if self._is_over:
                    return
                log_file = self._members.log_file(config)
                with log_to_file(log_file), logged_to(log_file):
                    self._run_bot(config)

        # Daemons: a pod that is told to stop does not wait for what they wait for.
        threads = [Thread(target=work, daemon=True) for _ in range(_PREPARED_AT_ONCE)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except Interrupted:
            self._is_over = True
            self._interrupt(list(self._at_work.values()))
            raise

    def _run_bot(self, config: RunConfig) -> None:
        member = self._open(config)
        if member is None:
            return
        self._at_work[config.bot.uid] = member
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
        del self._at_work[config.bot.uid]

    def _run_together(self, train: BatchFunction) -> None:
        closers = ThreadPoolExecutor(thread_name_prefix="close")
        with ExitStack() as logs:
            for config in self._manifest.bots:
                logs.enter_context(log_to_file(self._members.log_file(config)))
            members = [member for config in self._manifest.bots if (member := self._open(config))]
            closing = []

            def end(member: Member, result: BotOutcome | Exception) -> None:
                # In a thread, for a tracker may take long to close, and those in training must not wait for it.
                closing.append(closers.submit(self._end, member, result))

            try:
                train(members, self._paths.work_dir / "together", end)
            except Interrupted as interruption:
                self._saved |= interruption.saved
                wait(closing, timeout=_CLOSE_SECONDS)
                self._interrupt([member for member in members if member.config.bot.uid not in self._outcomes])
                raise
            for future in closing:
                future.result()

    @staticmethod
    def _interrupt(members: Sequence[Member]) -> None:
        with ThreadPoolExecutor(max(1, len(members))) as threads:
            list(threads.map(lambda member: member.tracker.interrupt(), members))

    def _open(self, config: RunConfig) -> Member | None:
        """Return what one bot's run reads and writes, None if that cannot be had and the bot is done with."""
        try:
            return self._members.open(config)
        except Exception as error:  # noqa: BLE001 - one bot's store is not its neighbours'
            with logged_to(self._members.log_file(config)):
                self._note(config, BotOutcome(failure=failure_of(error, self._members.log_file(config))))
            return None

    def _end(self, member: Member, result: BotOutcome | Exception) -> None:
        self._note(member.config, self._members.close(member, result))

    def _write_termination_message(self, outcomes: Sequence[BotOutcome]) -> None:
        try:
            self._paths.termination_message.write_text(encode_termination(outcomes), encoding="utf-8")
        except (OSError, ValueError) as error:
            logger.error("termination message not written error=%r", error)

    def _note(self, config: RunConfig, outcome: BotOutcome) -> None:
        """Keep how a bot ended, and tell it at once: its owner need not wait for its neighbours."""
        if self._is_over:
            return
        self._outcomes[config.bot.uid] = outcome
        self._send_result(config, outcome)

    def _send_result(self, config: RunConfig, outcome: BotOutcome) -> None:
        if self._results and not self._members.is_unwanted(config):
            message = ResultMessage(bot=config.bot, job_kind=self._manifest.job_kind, outcome=outcome)
            self._results.send(message)


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
