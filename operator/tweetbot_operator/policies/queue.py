"""What does the queue say of a Job, and has it stopped one that was at work? Kueue admits and stops, we only tell."""

from collections.abc import Sequence

from tweetbot_api.conditions import ConditionType, Reason
from tweetbot_api.status import Failure, Run, TweetBotStatus
from tweetbot_operator.observed import ObservedJob, ObservedPod, QueueWord

_EXACT_PLACES = 10
_ADMITTED = QueueWord(has_quota=True, reason="QuotaReserved", message="the queue has admitted the Job")


def tell_quota(status: TweetBotStatus) -> QueueWord | None:
    """Return what stands in status of the Job's quota."""
    for condition in status.conditions:
        if condition.type == ConditionType.QUOTA_RESERVED:
            has_quota = condition.status == "True"
            return QueueWord(has_quota=has_quota, reason=condition.reason, message=condition.message)
    return None


def renew_quota(job: ObservedJob, word: QueueWord | None, status: TweetBotStatus) -> QueueWord | None:
    """Return what is to stand in status of the Job's quota; None if it has no queue, or one that says nothing."""
    if job.queue is None:
        return None
    known = tell_quota(status)
    if job.is_held_back:
        return word or known
    # A Job whose pods may run has its quota, even if Kueue does not answer.
    return next(item for item in (word, known, _ADMITTED) if item and item.has_quota)


def tell_place(place: int) -> str:
    """Return the words for a place in a queue: exact for the next ten only, as each change is a write for every bot."""
    if place <= _EXACT_PLACES:
        return f"at place {place}"
    behind = place - 1
    size = 10 ** (len(str(behind)) - 1)
    return f"behind place {next(step * size for step in (5, 2, 1) if step * size <= behind)}"


def is_stopped(job: ObservedJob, pods: Sequence[ObservedPod], run: Run) -> bool:
    """Tell whether the queue has stopped the Job since its pods were at work, and all of them have ended."""
    return job.state == "suspended" and run.attempt_start_time is not None and not any(pod.is_live for pod in pods)


def was_stopped(job: ObservedJob | None, run: Run, failure: Failure | None) -> bool:
    """Tell whether the Job has ended with the pods that the queue had stopped, which is counted already."""
    is_counted = failure is not None and failure.reason == Reason.PREEMPTED and run.attempt_start_time is None
    return is_counted and job is not None and job.is_held_back
