"""Attempts that wait for others to share a Job with, and shared Jobs that are to be made. In memory only.

Nothing here is needed to end right: after a restart each bot comes to wait again by itself. Safe to use from several
threads.
"""

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from tweetbot_operator.observed import Key
from tweetbot_operator.policies.batching import Candidate, Group

SHARED_JOB_SECONDS = 2.0
"""How long whoever assigns bots to a Job has to make it, before it is made by those who miss it."""


@dataclass(frozen=True, slots=True)
class SharedJob:
    """A Job that several bots count on."""

    key: Key


Item = Key | Group | SharedJob
"""What the operator works on: a bot, those who wait for one another, a Job that is missing."""


@dataclass(frozen=True, slots=True)
class Waited:
    """A candidate, and since when it waits."""

    candidate: Candidate
    since: float
    is_told: bool = False
    """Whether its status says that it waits behind others for a Job."""


class Waiting:
    """Who waits, by group."""

    def __init__(self, ask_for: Callable[[Group | SharedJob, float], None]) -> None:
        """Take what asks for a group or a shared Job to be worked on, after so many seconds; from any thread."""
        self._ask_for = ask_for
        self._lock = threading.Lock()
        self._groups: dict[Group, dict[Key, Waited]] = defaultdict(dict)
        self._group_of: dict[Key, Group] = {}

    def put(self, candidate: Candidate, now: float) -> None:
        """Let a candidate wait; one that does already keeps its place."""
        with self._lock:
            known = self._groups.get(candidate.group, {}).get(candidate.bot)
            if known and known.candidate.job_name == candidate.job_name:
                now_known = replace(known.candidate, is_preparing=candidate.is_preparing)
                self._groups[candidate.group][candidate.bot] = replace(known, candidate=now_known)
                return
            self._drop(candidate.bot)
            self._groups[candidate.group][candidate.bot] = Waited(candidate, now)
            self._group_of[candidate.bot] = candidate.group
        self._ask_for(candidate.group, 0.0)

    def note_told(self, bot: Key) -> None:
        """Remember, for as long as it waits, that a bot's status says that it is behind others."""
        with self._lock:
            group = self._group_of.get(bot)
            if group is not None:
                self._groups[group][bot] = replace(self._groups[group][bot], is_told=True)

    def drop(self, bot: Key) -> None:
        """Forget a bot that waits no more."""
        with self._lock:
            self._drop(bot)

    def of(self, group: Group) -> list[Waited]:
        """Return who waits."""
        with self._lock:
            return list(self._groups.get(group, {}).values())

    def ask_for_job(self, key: Key) -> None:
        """Ask for a shared Job to be made, should it be missing."""
        self._ask_for(SharedJob(key), SHARED_JOB_SECONDS)

    def _drop(self, bot: Key) -> None:
        group = self._group_of.pop(bot, None)
        if group is None:
            return
        del self._groups[group][bot]
        if not self._groups[group]:
            del self._groups[group]
