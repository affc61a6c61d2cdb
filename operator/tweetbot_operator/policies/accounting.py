"""What has a run used up? Time for which its pods held their nodes, GPU time, attempts, preemptions."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tweetbot_api.status import Run
from tweetbot_operator.observed import ObservedPod

_Span = tuple[datetime, datetime]


class Holding(NamedTuple):
    """What a Job holds while all its pods run, and for how many."""

    nodes: int
    gpus: int
    """On each of them."""
    bots: int = 1


def count_seconds(run: Run, pods: Sequence[ObservedPod], now: datetime) -> int:
    """Return for how many seconds pods of the current attempt have held nodes: at the same time counts once.

    Where all pods are gone, the time counts from the start that stands in status until now.
    """
    spans = _spans(pods, now)
    if not spans and run.attempt_start_time is not None:
        spans = [(run.attempt_start_time, now)]
    seconds, held_until = 0.0, None
    for start, end in sorted(spans):
        begin = start if held_until is None else max(start, held_until)
        seconds += max(0.0, (end - begin).total_seconds())
        held_until = end if held_until is None else max(end, held_until)
    return round(seconds)


def close_attempt(run: Run, pods: Sequence[ObservedPod], holding: Holding, now: datetime) -> Run:
    """Return the run with the time of the attempt that ends now added up: of the GPU time, its share."""
    seconds = count_seconds(run, pods, now)
    known = sum(max(0.0, (end - start).total_seconds()) for start, end in _spans(pods, now))
    # Pods that are gone began and ended with the others.
    num_gone = max(0, holding.nodes - len({pod.index for pod in pods}))
    gpu_seconds = (known + num_gone * seconds) * holding.gpus / holding.bots
    return run.model_copy(
        update={
            "active_seconds": run.active_seconds + seconds,
            "gpu_seconds": run.gpu_seconds + (round(gpu_seconds) if run.job_kind == "train" else 0),
            "attempt_start_time": None,
        }
    )


def count_end(run: Run, *, is_from_outside: bool) -> Run:
    """Return the run with the end of its attempt counted: as a preemption or as a failure."""
    field = "preemptions" if is_from_outside else "failed_attempts"
    return run.model_copy(update={field: getattr(run, field) + 1})


def _spans(pods: Sequence[ObservedPod], now: datetime) -> list[_Span]:
    """Return from when to when each pod has held its node."""
    return [(pod.started, pod.finished or now) for pod in pods if pod.started is not None]
