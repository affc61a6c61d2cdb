"""The logs of a Job's bots in their stores: stored again and again, for a pod that is killed can store nothing more."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from tweetbot_api import names
from tweetbot_api.runconfig import RunConfig, S3Location
from tweetbot_trainer.artifacts import Store

logger = logging.getLogger(__name__)

LOG_SECONDS: Final = 30.0
"""How much of a log is lost at most when the pod is killed."""
_LOGS_AT_ONCE: Final = 8


class LogKeeper:
    """Keeps each bot's log in its store; a failure costs the log only."""

    def __init__(
        self,
        kind: names.JobKind,
        bots: Sequence[RunConfig],
        log_file: Callable[[RunConfig], Path],
        store_of: Callable[[S3Location], Store],
        is_unwanted: Callable[[RunConfig], bool],
    ) -> None:
        self._kind = kind
        self._bots = bots
        self._log_file = log_file
        self._store_of = store_of
        self._is_unwanted = is_unwanted
        self._lock = Lock()
        """An older log must not replace a newer one."""
        self._earlier: dict[str, bytes] = {}
        """What another pod of the same attempt has stored before its queue stopped it, by the bot's uid."""
        self._lengths: dict[str, int] = {}
        """Of what was stored last."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Store the logs now and then, in the background."""
        is_over = Event()
        # A daemon: a store that never answers does not keep the pod.
        Thread(target=self._store_until, args=(is_over,), name="logs", daemon=True).start()
        try:
            yield
        finally:
            is_over.set()

    def store(self) -> None:
        """Store all logs that have grown since they were stored."""
        with self._lock, ThreadPoolExecutor(_LOGS_AT_ONCE) as threads:
            list(threads.map(self._store_log, [config for config in self._bots if not self._is_unwanted(config)]))

    def _store_until(self, is_over: Event) -> None:
        while not is_over.wait(LOG_SECONDS):
            self.store()

    def _store_log(self, config: RunConfig) -> None:
        path, uid = self._log_file(config), config.bot.uid
        log = path.read_bytes() if path.exists() else None
        if log is None or len(log) == self._lengths.get(uid):
            return
        key = names.attempt_log(self._kind, config.bot.attempt)
        try:
            store = self._store_of(config.output)
            if uid not in self._earlier:
                self._earlier[uid] = store.read_bytes(key) or b""
            store.write_bytes(key, self._earlier[uid] + log)
            self._lengths[uid] = len(log)
        except Exception as error:  # noqa: BLE001 - whatever it is, the bots' work goes on
            logger.warning("log not stored bot=%s error=%r", config.bot.name, error)
