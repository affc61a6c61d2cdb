"""Has the run used up its time? All its pods count, of both Jobs and all attempts; waiting is free."""

from collections.abc import Sequence
from datetime import datetime

from tweetbot_api.conditions import Reason
from tweetbot_api.spec.tweetbot import TweetBotSpec
from tweetbot_api.status import Failure, Run
from tweetbot_operator.observed import ObservedPod
from tweetbot_operator.policies.accounting import count_seconds


def seconds_left(spec: TweetBotSpec, run: Run, pods: Sequence[ObservedPod], now: datetime) -> int | None:
    """Return for how long the run's pods may still hold their nodes; None without a limit."""
    if spec.active_deadline_seconds is None or run.job_kind == "purge":
        return None
    return spec.active_deadline_seconds - run.active_seconds - count_seconds(run, pods, now)


def is_used_up(left: int | None) -> bool:
    """Tell whether the time is over."""
    return left is not None and left <= 0


def explain_deadline(spec: TweetBotSpec) -> Failure:
    """Return the failure of a run whose time is over."""
    return Failure(
        reason=Reason.DEADLINE_EXCEEDED,
        message=f"the run's pods have held their nodes for spec.activeDeadlineSeconds ({spec.active_deadline_seconds})",
    )
