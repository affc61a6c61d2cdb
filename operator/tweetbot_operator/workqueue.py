"""Which key is worked on next: each at most once at a time, again if it was asked for meanwhile, later if it failed.

`WorkQueue` holds the rules and no loop, so that a fake clock tests them; `run_workers` is the loop. This is the one
place that catches every error: a bug in the work on one key must not stop the others.
"""

import asyncio
import heapq
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
_LONGEST_SLEEP_SECONDS = 30.0


class TryAgainError(Exception):
    """The work could not be done now, for a reason that is nobody's mistake; it is tried again after a pause."""


K = TypeVar("K", bound=Hashable)
Work = Callable[[K], Awaitable[float | None]]
"""Works on a key; returns after how many seconds to do so again, or None."""


class WorkQueue(Generic[K]):
    """Keys in the order in which they are due."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ready: deque[K] = deque()
        self._queued: set[K] = set()
        self._running: set[K] = set()
        self._asked_again: set[K] = set()
        self._due: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._count = 0
        self._failures: dict[K, int] = {}
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        """Return how many keys are due."""
        return len(self._ready)

    def add(self, key: K) -> None:
        """Ask for a key to be worked on as soon as possible."""
        if key in self._running:
            self._asked_again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.append(key)
            self.changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for a key to be worked on later; this replaces an earlier such wish."""
        if seconds <= 0:
            self.add(key)
            return
        self._due[key] = self._clock() + seconds
        self._count += 1
        heapq.heappush(self._timers, (self._due[key], self._count, key))
        self.changed.set()

    def add_within(self, key: K, seconds: float) -> None:
        """Ask for a key to be worked on after so long at the latest: many such wishes are one."""
        if key not in self._queued and self._due.get(key, math.inf) > self._clock() + seconds:
            self.add_after(key, seconds)

    def take(self) -> K | None:
        """Return the next key that is due, or None; it is nobody else's until done() or fail()."""
        self._collect_due()
        if not self._ready:
            return None
        key = self._ready.popleft()
        self._queued.discard(key)
        self._running.add(key)
        self._due.pop(key, None)
        return key

    def done(self, key: K, requeue_after: float | None) -> None:
        """End the work on a key that went well."""
        self._failures.pop(key, None)
        self._end(key)
        if requeue_after is not None:
            # Whoever asked meanwhile may have asked for an earlier time.
            self.add_within(key, requeue_after)

    def fail(self, key: K) -> float:
        """End the work on a key that went wrong; return the pause before the next try."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause: float = min(FIRST_PAUSE_SECONDS * 2 ** min(failures, 16), LONGEST_PAUSE_SECONDS)
        # Whoever asked meanwhile waits too: an event must not turn a backoff into a hot loop.
        self._asked_again.discard(key)
        self._running.discard(key)
        self.add_after(key, pause)
        return pause

    def seconds_until_next(self) -> float:
        """Return how long nothing will be due."""
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        if not self._timers:
            return _LONGEST_SLEEP_SECONDS
        return min(max(self._timers[0][0] - self._clock(), 0.0), _LONGEST_SLEEP_SECONDS)

    def _collect_due(self) -> None:
        while self._timers and self._timers[0][0] <= self._clock():
            time, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == time:
                del self._due[key]
                self.add(key)

    def _end(self, key: K) -> None:
        self._running.discard(key)
        if key in self._asked_again:
            self._asked_again.discard(key)
            self.add(key)


async def run_workers(queue: WorkQueue[K], work: Work[K], workers: int) -> None:
    """Work on keys as they become due, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(_run_worker(queue, work), name=f"worker {number}")


async def _run_worker(queue: WorkQueue[K], work: Work[K]) -> None:
    while True:
        key = queue.take()
        if key is None:
            await _wait_for_change(queue)
            continue
        try:
            requeue_after = await work(key)
        except TryAgainError as wish:
            pause = queue.fail(key)
            logger.info("tried again later key=%s pause=%s reason=%s", key, pause, wish)
        except Exception:
            pause = queue.fail(key)
            logger.exception("the work on a key failed key=%s pause=%s", key, pause)
        else:
            queue.done(key, requeue_after)


async def _wait_for_change(queue: WorkQueue[K]) -> None:
    queue.changed.clear()
    try:
        async with asyncio.timeout(queue.seconds_until_next()):
            await queue.changed.wait()
    except TimeoutError:
        return
