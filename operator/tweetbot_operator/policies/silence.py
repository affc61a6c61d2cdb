"""Has a running trainer been heard lately? If not for long, the bot says so; the run is left alone."""

from datetime import UTC, datetime

from tweetbot_api.conditions import Reason
from tweetbot_api.status import TweetBotStatus
from tweetbot_operator.observed import ObservedPod
from tweetbot_operator.policies.verdict import Verdict


def seconds_until_silent(
    status: TweetBotStatus, pod: ObservedPod | None, listening_since: datetime | None, timeout: int, now: datetime
) -> float | None:
    """Return how long the trainer may still be silent, 0 or less if it was for too long; None if none runs."""
    last = _last_sign(status, pod, listening_since)
    return None if last is None else timeout - (now - last).total_seconds()


def describe_silence(status: TweetBotStatus, pod: ObservedPod | None, listening_since: datetime | None) -> Verdict:
    """Return what the bot says of a trainer that has been silent for too long."""
    last = _last_sign(status, pod, listening_since)
    time = last.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if last else "its start"
    return Verdict(Reason.NO_HEARTBEAT, f"the trainer has not been heard since {time}; it may hang")


def _last_sign(status: TweetBotStatus, pod: ObservedPod | None, listening_since: datetime | None) -> datetime | None:
    """Return when the trainer was last known to be well: heard, or just started, or we to listen."""
    if pod is None or pod.phase != "Running" or pod.started is None:
        return None
    heard = status.progress.last_heartbeat_time if status.progress else None
    return max(time for time in (pod.started, heard, listening_since) if time is not None)
