"""Is the newest progress worth a write? At once if the stage changed, else at most once in ten seconds.

Bots that share a Job are through a stage in moments: theirs is written less often, the less the more they are.
"""

from datetime import datetime

from tweetbot_api.status import Progress, TweetBotStatus
from tweetbot_operator.observed import Report

MIN_INTERVAL_SECONDS = 10
_BOTS_PER_INTERVAL = 5
_KEPT = ("step", "total_steps", "loss", "tokens_per_second")


def seconds_until_due(status: TweetBotStatus, report: Report, num_bots: int, now: datetime) -> float:
    """Return how long the report of one of so many bots of a Job has to wait for its write; 0 for now."""
    last = status.progress.last_heartbeat_time if status.progress else None
    if num_bots == 1 and (last is None or report.message.stage != status.stage):
        return 0
    since = last or status.run.start_time if status.run else None
    return max(0.0, interval_seconds(num_bots) - (now - since).total_seconds()) if since else 0.0


def interval_seconds(num_bots: int) -> float:
    """Return how long status holds still between two words about a bot that shares its Job with so many."""
    return MIN_INTERVAL_SECONDS * max(1.0, num_bots / _BOTS_PER_INTERVAL)


def is_news(status: TweetBotStatus, report: Report) -> bool:
    """Tell whether the report says something that does not stand in status yet."""
    last = status.progress.last_heartbeat_time if status.progress else None
    return last is None or report.received > last or report.message.stage != status.stage


def interrupt(progress: Progress | None) -> Progress | None:
    """Return the progress without what only a trainer at work can tell."""
    return progress.model_copy(update={"eta_seconds": None, "tokens_per_second": None}) if progress else None


def advance(progress: Progress | None, report: Report) -> Progress:
    """Return the reported progress, heard now by our clock.

    Its percentage never falls within a run, and what the training reached last stays to be seen in later stages.
    """
    message = report.message.progress
    if progress is None:
        return message.model_copy(update={"last_heartbeat_time": report.received})
    reached = {name: getattr(progress, name) for name in _KEPT if getattr(message, name) is None}
    percent = max(progress.percent, message.percent)
    return message.model_copy(update={**reached, "percent": percent, "last_heartbeat_time": report.received})
