"""What is to be done for one bot, decided from values alone: the same input twice gives an empty plan.

A new attempt takes two passes. The first stores it in `status.run`, the second makes the Job that is named after it;
so a crash at any line is repaired by the next pass, and no attempt is ever worked on twice. A run that has ended stays
ended until the spec asks for another.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_api.status import Run, TweetBotStatus
from tweetbot_api.types import TweetBot
from tweetbot_operator import status
from tweetbot_operator.builders.event import Announcement
from tweetbot_operator.builders.job import build_job
from tweetbot_operator.builders.manifest import Manifest, build_config_map
from tweetbot_operator.observed import Observed, ObservedJob
from tweetbot_operator.policies import heartbeat
from tweetbot_operator.policies.ending import explain_failure, is_success, may_end_better
from tweetbot_operator.policies.retry import decide_retry
from tweetbot_operator.policies.validation import validate
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.policies.waiting import describe_wait, name_phase
from tweetbot_operator.resolve import locate_output, resolve
from tweetbot_operator.settings import OperatorSettings

CHECK_SECONDS = 300
"""How often a Job that is at work is looked at without being asked: an event of a watch can be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the shell has to do, in this order."""

    create: tuple[Manifest, ...] = ()
    """Objects that must not exist twice: one that exists is taken over only if the bot owns it."""
    apply: tuple[Manifest, ...] = ()
    """Objects that are brought into this form, whether they exist or not."""
    delete: tuple[ObservedJob, ...] = ()
    status: TweetBotStatus | None = None
    """The new status; None if the present one is right."""
    events: tuple[Announcement, ...] = ()
    requeue_after: float | None = None
    """Seconds until the bot must be looked at again; None if an event will tell."""


def make_plan(bot: TweetBot, observed: Observed, settings: OperatorSettings, now: datetime) -> Plan:
    """Return what brings the bot one step closer to its spec."""
    if bot.metadata.deletion_timestamp is not None:
        return Plan()
    now = now.replace(microsecond=0)
    plan = _plan_run(bot, observed, settings, now)
    superseded = tuple(job for job in observed.other_jobs if job.run_id != bot.run_id and not job.is_deleting)
    return replace(plan, delete=superseded, status=None if plan.status == bot.status else plan.status)


def _plan_run(bot: TweetBot, observed: Observed, settings: OperatorSettings, now: datetime) -> Plan:
    run = bot.status.run
    if run is None or run.id != bot.run_id:
        return _start_run(bot, run.number + 1 if run else 1, settings, now)
    if run.completion_time is not None:
        return Plan(status=status.ended(bot, now))
    if is_success(observed.outcome, run.job_kind):
        return _advance(bot, run, observed, settings, now)
    if observed.job is None:
        return _make_job(bot, run, observed, settings, now)
    if observed.job.is_finished or _has_failed_for_good(observed.outcome):
        return _fail_attempt(bot, run, observed, settings, now)
    return _follow_job(bot, run, observed, settings, now)


def _start_run(bot: TweetBot, number: int, settings: OperatorSettings, now: datetime) -> Plan:
    invalid = validate(bot, settings)
    if invalid:
        return _stall(bot, invalid, now)
    run = Run(
        id=bot.run_id,
        number=number,
        job_name=names.job_name(bot.metadata.name, bot.run_id, "prepare", 1),
        start_time=now,
    )
    event = Announcement(Reason.PENDING, f"run {number} starts with the Job {run.job_name}", run.job_name)
    return Plan(status=status.started(bot, run, now), events=(event,), requeue_after=0)


def _make_job(bot: TweetBot, run: Run, observed: Observed, settings: OperatorSettings, now: datetime) -> Plan:
    """Make the Job of the attempt that stands in status, as soon as nothing forbids it."""
    if run.job_uid is not None:
        return _fail_attempt(bot, run, observed, settings, now)
    if run.retry_time is not None and now < run.retry_time:
        return Plan(requeue_after=(run.retry_time - now).total_seconds())
    invalid = validate(bot, settings)
    if invalid:
        return _stall(bot, invalid, now)
    former = _name_what_still_writes(run, observed)
    if former:
        verdict = Verdict(Reason.RETRYING, f"attempt {run.attempt} waits for {former} of the former attempt to end")
        return Plan(status=status.working(bot, "Pending", verdict, now), requeue_after=CHECK_SECONDS)
    return Plan(create=(build_job(run.job_kind, run.job_name, [bot], settings),), requeue_after=0)


def _follow_job(bot: TweetBot, run: Run, observed: Observed, settings: OperatorSettings, now: datetime) -> Plan:
    """Report on a Job that is not finished."""
    job = observed.job
    assert job  # noqa: S101 - the caller has looked
    is_new = run.job_uid is None
    changes, requeue_after = _take_report(bot.status, observed, now)
    if is_new:
        changes["run"] = run.model_copy(update={"job_uid": job.uid, "retry_time": None})
    if observed.outcome and observed.outcome.failure:
        # Another attempt may follow, but only once this Job is known to make no other pod.
        changes["failure"] = explain_failure(observed)
    return Plan(
        apply=(build_config_map(run.job_kind, job, [bot], settings, observed.operator_ca),) if is_new else (),
        status=status.working(bot, name_phase(job), describe_wait(job, observed.pod), now, **changes),
        requeue_after=requeue_after,
    )


def _take_report(current: TweetBotStatus, observed: Observed, now: datetime) -> tuple[dict[str, object], float]:
    """Return the status fields that the trainer's progress changes now, and when to look again."""
    report = observed.report
    if report is None or not heartbeat.is_news(current, report):
        return {}, CHECK_SECONDS
    seconds = heartbeat.seconds_until_due(current, report, now)
    if seconds > 0:
        return {}, seconds
    return {"stage": report.message.stage, "progress": heartbeat.advance(current.progress, report)}, CHECK_SECONDS


