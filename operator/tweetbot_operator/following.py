"""What status says of an attempt while its Job is at work, or waits to be."""

from typing import Any

from tweetbot_api.conditions import Reason
from tweetbot_api.status import Run, TweetBotStatus
from tweetbot_operator import status
from tweetbot_operator.builders.manifest import Manifest, build_config_map
from tweetbot_operator.builders.service import build_service
from tweetbot_operator.observed import Observed, ObservedJob, ObservedPod
from tweetbot_operator.policies import heartbeat, silence
from tweetbot_operator.policies.deadline import seconds_left
from tweetbot_operator.policies.ending import explain_failure
from tweetbot_operator.policies.queue import renew_quota
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.policies.waiting import describe_wait, describe_work, name_phase, seconds_until_told
from tweetbot_operator.sharing import is_shared
from tweetbot_operator.situation import JOB_CHECK_SECONDS, START_CHECK_SECONDS, Plan, Situation


def follow_job(situation: Situation, run: Run) -> Plan:
    """Report on a Job that is not finished."""
    bot, observed = situation.bot, situation.observed
    job, pod, shares = observed.job, observed.pod, is_shared(bot, run)
    assert job  # noqa: S101 - the caller has looked
    report, seconds_to_report = _take_report(situation)
    verdict, seconds_to_look = _describe_job(situation, run)
    needs_manifest = _may_lack_manifest(run, pod, shares=shares) or verdict.reason == Reason.POD_NOT_STARTED
    run = run if shares else _record_job(run, job)
    wanted = _tell(situation, run, job, verdict, {**report, **_take_failure(observed, job)})
    if wanted != bot.status:
        # Worth no write of their own: they only count should the pod or a shared Job vanish before its end is seen.
        run = run.model_copy(update={"job_uid": job.uid, **_note_start(run, job, pod)})
        wanted = wanted.model_copy(update={"run": run})
    looks = (seconds_to_report, seconds_to_look, seconds_left(bot.spec, run, observed.pods, situation.now))
    return Plan(
        apply=_build_furniture(situation, run, job) if needs_manifest and not shares else (),
        needs_shared_job=needs_manifest and shares,
        status=wanted,
        requeue_after=min(seconds for seconds in looks if seconds is not None),
    )


def _may_lack_manifest(run: Run, pod: ObservedPod | None, *, shares: bool) -> bool:
    """Tell whether the manifest may not have been made yet; one that was deleted shows as a pod that does not start."""
    # A bot's own Job is recorded once its manifest is made; the pod of a shared one may lack it as long as it waits.
    return (run.job_uid is None or shares) and (pod is None or pod.phase == "Pending")


def _record_job(run: Run, job: ObservedJob) -> Run:
    """Return the run with its own Job, which is there."""
    return run.model_copy(update={"job_uid": job.uid, "retry_time": None}) if run.job_uid is None else run


def _take_failure(observed: Observed, job: ObservedJob) -> dict[str, Any]:
    """Return what a pod has failed by: another attempt may follow once this Job is known to make no other pod."""
    has_failed = observed.pod and not job.is_held_back and observed.outcome and observed.outcome.failure
    return {"failure": explain_failure(observed)} if has_failed else {}


def _tell(
    situation: Situation, run: Run, job: ObservedJob, verdict: Verdict, changes: dict[str, Any]
) -> TweetBotStatus:
    """Return the status, with what the Job's queue says."""
    bot, now = situation.bot, situation.now
    working = status.working(bot, name_phase(job, run.job_kind), verdict, now, **changes, run=run)
    return status.note_quota(bot, working, renew_quota(job, situation.observed.queue_word, bot.status), now)


def _build_furniture(situation: Situation, run: Run, job: ObservedJob) -> tuple[Manifest, ...]:
    """Return what the pods of a Job need besides it."""
    bots, operator_ca = [situation.bot], situation.observed.operator_ca
    config_map = build_config_map(run.job_kind, job, bots, situation.settings, operator_ca)
    # No pod starts without its ConfigMap, so where one runs the Service is there too.
    return (build_service(job, bots), config_map) if job.nodes > 1 else (config_map,)


def _describe_job(situation: Situation, run: Run) -> tuple[Verdict, float]:
    """Return what the Job does or waits for, and when to look again in case nobody tells."""
    status, observed, timeout = situation.bot.status, situation.observed, situation.settings.heartbeat_timeout_seconds
    job, pod, laggard, since = observed.job, observed.pod, observed.laggard, observed.listening_since
    assert job  # noqa: S101 - the caller has looked
    if job.state == "suspended":
        is_young = (situation.now - job.created).total_seconds() < JOB_CHECK_SECONDS
        word = observed.queue_word
        knows_all = word is not None and word.place is not None
        pause = START_CHECK_SECONDS if is_young and not knows_all else JOB_CHECK_SECONDS
        return describe_wait(job, run.job_kind, pod, None, word), pause
    too_early = seconds_until_told(laggard, len(job.owners), situation.now)
    if too_early > 0:
        return describe_work(run.job_kind), too_early
    if job.state == "active" and (laggard is None or laggard.is_starting):
        return describe_wait(job, run.job_kind, laggard, observed.warning), START_CHECK_SECONDS
    # A report that has just come in is a sign of life that stands in status only after this plan.
    heard = observed.report.received if observed.report else None
    since = max((time for time in (since, heard) if time is not None), default=None)
    seconds = silence.seconds_until_silent(status, pod, since, timeout, situation.now)
    if seconds is not None and seconds <= 0:
        return silence.describe_silence(status, pod, since), JOB_CHECK_SECONDS
    verdict = describe_wait(job, run.job_kind, laggard, observed.warning)
    return verdict, JOB_CHECK_SECONDS if seconds is None else seconds


def _take_report(situation: Situation) -> tuple[dict[str, Any], float]:
    """Return the status fields that the trainer's progress changes now, and when to look again."""
    current, report, job = situation.bot.status, situation.observed.report, situation.observed.job
    if job is not None and job.state == "suspended":
        return {"stage": None}, JOB_CHECK_SECONDS
    if report is None or not heartbeat.is_news(current, report):
        return {}, JOB_CHECK_SECONDS
    num_bots = len(job.owners) if job else 1
    seconds = heartbeat.seconds_until_due(current, report, num_bots, situation.now)
    if seconds > 0:
        return {}, seconds
    return {"stage": report.message.stage, "progress": heartbeat.advance(current.progress, report)}, JOB_CHECK_SECONDS


def _note_start(run: Run, job: ObservedJob, pod: ObservedPod | None) -> dict[str, Any]:
    if pod is None or pod.started is None or run.attempt_start_time is not None:
        return {}
    # What a queue has stopped, and is counted, may still be seen for a while.
    return {"attempt_start_time": pod.started} if pod.is_live or not job.is_held_back else {}
