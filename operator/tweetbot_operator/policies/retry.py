"""Is there another attempt, and when? Not after a failure that would repeat itself, and not without end."""

from dataclasses import dataclass
from datetime import timedelta

from tweetbot_api.status import Failure
from tweetbot_operator.policies.ending import may_end_better

LONGEST_PAUSE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt follows after this pause."""

    pause: timedelta


def decide_retry(failure: Failure, attempt: int, max_attempts: int, pause_seconds: int) -> Retry | None:
    """Return the pause before the next attempt, or None if this failure is the run's last."""
    if not may_end_better(failure) or attempt >= max_attempts:
        return None
    return Retry(timedelta(seconds=min(pause_seconds * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS)))
