"""Reads Kubernetes objects, as JSON, into the facts of `observed`."""

import re
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime

from tweetbot_api.names import (
    ANNOTATION_RUNS,
    CONTAINER,
    LABEL_JOB_KIND,
    LABEL_LIKENESS,
    LABEL_QUEUE,
    LABEL_RUN_PREFIX,
)
from tweetbot_operator.observed import Document, JobState, Key, ObservedJob, ObservedPod, Owner, QueueWord, WarningEvent

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
JOB_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
_LONGEST_MESSAGE = 1000
_FAILED_BY_DISRUPTION = "has condition DisruptionTarget matching FailJob rule"
_FAILED_BY_EXIT_CODE = re.compile(r"failed with exit code (\d+) matching FailJob rule")
"""What the Job controller writes when a rule of podFailurePolicy ends a Job: it stays when the pod is gone."""
_STOPPED = "BackoffLimitExceeded"
"""The reason that it gives when no rule ends a Job: the rules leave out what SIGTERM ends."""


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
        kind=labels.get(LABEL_JOB_KIND, ""),
        created=_read_time(metadata["creationTimestamp"]),
        state=state,
        nodes=spec.get("parallelism") or 1,
        message=message,
        is_disrupted=_FAILED_BY_DISRUPTION in message
        or any(condition.get("reason") == _STOPPED for condition in _true_conditions(status)),
        exit_code=int(exit_code[1]) if exit_code else None,
        runs="" if state in {"succeeded", "failed"} else (metadata.get("annotations") or {}).get(ANNOTATION_RUNS, ""),
        is_deleting="deletionTimestamp" in metadata,
        is_held_back=bool(spec.get("suspend")),
        queue=labels.get(LABEL_QUEUE),
        likeness=sys.intern(labels.get(LABEL_LIKENESS, "")),
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
        kind=labels.get(LABEL_JOB_KIND, ""),
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
