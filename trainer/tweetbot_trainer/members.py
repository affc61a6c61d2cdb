"""The bots of one Job: what each reads and writes, opened when its turn comes and closed when it has ended."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from tweetbot_api.messages import BotOutcome
from tweetbot_api.runconfig import RunConfig, RunManifest, S3Location
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.job_failures import failure_of
from tweetbot_trainer.job_log import logged_to
from tweetbot_trainer.member import Member
from tweetbot_trainer.operator_channel import HttpReporter, OperatorChannel
from tweetbot_trainer.progress import NullReporter, Reporter
from tweetbot_trainer.tracking import open_tracker
from tweetbot_trainer.wanted import HeedfulReporter, HeedfulStore, UnwantedError

logger = logging.getLogger(__name__)


class Members:
    """The bots of a run manifest. Its methods may be called from several threads, for different bots."""

    def __init__(
        self,
        manifest: RunManifest,
        work_dir: Path,
        store_of: Callable[[S3Location], Store],
        channel: OperatorChannel | None,
    ) -> None:
        self._manifest = manifest
        self._work_dir = work_dir
        self._store_of = store_of
        self._channel = channel
        self._reporters: dict[str, HttpReporter] = {}
        self._unwanted: set[str] = set()

    def log_file(self, config: RunConfig) -> Path:
        """Return the file that holds what was logged of the bot."""
        return self._work_dir / "logs" / f"{config.bot.uid}.txt"

    def open(self, config: RunConfig) -> Member:
        """Return what one bot's run reads and writes; raise what keeps its store from being opened."""
        kind, uid = self._manifest.job_kind, config.bot.uid
        work_dir = self._work_dir / uid
        work_dir.mkdir(parents=True, exist_ok=True)
        with logged_to(self.log_file(config)):
            self._log_event("bot started", config)
            store, reporter = self._store_of(config.output), self._open_reporter(config)
            # A bot that is alone in its pod is stopped with it, and can be saved then.
            if len(self._manifest.bots) > 1:
                store = HeedfulStore(store, lambda: not self._is_refused(uid))
                reporter = HeedfulReporter(reporter, lambda: not self._is_refused(uid))
            return Member(
                config=config,
                store=store,
                reporter=reporter,
                tracker=open_tracker(config.wandb, config.bot, kind, work_dir, store),
                work_dir=work_dir,
                log_file=self.log_file(config),
            )

    def close(self, member: Member, result: BotOutcome | Exception) -> BotOutcome:
        """Close what a bot that has ended wrote to; return how it ended in the words of the contract."""
        uid = member.config.bot.uid
        with logged_to(member.log_file):
            member.tracker.finish(1 if isinstance(result, Exception) else 0)
            if uid in self._reporters:
                self._reporters[uid].close()
            if isinstance(result, UnwantedError):
                self._unwanted.add(uid)
            if isinstance(result, Exception):
                result = BotOutcome(failure=failure_of(result, member.log_file))
            else:
                self._log_event("bot finished", member.config)
        shutil.rmtree(member.work_dir, ignore_errors=True)
        return result

    def is_unwanted(self, config: RunConfig) -> bool:
        """Tell whether nobody waits for this bot any more."""
        return config.bot.uid in self._unwanted

    def _open_reporter(self, config: RunConfig) -> Reporter:
        if self._channel is None:
            return NullReporter()
        reporter = HttpReporter(self._channel, config.bot, self._manifest.job_kind)
        self._reporters[config.bot.uid] = reporter
        return reporter

    def _is_refused(self, uid: str) -> bool:
        return uid in self._reporters and self._reporters[uid].is_refused

    def _log_event(self, event: str, config: RunConfig) -> None:
        bot = config.bot
        logger.info(
            "%s job=%s namespace=%s name=%s uid=%s run=%s attempt=%d",
            event, self._manifest.job_name, bot.namespace, bot.name, bot.uid, bot.run_id, bot.attempt,
        )  # fmt: skip
