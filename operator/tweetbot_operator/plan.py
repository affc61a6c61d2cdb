"""What is to be done for one bot, decided from values alone: the same input twice gives an empty plan.

A new attempt takes two passes. The first stores it in `status.run`, the second makes the Job that is named after it;
so a crash at any line is repaired by the next pass, and no attempt is ever worked on twice. An attempt is given up the
same way: first the next one stands in status, then the Job that is now of the past is deleted. A run that has ended
stays ended until the spec asks for another.
"""

import json
from dataclasses import replace
from datetime import datetime

from tweetbot_api.conditions import Reason
from tweetbot_api.status import Run
from tweetbot_api.types import TweetBot
from tweetbot_operator import status
from tweetbot_operator.attempt import (
    advance,
    end_by_deadline,
    fail_attempt,
    give_way,
    make_job,
    stall,
    suspend_attempt,
)
from tweetbot_operator.builders.event import Announcement
from tweetbot_operator.deletion import plan_deletion, plan_finalizer
from tweetbot_operator.following import follow_job
from tweetbot_operator.observed import Observed, ObservedJob
from tweetbot_operator.policies.batching import build_candidate
from tweetbot_operator.policies.deadline import is_used_up, seconds_left
from tweetbot_operator.policies.ending import is_failed_for_good, is_success
from tweetbot_operator.policies.queue import is_stopped
from tweetbot_operator.policies.schedule import seconds_until_next_run
from tweetbot_operator.policies.ttl import seconds_until_removal
from tweetbot_operator.policies.useless import is_useless
from tweetbot_operator.policies.validation import validate
from tweetbot_operator.settings import OperatorSettings
from tweetbot_operator.sharing import assigned, name_job, tell_line
from tweetbot_operator.situation import Plan, Situation


def make_plan(bot: TweetBot, observed: Observed, settings: OperatorSettings, now: datetime) -> Plan:
    """Return what brings the bot one step closer to its spec."""
    situation = Situation(bot=bot, observed=observed, settings=settings, now=now.replace(microsecond=0))
    if bot.metadata.deletion_timestamp is not None:
        plan = plan_deletion(situation)
    else:
        plan = plan_finalizer(situation) or replace(_plan_run(situation), delete=_find_useless_jobs(situation))
    if _has_company(observed):
        # Status says it too, and each Event is a write.
        plan = replace(plan, events=tuple(event for event in plan.events if event.is_warning))
    return replace(plan, status=None) if plan.status == bot.status else plan


def _plan_run(situation: Situation) -> Plan:
    bot, observed = situation.bot, situation.observed
    run = bot.status.run
    if run is None or run.id != bot.run_id:
        return _start_run(situation)
    if run.completion_time is not None:
        return _keep_ended(situation, run)
    if is_success(observed.outcome, run.job_kind):
        return advance(situation, run)
    if observed.job is None:
        return make_job(situation, run)
    if observed.job.is_finished or is_failed_for_good(observed.outcome):
        return fail_attempt(situation, run)
    if bot.spec.suspend:
        return suspend_attempt(situation, run)
    if is_used_up(seconds_left(bot.spec, run, observed.pods, situation.now)):
        return end_by_deadline(situation, run)
    if is_stopped(observed.job, observed.pods, run):
        return give_way(situation, run)
    return follow_job(situation, run)


def _start_run(situation: Situation) -> Plan:
    """Store the run that the spec asks for; one that is at work already, its status lost, is taken up again."""
    bot, observed = situation.bot, situation.observed
    invalid = validate(bot, situation.settings)
    if invalid:
        return stall(situation, invalid)
    jobs = [job for job in observed.other_jobs if bot.run_id in job.attempts]
    run = _recover_run(bot, jobs) or _build_run(situation, jobs)
    if observed.assignment is not None and run.job_name is None:
        run = run.model_copy(update={"job_name": observed.assignment.job_name})
        return Plan(status=assigned(situation, run, status.NO_RESULTS))
    if run.job_name is None and not bot.spec.suspend:
        candidate = build_candidate(bot, "prepare", run.attempt, 0, None, situation.settings, situation.now)
        return Plan(candidate=candidate, status=tell_line(situation))
    event = Announcement(Reason.PENDING, f"run {run.number} starts with the Job {run.job_name}", run.job_name)
    return Plan(status=status.started(bot, run, situation.now), events=(event,), requeue_after=0)


def _recover_run(bot: TweetBot, jobs: list[ObservedJob]) -> Run | None:
    """Return the run as the newest Job that still works on it recorded it."""
    at_work = [job for job in jobs if job.runs and not job.is_finished and not job.is_deleting]
    for job in sorted(at_work, key=lambda job: (job.kind == "train", job.attempts[bot.run_id]), reverse=True):
        for record in json.loads(job.runs):
            run = Run.model_validate(record)
            if run.id == bot.run_id and run.job_name == job.key.name:
                return run
    return None


def _build_run(situation: Situation, jobs: list[ObservedJob]) -> Run:
    """Return a run that begins with prepare, by a name that none of its former Jobs has."""
    bot, former = situation.bot, situation.bot.status.run
    attempt = max((job.attempts[bot.run_id] for job in jobs if job.kind == "prepare"), default=0) + 1
    return Run(
        id=bot.run_id,
        number=former.number + 1 if former else 1,
        scheduled_time=former.scheduled_time if former else None,
        attempt=attempt,
        job_name=name_job(situation, "prepare", attempt, 0),
        start_time=situation.now,
    )


def _keep_ended(situation: Situation, run: Run) -> Plan:
    """Leave a run that has ended as it is, until the schedule asks for another; its Jobs go when their time is over."""
    bot, now = situation.bot, situation.now
    next_run = seconds_until_next_run(bot, run, now)
    if next_run == 0 and not validate(bot, situation.settings):
        return _repeat_run(situation, run)
    removal = seconds_until_removal(bot, situation.settings, now)
    has_jobs = any(not job.is_deleting for job in situation.observed.other_jobs)
    times = [seconds for seconds in (next_run, removal if has_jobs else None) if seconds]
    return Plan(status=status.ended(bot, now), requeue_after=min(times, default=None))


def _repeat_run(situation: Situation, former: Run) -> Plan:
    """Store another run of the same spec, told from the former one by its time."""
    bot, now = situation.bot, situation.now
    timed = bot.status.model_copy(update={"run": former.model_copy(update={"scheduled_time": now})})
    run = _build_run(replace(situation, bot=bot.model_copy(update={"status": timed})), [])
    event = Announcement(Reason.PENDING, f"the schedule starts run {run.number}", run.job_name)
    return Plan(status=status.repeated(bot, run, now), events=(event,), requeue_after=0)


def _find_useless_jobs(situation: Situation) -> tuple[ObservedJob, ...]:
    bot = situation.bot
    is_expired = seconds_until_removal(bot, situation.settings, situation.now) == 0
    unneeded = (job for job in situation.observed.other_jobs if job.key not in situation.observed.needed_jobs)
    return tuple(job for job in unneeded if is_useless(job, bot.run_id, bot.status, is_expired=is_expired))


def _has_company(observed: Observed) -> bool:
    is_assigned = observed.assignment is not None and observed.assignment.is_shared
    return is_assigned or (observed.job is not None and observed.job.is_shared)
