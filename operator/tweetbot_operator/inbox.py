"""What trainers have said and no status tells yet: the newest progress and the result of each bot.

Nothing here is needed to end right: a result that is lost with the process is sent again, or stands in the pod's
termination message. Safe to use from several threads.
"""

import asyncio
import threading
from dataclasses import dataclass

from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import JobKind
from tweetbot_api.runconfig import BotIdentity
from tweetbot_operator.loop_call import call_soon
from tweetbot_operator.observed import Key, Report, Result


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which attempt a message is about."""

    uid: str
    run_id: str
    kind: JobKind
    number: int

    @classmethod
    def of(cls, bot: BotIdentity, kind: JobKind) -> "Attempt":
        """Return the attempt that a message names."""
        return cls(bot.uid, bot.run_id, kind, bot.attempt)


@dataclass(slots=True)
class _Letter:
    """A result that waits to be stored, and those who wait for that."""

    attempt: Attempt
    result: Result
    stored: asyncio.Event
    loop: asyncio.AbstractEventLoop


class Inbox:
    """The newest message of each kind for each bot."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reports: dict[Key, tuple[Attempt, Report]] = {}
        self._letters: dict[Key, _Letter] = {}

    def put_report(self, key: Key, attempt: Attempt, report: Report) -> None:
        """Keep the newest progress."""
        with self._lock:
            self._reports[key] = (attempt, report)

    def put_result(self, key: Key, attempt: Attempt, outcome: BotOutcome, pod_uid: str) -> asyncio.Event:
        """Keep a result; the Event is set once it is stored in status."""
        letter = _Letter(attempt, Result(outcome=outcome, pod_uid=pod_uid), asyncio.Event(), asyncio.get_running_loop())
        with self._lock:
            self._letters[key] = letter
        return letter.stored

    def report(self, key: Key, attempt: Attempt) -> Report | None:
        """Return the newest progress of this attempt."""
        with self._lock:
            found = self._reports.get(key)
        return found[1] if found and found[0] == attempt else None

    def result(self, key: Key, attempt: Attempt) -> Result | None:
        """Return the result of this attempt."""
        with self._lock:
            letter = self._letters.get(key)
        return letter.result if letter and letter.attempt == attempt else None

    def acknowledge(self, key: Key, result: Result) -> None:
        """Tell those who wait that this result is stored."""
        with self._lock:
            letter = self._letters.get(key)
        if letter and letter.result is result:
            call_soon(letter.loop, letter.stored.set)

    def forget(self, key: Key) -> None:
        """Drop what was said about a bot whose run has ended or which is gone."""
        with self._lock:
            self._reports.pop(key, None)
            self._letters.pop(key, None)
