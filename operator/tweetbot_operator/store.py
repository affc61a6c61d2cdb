"""What the watches have told, in memory: TweetBots as JSON, Jobs and pods as the few facts that plans need.

It may lag behind the cluster. Whoever creates something on its word relies on names that cannot be taken twice, and on
status writes that fail if the object has changed meanwhile. Safe to use from several threads.
"""

import json
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from tweetbot_api.names import JobKind
from tweetbot_operator.observed import Document, Key, ObservedJob, ObservedPod
from tweetbot_operator.reading import read_job, read_pod


class _Named(Protocol):
    @property
    def key(self) -> Key:
        """Name of the object."""
        ...


_FAST = 1
_DELETED_JOBS_KEPT = 10_000

_Fact = TypeVar("_Fact", bound=_Named)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[_Fact]):
    version: int
    groups: tuple[Key, ...]
    seen: float
    fact: _Fact


class Facts(Generic[_Fact]):
    """Facts of objects, found by the object's own name or by the name of what it belongs to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Key, _Entry[_Fact]] = {}
        self._groups: dict[Key, set[Key]] = defaultdict(set)

    def put(self, fact: _Fact, groups: Sequence[Key], version: int, seen: float) -> None:
        """Keep a fact unless a newer one is there."""
        with self._lock:
            present = self._entries.get(fact.key)
            if present and present.version > version:
                return
            self._drop(fact.key)
            self._entries[fact.key] = _Entry(version, tuple(groups), seen, fact)
            for group in groups:
                self._groups[group].add(fact.key)

    def drop(self, key: Key) -> None:
        """Forget an object."""
        with self._lock:
            self._drop(key)

    def get(self, key: Key) -> _Fact | None:
        """Return the facts of an object."""
        with self._lock:
            entry = self._entries.get(key)
            return entry.fact if entry else None

    def last_seen(self, key: Key) -> float:
        """Return when the object was last heard of."""
        with self._lock:
            entry = self._entries.get(key)
            return entry.seen if entry else 0.0

    def of(self, group: Key) -> list[_Fact]:
        """Return the facts of all objects that belong to something."""
        with self._lock:
            return [self._entries[key].fact for key in self._groups.get(group, ())]

    def all(self) -> list[_Fact]:
        """Return the facts of all objects."""
        with self._lock:
            return [entry.fact for entry in self._entries.values()]

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        for group in entry.groups if entry else ():
            self._groups[group].discard(key)
            if not self._groups[group]:
                del self._groups[group]


@dataclass(frozen=True, slots=True)
class StoredBot:
    """A TweetBot as it was last seen: what is asked of many at once, and the whole as compressed JSON."""

    version: int
    uid: str
    phase: str
    job: Key | None
    """The Job that its run counts on, while the run goes on."""
    body: bytes
    example: bytes
    """The bot that the body is told by: what both have alike is not stored again."""

    def read(self) -> dict[str, Any]:
        """Return the object."""
        document: dict[str, Any] = json.loads(zlib.decompressobj(zdict=self.example).decompress(self.body))
        return document


class Store:
    """TweetBots, their Jobs (by bot) and their Jobs' pods (by Job)."""

    def __init__(self) -> None:
        self.jobs: Facts[ObservedJob] = Facts()
        self.pods: Facts[ObservedPod] = Facts()
        self._lock = threading.Lock()
        self._bots: dict[Key, StoredBot] = {}
        self._example = b""
        self._bots_of_job: dict[Key, set[Key]] = defaultdict(set)
        self._phases: Counter[tuple[str, str]] = Counter()
        self._deleted_jobs: dict[Key, None] = {}

    def put_bot(self, document: Document) -> bool:
        """Keep a TweetBot unless this version of it, or a newer one, is there; tell whether it is news."""
        key, version = read_key(document), read_version(document)
        known = self.bot(key)
        if known is not None and known.uid == document["metadata"]["uid"] and known.version >= version:
            # What we wrote ourselves comes back by the watch.
            return False
        metadata = {name: value for name, value in document["metadata"].items() if name != "managedFields"}
        status = document.get("status") or {}
        text = json.dumps({**document, "metadata": metadata}, separators=(",", ":")).encode()
        # The first bot that comes: most are made by the same hands.
        example = self._example = self._example or text
        packer = zlib.compressobj(_FAST, zdict=example)
        bot = StoredBot(
            version=version,
            uid=metadata["uid"],
            phase=str(status.get("phase") or "Pending"),
            job=_read_job_of(key, status.get("run") or {}),
            body=packer.compress(text) + packer.flush(),
            example=example,
        )
        with self._lock:
            present = self._bots.get(key)
            if present is None or present.uid != bot.uid or present.version <= version:
                self._forget(key)
                self._bots[key] = bot
                self._phases[key.namespace, bot.phase] += 1
                if bot.job is not None:
                    self._bots_of_job[bot.job].add(key)
        return True

    def drop_bot(self, key: Key) -> None:
        """Forget a TweetBot."""
        with self._lock:
            self._forget(key)

    def bot(self, key: Key) -> StoredBot | None:
        """Return a TweetBot."""
        with self._lock:
            return self._bots.get(key)

    def bots(self) -> dict[str, Key]:
        """Return the names of all TweetBots by uid."""
        with self._lock:
            return {bot.uid: key for key, bot in self._bots.items()}

    def count_phases(self) -> Counter[str]:
        """Return how many TweetBots are in each phase."""
        counted: Counter[str] = Counter()
        with self._lock:
            for (_, phase), number in self._phases.items():
                counted[phase] += number
        return counted

    def count_phase(self, namespace: str, phase: str) -> int:
        """Return how many TweetBots of a namespace are in a phase."""
        with self._lock:
            return self._phases[namespace, phase]

    def bots_of_job(self, job: Key) -> list[Key]:
        """Return the TweetBots whose runs count on a Job, by name."""
        with self._lock:
            return sorted(self._bots_of_job.get(job, ()))

    def put_job(self, document: Document, seen: float) -> ObservedJob:
        """Keep the facts of a Job."""
        job = read_job(document)
        bots = [Key(job.key.namespace, owner.name) for owner in job.owners]
        self.jobs.put(job, bots, read_version(document), seen)
        return job

    def count_jobs_without_node(self, namespace: str, kind: JobKind, likeness: str) -> int:
        """Return how many such Jobs have no pod that a node has taken, and may still get one."""
        return sum(
            self._is_without_node(job)
            for job in self.jobs.all()
            if (job.key.namespace, job.kind, job.likeness) == (namespace, kind, likeness)
        )

    def oldest_without_node(self) -> dict[str, datetime]:
        """Return when the oldest of all such Jobs was made, by kind."""
        oldest: dict[str, datetime] = {}
        for job in self.jobs.all():
            if self._is_without_node(job):
                oldest[job.kind] = min(job.created, oldest.get(job.kind, job.created))
        return oldest

    def drop_job(self, key: Key) -> None:
        """Forget a Job, but not that it was there."""
        self.jobs.drop(key)
        with self._lock:
            self._deleted_jobs[key] = None
            if len(self._deleted_jobs) > _DELETED_JOBS_KEPT:
                del self._deleted_jobs[next(iter(self._deleted_jobs))]

    def is_job_deleted(self, key: Key) -> bool:
        """Tell whether a Job was seen to go, lately."""
        with self._lock:
            return key in self._deleted_jobs

    def put_pod(self, document: Document, seen: float) -> ObservedPod:
        """Keep the facts of a pod."""
        pod = read_pod(document)
        self.pods.put(pod, [Key(pod.key.namespace, pod.job_name)], read_version(document), seen)
        return pod

    def _is_without_node(self, job: ObservedJob) -> bool:
        if job.is_finished or job.is_deleting:
            return False
        return not any(pod.started for pod in self.pods.of(job.key))

    def _forget(self, key: Key) -> None:
        bot = self._bots.pop(key, None)
        if bot is None:
            return
        self._phases[key.namespace, bot.phase] -= 1
        if bot.job is not None:
            self._bots_of_job[bot.job].discard(key)
            if not self._bots_of_job[bot.job]:
                del self._bots_of_job[bot.job]


def _read_job_of(bot: Key, run: Document) -> Key | None:
    is_going_on = run.get("jobName") and not run.get("completionTime")
    return Key(bot.namespace, run["jobName"]) if is_going_on else None


def read_key(document: Document) -> Key:
    """Return the name of an object."""
    return Key(document["metadata"]["namespace"], document["metadata"]["name"])


def read_version(document: Document) -> int:
    """Return the resource version, which Kubernetes declares to be comparable as a number."""
    return int(document["metadata"].get("resourceVersion") or 0)
