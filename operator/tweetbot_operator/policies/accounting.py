"""What has a run used up? Time for which its pods held their nodes, GPU time, attempts, preemptions."""

from collections.abc import Sequence
from datetime import datetime

from tweetbot_api.status import Run
from tweetbot_operator.observed import ObservedPod


def count_seconds(run: Run, pods: Sequence[ObservedPod], now: datetime) -> int:
    """Return for how many seconds the pods of the current attempt have held their nodes.

    Where all pods are gone, the time counts from the start that stands in status until now.
    """
    spans = [(pod.started, pod.finished or now) for pod in pods if pod.started is not None]
    if not spans and run.attempt_start_time is not None:
        spans = [(run.attempt_start_time, now)]
    return max(0, round(sum((end - start).total_seconds() for start, end in spans)))


def close_attempt(run: Run, pods: Sequence[ObservedPod], gpus: int, num_bots: int, now: datetime) -> Run:
    """Return the run with the time of the attempt that ends now added up; bots of one Job share its GPU time."""
    seconds = count_seconds(run, pods, now)
    return run.model_copy(
        update={
            "active_seconds": run.active_seconds + seconds,
            "gpu_seconds": run.gpu_seconds + (round(seconds * gpus / num_bots) if run.job_kind == "train" else 0),
            "attempt_start_time": None,
        }
    )


def count_end(run: Run, *, is_from_outside: bool) -> Run:
    """Return the run with the end of its attempt counted: as a preemption or as a failure."""
    field = "preemptions" if is_from_outside else "failed_attempts"
    return run.model_copy(update={field: getattr(run, field) + 1})
