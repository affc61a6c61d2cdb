"""An attempt and the Job that it shares with others: it waits for company and is given to a Job."""

from typing import Any

from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.names import JobKind
from tweetbot_api.status import Phase, Run, TweetBotStatus
from tweetbot_api.types import TweetBot
from tweetbot_operator import status
from tweetbot_operator.policies.batching import build_candidate, may_share
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.policies.waiting import describe_line, describe_queue, describe_work, name_work
from tweetbot_operator.resolve import resolve
from tweetbot_operator.situation import Plan, Situation


def wait_for_company(situation: Situation, run: Run) -> Plan:
    """Wait for others to share a Job with, or take the Job that the attempt is given to."""
    bot, kind = situation.bot, run.job_kind
    if situation.observed.assignment is None:
        dataset = bot.status.dataset
        failures, settings, now = run.failed_attempts, situation.settings, situation.now
        candidate = build_candidate(bot, kind, run.attempt, failures, dataset, settings, now)
        return Plan(candidate=candidate, status=tell_line(situation))
    given = run.model_copy(update={"job_name": situation.observed.assignment.job_name})
    return Plan(status=assigned(situation, given, {}))


def tell_line(situation: Situation) -> TweetBotStatus | None:
    """Return the status of an attempt that has to say that it is behind others; None if it need not."""
    if not situation.observed.is_behind:
        return None
    return status.working(situation.bot, "Pending", describe_line(), situation.now)


def assigned(situation: Situation, run: Run, changes: dict[str, Any]) -> TweetBotStatus:
    """Return the status of an attempt that has the name of a Job which is about to be made.

    A shared Job gets the status that it will have when its pod starts, for each write counts times the bots.
    """
    bot, now, kind = situation.bot, situation.now, run.job_kind
    assignment, run = situation.observed.assignment, run.model_copy(update={"retry_time": None})
    if assignment is None or not assignment.is_shared:
        verdict = Verdict(Reason.PENDING, f"the Job {run.job_name} is about to be made")
        return status.working(bot, "Pending", verdict, now, **changes, run=run)
    is_queued = kind == "train" and resolve(bot, situation.settings).train.queue_name is not None
    verdict = describe_queue(run.job_name or "") if is_queued else describe_work(kind)
    phase: Phase = "Queued" if is_queued else name_work(kind)
    return status.working(bot, phase, verdict, now, **{"stage": None, **changes}, run=run)


def name_job(situation: Situation, kind: JobKind, attempt: int, failed_attempts: int) -> str | None:
    """Return the name of the Job that an attempt has for itself; None if it waits for others to share one with."""
    bot = situation.bot
    if may_share(bot, kind, failed_attempts, situation.settings):
        return None
    return names.job_name(bot.metadata.name, bot.run_id, kind, attempt)


def is_shared(bot: TweetBot, run: Run) -> bool:
    """Tell whether the attempt was given to a Job together with others."""
    own_name = names.job_name(bot.metadata.name, run.id, run.job_kind, run.attempt)
    return run.job_name is not None and run.job_name != own_name
