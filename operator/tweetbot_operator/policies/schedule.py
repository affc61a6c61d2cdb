"""When is the bot trained again by itself? At the next time of its schedule after the last run was started."""

from datetime import UTC, datetime

from croniter import croniter

from tweetbot_api.status import Run
from tweetbot_api.types import TweetBot


def is_cron(text: str) -> bool:
    """Tell whether these are five cron fields."""
    return len(text.split()) == 5 and croniter.is_valid(text)


def seconds_until_next_run(bot: TweetBot, run: Run, now: datetime) -> float | None:
    """Return how long until the schedule asks for another run, 0 if it does now; None if it will not."""
    if bot.spec.schedule is None or bot.spec.suspend:
        return None
    last = run.scheduled_time or run.start_time
    time: datetime = croniter(bot.spec.schedule.cron, last.astimezone(UTC)).get_next(datetime)
    return max(0.0, (time - now).total_seconds())
