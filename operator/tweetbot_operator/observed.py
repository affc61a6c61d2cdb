"""The world as one value: what `make_plan` is told about a bot's Jobs and pods and what its trainer said.

Reads Kubernetes objects into the few facts that decisions rest on. Decides nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

from tweetbot_api.messages import BotOutcome, ProgressMessage
from tweetbot_api.names import (
    ANNOTATION_RUNS,
    CONTAINER,
    LABEL_JOB_KIND,
    LABEL_QUEUE,
    LABEL_RUN_PREFIX,
    JobKind,
)
from tweetbot_api.termination import decode_termination

Document = Mapping[str, Any]
JobState = Literal["active", "suspended", "succeeded", "failed"]

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
JOB_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
_LONGEST_MESSAGE = 1000
_FAILED_BY_DISRUPTION = re.compile(r"has condition DisruptionTarget matching FailJob rule")
_FAILED_BY_EXIT_CODE = re.compile(r"failed with exit code (\d+) matching FailJob rule")
"""What the Job controller writes when a rule of podFailurePolicy ends a Job: it stays when the pod is gone."""
_STOPPED = "BackoffLimitExceeded"
"""The reason that it gives when no rule ends a Job: the rules leave out what SIGTERM ends."""


class Key(NamedTuple):
    """Name of a namespaced object."""

    namespace: str
    name: str


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
    kind: JobKind
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

    @property
    def is_finished(self) -> bool:
        """Whether it will never make another pod."""
        return self.state in {"succeeded", "failed"}

    @property
    def is_shared(self) -> bool:
        """Whether it works on several bots."""
        return len(self.owners) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPod:
    """A pod of one of our Jobs."""

    key: Key
    uid: str
    job_name: str
    job_uid: str
    """Uid of the Job that owns it."""
    kind: JobKind
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
    is_shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueWord:
    """What Kueue says of a Job's quota, in its own words."""

    has_quota: bool
    reason: str
    message: str


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


def read_job(document: Document) -> ObservedJob:
    """Return the facts of a Job."""
    metadata, status = document["metadata"], document.get("status") or {}
    labels = metadata.get("labels") or {}
    spec = document.get("spec") or {}
    state, message = _classify_job(spec, status)
    exit_code = _FAILED_BY_EXIT_CODE.search(message)
    return ObservedJob(
        key=Key(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        owners=tuple(Owner(owner["name"], owner["uid"]) for owner in metadata.get("ownerReferences") or ()),
        attempts=_read_attempts(labels),
        kind=_read_kind(labels),
        created=_read_time(metadata["creationTimestamp"]),
        state=state,
        nodes=spec.get("parallelism") or 1,
        message=message,
        is_disrupted=_FAILED_BY_DISRUPTION.search(message) is not None
        or any(condition.get("reason") == _STOPPED for condition in _true_conditions(status)),
        exit_code=int(exit_code[1]) if exit_code else None,
        runs="" if state in {"succeeded", "failed"} else (metadata.get("annotations") or {}).get(ANNOTATION_RUNS, ""),
        is_deleting="deletionTimestamp" in metadata,
        is_held_back=bool(spec.get("suspend")),
        queue=labels.get(LABEL_QUEUE),
    )


def read_pod(document: Document) -> ObservedPod:
    """Return the facts of a pod."""
    metadata, status = document["metadata"], document.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    state = _container_state(status)
    terminated, waiting = state.get("terminated") or {}, state.get("waiting") or {}
    scheduled = conditions.get("PodScheduled") or {}
    return ObservedPod(
        key=Key(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        job_name=labels.get(JOB_NAME_LABEL, ""),
        job_uid=next((owner["uid"] for owner in metadata.get("ownerReferences") or () if owner["kind"] == "Job"), ""),
        kind=_read_kind(labels),
        index=int(labels.get(JOB_INDEX_LABEL, "0")),
        phase=status.get("phase", "Pending"),
        created=_read_time(metadata["creationTimestamp"]),
        started=_read_optional_time(status.get("startTime")),
        finished=_read_optional_time(terminated.get("finishedAt")),
        exit_code=terminated.get("exitCode"),
        is_out_of_memory=terminated.get("reason") == "OOMKilled",
        is_disrupted=(conditions.get("DisruptionTarget") or {}).get("status") == "True",
        ended_by=status.get("reason"),
        ended_message=status.get("message", "")[:_LONGEST_MESSAGE],
        termination_message=terminated.get("message"),
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message", "")[:_LONGEST_MESSAGE],
        unschedulable_message=(
            scheduled.get("message", "")[:_LONGEST_MESSAGE] if scheduled.get("reason") == "Unschedulable" else None
        ),
        is_deleting="deletionTimestamp" in metadata,
    )


def read_warning(events: Sequence[Document]) -> WarningEvent | None:
    """Return the newest of the Events."""
    times = [(event.get("lastTimestamp") or event.get("eventTime") or "", event) for event in events]
    if not times:
        return None
    newest = max(times, key=lambda item: item[0])[1]
    return WarningEvent(reason=newest.get("reason", ""), message=newest.get("message", "")[:_LONGEST_MESSAGE])


def read_workloads(workloads: Sequence[Document]) -> QueueWord | None:
    """Return what the newest of a Job's Workloads says of its quota; None if Kueue has not looked at it yet."""
    newest = max(workloads, key=lambda item: str(item["metadata"]["creationTimestamp"]), default=None)
    conditions = (newest or {}).get("status", {}).get("conditions") or ()
    for condition in conditions:
        if condition["type"] == "QuotaReserved":
            message = condition.get("message", "")[:_LONGEST_MESSAGE]
            has_quota = condition["status"] == "True"
            return QueueWord(has_quota=has_quota, reason=condition.get("reason", ""), message=message)
    return None


def _classify_job(spec: Document, status: Document) -> tuple[JobState, str]:
    for condition in _true_conditions(status):
        if condition["type"] == "Complete":
            return "succeeded", ""
        if condition["type"] == "Failed":
            return "failed", condition.get("message", "")[:_LONGEST_MESSAGE]
    return ("suspended" if spec.get("suspend") else "active"), ""


def _true_conditions(status: Document) -> Iterator[Document]:
    return (condition for condition in status.get("conditions") or () if condition["status"] == "True")


def _container_state(status: Document) -> Document:
    for container in status.get("containerStatuses") or ():
        if container["name"] == CONTAINER:
            state: Document = container.get("state") or {}
            return state
    return {}


@lru_cache(maxsize=16)
def _read_outcomes(termination_message: str) -> Sequence[BotOutcome]:
    """Return the outcomes of all bots of a batch: each of them asks for the same."""
    return decode_termination(termination_message) or ()


def _read_outcome(termination_message: str | None, index: int) -> BotOutcome | None:
    outcomes = _read_outcomes(termination_message or "")
    return outcomes[index] if index < len(outcomes) else None


def _read_kind(labels: Document) -> JobKind:
    return cast("JobKind", labels.get(LABEL_JOB_KIND, "prepare"))


def _read_attempts(labels: Document) -> dict[str, int]:
    named = (
        (name.removeprefix(LABEL_RUN_PREFIX), text)
        for name, text in labels.items()
        if name.startswith(LABEL_RUN_PREFIX)
    )
    return {run_id: int(text) for run_id, text in named if text.isdecimal()}


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _read_optional_time(text: str | None) -> datetime | None:
    return _read_time(text) if text else None
