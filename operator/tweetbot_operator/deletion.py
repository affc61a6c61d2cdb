"""The end of a bot: what its runs have stored is deleted first, if its spec says so, by a Job in its own namespace.

The purge is one more Job of the bot, with attempts like the others, but tried without end: the bot waits for it.
Whoever cannot wait says so with an annotation.
"""

from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.status import Run
from tweetbot_operator import status
from tweetbot_operator.builders.event import Announcement
from tweetbot_operator.builders.job import build_job
from tweetbot_operator.following import follow_job
from tweetbot_operator.observed import Observed, ObservedJob
from tweetbot_operator.policies.ending import explain_failure
from tweetbot_operator.policies.retry import choose_pause
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.resolve import locate_folder
from tweetbot_operator.situation import JOB_CHECK_SECONDS, Plan, Situation

_WAY_OUT = f"to keep the files and let the bot go, set the annotation {names.ANNOTATION_SKIP_PURGE}=true"


def plan_finalizer(situation: Situation) -> Plan | None:
    """Return the plan that makes the bot's finalizers what its spec asks for, or None if they are."""
    finalizers = situation.bot.metadata.finalizers
    if _wants_purge(situation) == (names.FINALIZER in finalizers):
        return None
    others = tuple(name for name in finalizers if name != names.FINALIZER)
    return Plan(finalizers=(*others, names.FINALIZER) if _wants_purge(situation) else others, requeue_after=0)


def plan_deletion(situation: Situation) -> Plan:
    """Return the next step of a bot that is being deleted."""
    bot, observed = situation.bot, situation.observed
    if names.FINALIZER not in bot.metadata.finalizers:
        return Plan()
    if not _wants_purge(situation):
        return _let_go(situation, Announcement(Reason.PURGE_SKIPPED, "what is stored stays", "purge", is_warning=True))
    run = bot.status.run
    if run is None or run.id != bot.run_id or run.job_kind != "purge":
        return _stop_everything(situation) or _begin(situation)
    if observed.outcome and observed.outcome.purged:
        return _let_go(situation, Announcement(Reason.PURGED, _write_receipt(situation), run.job_name))
    if observed.job is None and run.job_uid is None:
        return _stop_everything(situation) or _make_purge_job(situation, run)
    if observed.job is None or observed.job.is_finished:
        return _fail_purge(situation, run)
    return follow_job(situation, run)


def explain_refusal(message: str) -> Verdict:
    """Return what is said of a purge Job that Kubernetes refuses, as it does in a namespace that is being deleted."""
    return Verdict(Reason.PURGE_FAILED, f"{message}; it is tried again. {_WAY_OUT}")


def _wants_purge(situation: Situation) -> bool:
    output, annotations = situation.bot.spec.output, situation.bot.metadata.annotations
    is_excused = annotations.get(names.ANNOTATION_SKIP_PURGE) == "true"
    is_wanted = output is not None and output.deletion_policy == "Delete" and not is_excused
    # Without a bucket nothing can have been stored.
    return is_wanted and bool(locate_folder(situation.bot, situation.settings).bucket)


def _let_go(situation: Situation, event: Announcement) -> Plan:
    finalizers = situation.bot.metadata.finalizers
    return Plan(finalizers=tuple(name for name in finalizers if name != names.FINALIZER), events=(event,))


def _stop_everything(situation: Situation) -> Plan | None:
    """Return the plan that stops whatever may still write, or None if nothing does."""
    bot, observed, now = situation.bot, situation.observed, situation.now
    jobs = _all_jobs(observed)
    at_work = [job for job in jobs if not job.is_finished and job.kind != "purge" and len(job.owners) == 1]
    pods = [pod for pod in (*observed.pods, *observed.other_live_pods) if pod.is_live]
    if not (at_work or pods):
        return None
    verdict = Verdict(Reason.PURGING, f"{(at_work or pods)[0].key.name} is being stopped")
    deletable = tuple(job for job in at_work if not job.is_deleting)
    return Plan(delete=deletable, status=status.working(bot, "Deleting", verdict, now), requeue_after=JOB_CHECK_SECONDS)


def _begin(situation: Situation) -> Plan:
    """Store the first attempt of the purge."""
    bot, now, former = situation.bot, situation.now, situation.bot.status.run
    purges = [job.attempts.get(bot.run_id, 0) for job in _all_jobs(situation.observed) if job.kind == "purge"]
    attempt = max(purges, default=0) + 1
    run = Run(
        id=bot.run_id,
        number=former.number if former else 1,
        job_kind="purge",
        attempt=attempt,
        job_name=names.job_name(bot.metadata.name, bot.run_id, "purge", attempt),
        start_time=now,
    )
    verdict = Verdict(Reason.PURGING, f"the Job {run.job_name} is about to be made")
    return Plan(status=status.working(bot, "Deleting", verdict, now, run=run, stage=None), requeue_after=0)


def _all_jobs(observed: Observed) -> list[ObservedJob]:
    return [job for job in (observed.job, *observed.other_jobs) if job is not None]


def _make_purge_job(situation: Situation, run: Run) -> Plan:
    if run.retry_time is not None and situation.now < run.retry_time:
        return Plan(requeue_after=(run.retry_time - situation.now).total_seconds())
    job_name = names.job_name(situation.bot.metadata.name, run.id, "purge", run.attempt)
    return Plan(create=(build_job("purge", job_name, [situation.bot], situation.settings),), requeue_after=0)


def _fail_purge(situation: Situation, run: Run) -> Plan:
    bot, now = situation.bot, situation.now
    failure = explain_failure(situation.observed)
    attempt, failures = run.attempt + 1, run.failed_attempts + 1
    counted = run.model_copy(update={"failed_attempts": failures})
    pause = choose_pause(counted, is_from_outside=False, pause_seconds=situation.settings.retry_pause_seconds)
    following = _move_on(counted, bot.metadata.name, attempt).model_copy(update={"retry_time": now + pause})
    message = f"{failure.reason}: {failure.message}; it is tried again. {_WAY_OUT}"
    verdict = Verdict(Reason.PURGE_FAILED, message)
    event = Announcement(Reason.PURGE_FAILED, message, run.job_name, is_warning=True)
    wanted = status.working(bot, "Deleting", verdict, now, run=following, failure=failure)
    return Plan(delete=_finished(situation), status=wanted, events=(event,), requeue_after=pause.total_seconds())


def _move_on(run: Run, bot_name: str, attempt: int) -> Run:
    job_name = names.job_name(bot_name, run.id, run.job_kind, attempt)
    return run.model_copy(update={"attempt": attempt, "job_name": job_name, "job_uid": None})


def _finished(situation: Situation) -> tuple[ObservedJob, ...]:
    """Return the purge Jobs of the past: each new attempt removes them, so that they do not pile up."""
    jobs = situation.observed.other_jobs
    return tuple(job for job in jobs if job.kind == "purge" and job.is_finished and not job.is_deleting)


def _write_receipt(situation: Situation) -> str:
    outcome = situation.observed.outcome
    assert outcome  # noqa: S101 - the caller has looked
    assert outcome.purged  # noqa: S101 - the caller has looked
    uri = locate_folder(situation.bot, situation.settings).uri
    return f"deleted {outcome.purged.versions} versions and {outcome.purged.uploads} unfinished uploads below {uri}/"