def _advance(bot: TweetBot, run: Run, observed: Observed, settings: OperatorSettings, now: datetime) -> Plan:
    """Go on from a Job that has done its work: to the train Job, or to the end."""
    outcome = observed.outcome
    assert outcome  # noqa: S101 - the caller has looked
    run = _count_gpu_seconds(bot, run, observed, settings, now)
    if outcome.manifest_sha256 is not None:
        output = locate_output(bot, settings)
        events = [Announcement(Reason.SUCCEEDED, f"the model is stored at {output.uri}", run.job_name)]
        if outcome.hugging_face and outcome.hugging_face.failure:
            message = f"{outcome.hugging_face.url}: {outcome.hugging_face.failure}"
            events.append(Announcement(Reason.HUB_PUSH_FAILED, message, run.job_name, is_warning=True))
        return Plan(status=status.completed(bot, run, outcome, output, now), events=tuple(events))
    job_name = names.job_name(bot.metadata.name, run.id, "train", 1)
    following = run.model_copy(
        update={"job_kind": "train", "attempt": 1, "job_name": job_name, "job_uid": None, "retry_time": None}
    )
    event = Announcement(Reason.TRAINING, f"the posts are prepared; the Job {job_name} trains", job_name)
    changes = {**status.take_results(bot.status, outcome), "run": following, "failure": None}
    verdict = Verdict(Reason.PENDING, "the posts are prepared, the train Job is about to be made")
    return Plan(status=status.working(bot, "Pending", verdict, now, **changes), events=(event,), requeue_after=0)


def _fail_attempt(bot: TweetBot, run: Run, observed: Observed, settings: OperatorSettings, now: datetime) -> Plan:
    """Let another attempt follow one that has failed, or let the run fail."""
    failure = explain_failure(observed)
    run = _count_gpu_seconds(bot, run, observed, settings, now)
    retry = decide_retry(failure, run.attempt, bot.spec.max_attempts, settings.retry_pause_seconds)
    message = f"attempt {run.attempt} of {bot.spec.max_attempts} failed: {failure.message}"
    if retry is None:
        event = Announcement(status.known_reason(failure), message, run.job_name, is_warning=True)
        return Plan(status=status.failed(bot, run, failure, now), events=(event,))
    attempt = run.attempt + 1
    following = run.model_copy(
        update={
            "attempt": attempt,
            "job_name": names.job_name(bot.metadata.name, run.id, run.job_kind, attempt),
            "job_uid": None,
            "retry_time": now + retry.pause,
        }
    )
    event = Announcement(Reason.RETRYING, f"{failure.reason}: {message}", run.job_name, is_warning=True)
    verdict = Verdict(Reason.RETRYING, f"{failure.reason}: {message}")
    changes = {"run": following, "failure": failure, "stage": None}
    return Plan(
        status=status.working(bot, "Pending", verdict, now, **changes),
        events=(event,),
        requeue_after=retry.pause.total_seconds(),
    )


def _stall(bot: TweetBot, invalid: Verdict, now: datetime) -> Plan:
    event = Announcement(invalid.reason, invalid.message, f"generation-{bot.metadata.generation}", is_warning=True)
    is_known = any(condition.message == invalid.message for condition in bot.status.conditions)
    return Plan(status=status.stalled(bot, invalid, now), events=() if is_known else (event,))


def _has_failed_for_good(outcome: BotOutcome | None) -> bool:
    return bool(outcome and outcome.failure and not may_end_better(outcome.failure))


def _name_what_still_writes(run: Run, observed: Observed) -> str | None:
    """Name a Job or pod of a former attempt that may still write to the run's prefix, if there is one."""
    for job in observed.other_jobs:
        if job.run_id == run.id and job.kind == run.job_kind and not job.is_finished:
            return f"the Job {job.key.name}"
    for pod in observed.other_live_pods:
        if pod.kind == run.job_kind:
            return f"the pod {pod.key.name}"
    return None


def _count_gpu_seconds(bot: TweetBot, run: Run, observed: Observed, settings: OperatorSettings, now: datetime) -> Run:
    """Return the run with the GPU time of the attempt that ends now."""
    gpus = resolve(bot, settings).train.gpus or 0
    if run.job_kind != "train" or gpus == 0:
        return run
    held = sum(
        ((pod.finished or now) - pod.started for pod in observed.pods if pod.started is not None), start=timedelta()
    )
    seconds = max(0, round(held.total_seconds()))
    return run.model_copy(update={"gpu_seconds": run.gpu_seconds + seconds * gpus})
