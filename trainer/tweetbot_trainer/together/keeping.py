"""When bots that are trained together are saved: from time to time, as the recipe says, and when the pod is stopped.

A seed-sized bot is done before its first checkpoint would be due. Copies leave the device between two steps; files are
written and stored in threads.
"""

import logging
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from types import TracebackType
from typing import Final, Self

import torch
from safetensors import SafetensorError

from tweetbot_trainer.checkpoint import Checkpoint
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.fused.batch import FusedBatch
from tweetbot_trainer.fused.course import Snapshot
from tweetbot_trainer.job_log import logged_to
from tweetbot_trainer.random_states import capture_random_states
from tweetbot_trainer.together.running import Running
from tweetbot_trainer.train import LEAST_SECONDS_BETWEEN_CHECKPOINTS, MOST_TIME_FOR_CHECKPOINTS

logger = logging.getLogger(__name__)

_SAVED_AT_ONCE: Final = 4
"""Copies in host memory and files on the disk."""


class Keeper:
    """Saves in threads of its own, which end with the block."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._threads = ThreadPoolExecutor(_SAVED_AT_ONCE, thread_name_prefix="save")
        self._last: Future[bool] | None = None
        """The newest checkpoint that was saved because time had passed."""
        self._resting_until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        is_broken_off = kind is not None and not issubclass(kind, Exception)
        self._threads.shutdown(wait=not is_broken_off, cancel_futures=is_broken_off)

    def at_pause(self, batch: FusedBatch, bots: Collection[Running]) -> None:
        """Save the bots whose recipe says so, and wait for it; or else begin to save the one that is due."""
        if due := [bot for bot in bots if bot.is_to_be_saved]:
            wait([self._save(bot, batch.snapshot(bot.member.config.bot.uid)) for bot in due])
        elif (late := self._late(bots)) and (self._last is None or self._last.done()):
            self._last = self._save(late, batch.snapshot(late.member.config.bot.uid))

    def save_all(
        self, batch: FusedBatch, bots: Mapping[str, Running], trained: Mapping[str, Snapshot], seconds: float
    ) -> set[str]:
        """Save every bot that has made a step, those with most steps first; return the keys of those that are saved.

        `trained` are those that have left the batch already. What takes longer than so many seconds is given up.
        """
        deadline = time.monotonic() + seconds
        keys = sorted({*batch.unfinished, *trained} & bots.keys(), key=lambda key: -bots[key].step)
        futures = {
            key: self._threads.submit(self._save_now, batch, bots[key], trained.get(key))
            for key in keys
            if bots[key].step > 0
        }
        wait(futures.values(), timeout=max(0.0, deadline - time.monotonic()))
        saved = {key for key, future in futures.items() if future.done() and future.result()}
        logger.info("bots saved before the end saved=%d of=%d", len(saved), len(keys))
        return saved

    def _save_now(self, batch: FusedBatch, bot: Running, trained: Snapshot | None) -> bool:
        if bot.saving:
            bot.saving.result()
        if bot.saved_step == bot.step:
            return True
        try:
            checkpoint = self._checkpoint(bot, trained or batch.snapshot(bot.member.config.bot.uid))
        except (RuntimeError, OSError) as error:
            logger.warning("bot not saved name=%s error=%r", bot.member.config.bot.name, error)
            return False
        return self._store(bot, checkpoint)

    def _late(self, bots: Iterable[Running]) -> Running | None:
        """Return the bot whose last checkpoint is too old, if the last saving has not taken too much time."""
        now = time.monotonic()
        oldest = min((bot for bot in bots if bot.is_saved_by_time), key=lambda bot: bot.saved_at, default=None)
        if oldest is None or now < max(oldest.saved_at + LEAST_SECONDS_BETWEEN_CHECKPOINTS, self._resting_until):
            return None
        return oldest

    def _save(self, bot: Running, snapshot: Snapshot) -> Future[bool]:
        bot.saved_at = time.monotonic()
        bot.saving = self._threads.submit(copy_context().run, self._store, bot, self._checkpoint(bot, snapshot))
        return bot.saving

    def _checkpoint(self, bot: Running, snapshot: Snapshot) -> Checkpoint:
        return bot.checkpoint(snapshot, capture_random_states(self._device))

    def _store(self, bot: Running, checkpoint: Checkpoint) -> bool:
        """Tell whether it is stored; a failure costs this checkpoint only."""
        start = time.monotonic()
        with logged_to(bot.member.log_file):
            try:
                bot.checkpoints.begin(checkpoint)
                is_saved = bot.checkpoints.finish()
            except (TrainerError, OSError, SafetensorError) as error:
                logger.warning("checkpoint not saved step=%d error=%s", checkpoint.step, error)
                return False
        if is_saved:
            bot.saved_step = checkpoint.step
        now = time.monotonic()
        self._resting_until = now + (now - start) / MOST_TIME_FOR_CHECKPOINTS
        return is_saved
