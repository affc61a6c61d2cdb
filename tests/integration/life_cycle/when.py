"""What may happen to a bot: each function returns, or is, something that happens when it is called with the bot."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.api import wait_for
from tests.integration.life_cycle.bot import Bot
from tests.integration.life_cycle.given import make_ben, make_operator_mortal
from tests.unit.operator.factories import make_outcome
from tweetbot_api.messages import BotOutcome

HAPPENS = Callable[[Bot], Any]
LONG_AGO = datetime.now(UTC) - timedelta(days=400)


def nothing(_: Bot) -> None:
    return


def end(job: str, *outcomes: BotOutcome, exit_code: int = 0) -> HAPPENS:
    """End the pod of this attempt, with an outcome for each bot that shares it."""
    return lambda bot: bot.end(job, *outcomes, exit_code=exit_code)


def edit(**spec: Any) -> HAPPENS:
    return lambda bot: bot.edit(**spec)


def edit_beside_ben(**spec: Any) -> HAPPENS:
    """Edit the bot at the time that `ben` is made: the operator, back after a moment, sees both at once."""

    def happen(bot: Bot) -> None:
        bot.operator.kill()
        make_ben(bot)
        bot.edit(**spec)
        bot.operator.revive()

    return happen


def in_turn(*steps: HAPPENS) -> HAPPENS:
    return lambda bot: [step(bot) for step in steps]


def drain(job: str) -> HAPPENS:
    return lambda bot: bot.api.drain_pod(bot.reach_job(job))


def let_queue(*, stop: bool) -> HAPPENS:
    return lambda bot: bot.api.suspend_job(bot.job_path, value=stop)


def keep_pod(job: str) -> HAPPENS:
    return lambda bot: bot.api.keep_pod(bot.reach_job(job))


def let_time_pass(bot: Bot) -> None:
    """Have the run begun long ago: nobody waits for a year."""
    bot.patch_status({"run": {"startTime": LONG_AGO.strftime("%Y-%m-%dT%H:%M:%SZ")}})


def start_pod_long_ago(job: str) -> HAPPENS:
    return lambda bot: bot.api.start_pod(bot.reach_job(job), LONG_AGO)


def find_manifest(job: str) -> HAPPENS:
    """Play a prepare Job that finds the run's manifest in S3."""
    return end(job, make_outcome("prepare", manifest_sha256="a" * 64))


def resume_and_lose_the_operator(bot: Bot) -> None:
    make_operator_mortal(bot)
    bot.edit(suspend=False)
    bot.operator.wait_for_death()


def succeed_unseen(bot: Bot) -> None:
    """End the pod of a Job while no operator is there, and bring the operator back."""
    pod = bot.api.wait_for_pod(bot.namespace, bot.run["jobName"])
    bot.api.end_pod(pod, make_outcome("train"))
    bot.wait_for_ended_jobs()
    bot.operator.revive()


def lose_jobs_and_status(bot: Bot) -> None:
    bot.delete_jobs()
    wait_for(lambda: not bot.jobs())
    bot.clear_status()


def delete_unseen(bot: Bot) -> None:
    """Delete a bot of which the operator, which is back now, has seen nothing but that it holds its files."""
    bot.hold()
    bot.delete()
    bot.operator.revive()
