"""Which Jobs of a bot have nothing left to do? Asked only of Jobs that no other bot counts on."""

from tweetbot_api.conditions import Reason
from tweetbot_api.status import TweetBotStatus
from tweetbot_operator.observed import ObservedJob

_CUT_OFF = frozenset({Reason.DEADLINE_EXCEEDED, Reason.TOO_MANY_PREEMPTIONS})


def is_useless(job: ObservedJob, run_id: str, status: TweetBotStatus, *, is_expired: bool) -> bool:
    """Tell whether the Job is to be deleted: of another run, of an attempt given up, or of a run long ended.

    A view of the past never calls a Job useless that is of use: attempts and runs only go forward.
    """
    if job.is_deleting:
        return False
    attempt = job.attempts.get(run_id)
    if attempt is None:
        return True
    run = status.run
    if run is None or run.id != run_id:
        return False
    if run.completion_time is None:
        return job.kind == run.job_kind and attempt < run.attempt and not job.is_finished
    if job.is_finished:
        return is_expired
    # A pod that has sent its result may still store its log, so only a run that was cut off is cut off here.
    return status.failure is not None and status.failure.reason in _CUT_OFF
