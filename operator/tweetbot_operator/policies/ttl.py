"""When are the Jobs of a run that has ended removed? Its status and what is stored stay."""

from datetime import datetime

from tweetbot_api.types import TweetBot
from tweetbot_operator.settings import OperatorSettings


def seconds_until_removal(bot: TweetBot, settings: OperatorSettings, now: datetime) -> float | None:
    """Return how long the Jobs stay; 0 if their time is over, None if the run goes on or they stay for good."""
    run, seconds = bot.status.run, bot.spec.ttl_seconds_after_finished
    if seconds is None:
        seconds = settings.defaults.ttl_seconds_after_finished
    if seconds is None or run is None or run.completion_time is None:
        return None
    return max(0.0, seconds - (now - run.completion_time).total_seconds())
