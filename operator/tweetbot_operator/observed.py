"""The world as one value: what `make_plan` is told about a bot's Jobs and pods and what its trainer said.

The few facts that decisions rest on; `reading` takes them from Kubernetes objects. Decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

from tweetbot_api.messages import BotOutcome, ProgressMessage
from tweetbot_api.termination import decode_termination

Document = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON."""
JobState = Literal["active", "suspended", "succeeded", "failed"]


class _Named(Protocol):
    """Metadata, or what else names a namespaced object."""

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...


class Key(NamedTuple):
    """Name of a namespaced object."""

    namespace: str
    name: str

    @classmethod
    def of(cls, named: _Named) -> "Key":
        """Return the name that stands there."""
        return cls(named.namespace, named.name)


class Owner(NamedTuple):
    """An owner as an object's ownerReferences name it."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedJob:
    """A Job of ours."""

    key: Key
    uid: str
    owners: tuple[Owner, ...]
    """The bots of its batch, in the order of the run manifest."""
    attempts: Mapping[str, int]
    """The attempt of each run that it works on, by the run's id."""
    kind: str
    """What its label says: a JobKind, or `names.LIST_JOB`."""
    created: datetime
    state: JobState
    nodes: int = 1
    """How many pods it runs at once."""
    message: str = ""
    """Why it failed, in the Job controller's words."""
    is_disrupted: bool = False
    """Whether it failed because its pod was stopped: drained, preempted, evicted, deleted."""
    exit_code: int | None = None
    """The exit code that it failed with."""
    runs: str = ""
    """`status.run` of each bot of its batch when it was made, as JSON; kept while it is not finished."""
    is_deleting: bool = False
    is_held_back: bool = False
    """Whether it may have no pods now, whatever its state: its queue has not admitted it, or has stopped it."""
    queue: str | None = None
    """The Kueue queue that it was given to."""
    likeness: str = ""
    """Hash of what its bots have in common."""

    @property
    def is_finished(self) -> bool:
        """Whether it will never make another pod."""
        return self.state in {"succeeded", "failed"}

    @property
    def is_shared(self) -> bool:
        """Whether it works on several bots."""
        return len(self.owners) > 1

    def is_owned_by(self, uid: str) -> bool:
        """Tell whether it works for the bot or the batch with this uid."""
        return any(owner.uid == uid for owner in self.owners)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPod:
    """A pod of one of our Jobs."""

    key: Key
    uid: str
    job_name: str
    job_uid: str
    """Uid of the Job that owns it."""
    kind: str
    """The same of its Job."""
    index: int = 0
    """Which of several pods of its Job it is; the first one reports."""
    phase: str
    created: datetime
    started: datetime | None = None
    """When its node took it: from then on it holds what it asked for."""
    finished: datetime | None = None
    """When its container ended."""
    exit_code: int | None = None
    is_out_of_memory: bool = False
    is_disrupted: bool = False
    """Whether Kubernetes itself stopped it: drained, preempted, evicted."""
    ended_by: str | None = None
    """Why its node ended it as a whole, such as Evicted."""
    ended_message: str = ""
    termination_message: str | None = None
    waiting_reason: str | None = None
    waiting_message: str = ""
    unschedulable_message: str | None = None
    is_deleting: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it may still run, and write."""
        return self.phase not in {"Succeeded", "Failed"}

    @property
    def is_starting(self) -> bool:
        """Whether its node has it but its container does not run yet, and no reason for that stands on the pod."""
        is_waiting = self.waiting_reason in {None, "ContainerCreating", "PodInitializing"}
        return self.phase == "Pending" and self.started is not None and is_waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The newest progress that a trainer sent, and when the operator heard it."""

    message: ProgressMessage
    received: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result that a trainer sent, and the pod that sent it."""

    outcome: BotOutcome
    pod_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningEvent:
    """What Kubernetes told last, by an Event, about a Job without a pod or a pod that does not start."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The Job that an attempt was given to, together with others or alone."""

    job_name: str
    own_name: str
    """The name that a Job of its own has: no other attempt of the bot is meant."""
    likeness: str
    """Hash of what it has in common with its company."""

    @property
    def is_shared(self) -> bool:
        """Whether others are given to the same Job."""
        return self.job_name != self.own_name


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueWord:
    """What Kueue says of a Job's quota, in its own words."""

    has_quota: bool
    reason: str
    message: str
    place: int | None = None
    """Its place among those that wait in its LocalQueue, 1 for the next one; None if it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything outside the bot itself that a plan for it depends on."""

    job: ObservedJob | None = None
    """The Job of the current attempt."""
    pods: tuple[ObservedPod, ...] = ()
    """Its pods, newest first."""
    batch_index: int = 0
    """The bot's place in the Job's batch."""
    other_jobs: tuple[ObservedJob, ...] = ()
    """Jobs of other attempts and of other runs."""
    other_live_pods: tuple[ObservedPod, ...] = ()
    """Pods of other attempts of the same run that may still write."""
    report: Report | None = None
    """The newest progress of the current attempt."""
    result: Result | None = None
    """The result of the current attempt, if the trainer has sent it."""
    warning: WarningEvent | None = None
    """Why the current attempt does not start, as far as only Events tell."""
    queue_word: QueueWord | None = None
    """What Kueue says of the Job; None where it says nothing, or what stands in status is still true."""
    listening_since: datetime | None = None
    """When this operator began to listen to trainers; None if that is long ago."""
    needed_jobs: frozenset[Key] = frozenset()
    """Of the other Jobs, those that another bot counts on."""
    is_left_out: bool = False
    """Whether the Job that stands in status is there but works for others only."""
    is_job_deleted: bool = False
    """Whether the Job of the current attempt is known to have been there and to be gone."""
    assignment: Assignment | None = None
    """The Job that the attempt which waits for one is given to now."""
    is_behind: bool = False
    """Whether the attempt which waits for a Job is behind others for long, and has to say so."""
    operator_ca: str = ""
    """Certificate by which the pods know the operator's server."""

    @property
    def pod(self) -> ObservedPod | None:
        """The newest pod of the current attempt that reports."""
        return next((pod for pod in self.pods if pod.index == 0), None)

    @property
    def laggard(self) -> ObservedPod | None:
        """The pod for whose start the attempt waits, or the one that reports; None if not all are made yet."""
        return find_laggard(self.pods, self.job.nodes if self.job else 1)

    @property
    def outcome(self) -> BotOutcome | None:
        """How the newest pod said that this bot's Job ended: by the result it sent, else by its termination message."""
        if self.result and (self.pod is None or self.pod.uid == self.result.pod_uid):
            return self.result.outcome
        if self.job is None or self.pod is None:
            return None
        # A pod that failed may be followed by another one of the same Job; a pod that succeeded is the last.
        if not (self.job.is_finished or self.pod.exit_code == 0):
            return None
        return _read_outcome(self.pod.termination_message, self.batch_index)


def find_laggard(pods: Sequence[ObservedPod], nodes: int) -> ObservedPod | None:
    """Return the pod for whose start the others wait, or the one that reports; None if not all are made yet.

    `pods` are newest first; of those with the same index only the newest counts.
    """
    newest = {pod.index: pod for pod in reversed(pods)}
    if len(newest) < nodes:
        return None
    return next((pod for pod in newest.values() if pod.phase == "Pending"), newest.get(0))


@lru_cache(maxsize=16)
def _read_outcomes(termination_message: str) -> Sequence[BotOutcome]:
    """Return the outcomes of all bots of a batch: each of them asks for the same."""
    return decode_termination(termination_message) or ()


def _read_outcome(termination_message: str | None, index: int) -> BotOutcome | None:
    outcomes = _read_outcomes(termination_message or "")
    return outcomes[index] if index < len(outcomes) else None
