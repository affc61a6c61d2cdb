"""Is there another attempt, and when? Not after a failure that would repeat itself, and not without end."""

from datetime import timedelta

from tweetbot_api.conditions import Reason
from tweetbot_api.spec.tweetbot import TweetBotSpec
from tweetbot_api.status import Failure, Run
from tweetbot_operator.policies.deadline import explain_deadline, is_used_up
from tweetbot_operator.policies.ending import may_end_better
from tweetbot_operator.settings import OperatorSettings

LONGEST_PAUSE_SECONDS = 600


def explain_end(
    failure: Failure, run: Run, spec: TweetBotSpec, left: int | None, settings: OperatorSettings
) -> Failure | None:
    """Return the failure with which the run ends after this one of an attempt, or None if another attempt follows.

    `run` has the attempt counted already; `left` are the seconds until its deadline.
    """
    if not may_end_better(failure) or run.failed_attempts >= spec.max_attempts:
        return failure
    if is_used_up(left):
        return explain_deadline(spec)
    if run.preemptions > settings.max_preemptions:
        message = f"stopped from outside {run.preemptions} times, more than the platform allows; {failure.message}"
        return failure.model_copy(update={"reason": Reason.TOO_MANY_PREEMPTIONS, "message": message[:1024]})
    return None


def choose_pause(run: Run, *, is_from_outside: bool, pause_seconds: int) -> timedelta:
    """Return the pause before the next attempt: it doubles with each failure of the Job, not with preemptions."""
    doublings = 0 if is_from_outside else max(0, run.failed_attempts - 1)
    return timedelta(seconds=min(pause_seconds * 2**doublings, LONGEST_PAUSE_SECONDS))
