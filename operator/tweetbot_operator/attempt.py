"""The steps of an attempt: its Job is made, ends well or not, is suspended, or runs out of time."""

from typing import Any

from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome, Unchanged
from tweetbot_api.names import JobKind
from tweetbot_api.status import Failure, Run
from tweetbot_operator import status
from tweetbot_operator.builders.event import Announcement
from tweetbot_operator.builders.job import build_job
from tweetbot_operator.builders.pod import count_nodes
from tweetbot_operator.observed import Observed
from tweetbot_operator.policies import heartbeat
from tweetbot_operator.policies.accounting import Holding, close_attempt, count_end
from tweetbot_operator.policies.batching import build_candidate
from tweetbot_operator.policies.deadline import explain_deadline, is_used_up, seconds_left
from tweetbot_operator.policies.ending import explain_failure, is_from_outside
from tweetbot_operator.policies.queue import renew_quota, was_stopped
from tweetbot_operator.policies.retry import choose_pause, explain_end
from tweetbot_operator.policies.validation import validate
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.policies.waiting import describe_line, describe_queue
from tweetbot_operator.resolve import locate_output, resolve
from tweetbot_operator.sharing import assigned, is_shared, name_job, wait_for_company
from tweetbot_operator.situation import JOB_CHECK_SECONDS, START_CHECK_SECONDS, Plan, Situation


def make_job(situation: Situation, run: Run) -> Plan:
    """Make the Job of the attempt that stands in status, as soon as nothing forbids it."""
    bot, now = situation.bot, situation.now
    if run.job_uid is not None or (is_shared(bot, run) and situation.observed.is_job_deleted):
        return fail_attempt(situation, run)
    former = _name_what_still_writes(situation, run)
    if bot.spec.suspend:
        return _rest(situation, former)
    if run.retry_time is not None and now < run.retry_time:
        seconds = (run.retry_time - now).total_seconds()
        return Plan(status=status.working(bot, "Pending", _explain_pause(situation), now), requeue_after=seconds)
    invalid = validate(bot, situation.settings)
    if invalid:
        return stall(situation, invalid)
    if is_used_up(seconds_left(bot.spec, run, (), now)):
        return end_by_deadline(situation, run)
    if former:
        verdict = Verdict(Reason.RETRYING, f"attempt {run.attempt} waits for {former} of the former attempt to end")
        return Plan(status=status.working(bot, "Pending", verdict, now), requeue_after=JOB_CHECK_SECONDS)
    if run.job_name is None or (is_shared(bot, run) and situation.observed.is_left_out):
        return wait_for_company(situation, run)
    if is_shared(bot, run):
        return Plan(needs_shared_job=True)
    return Plan(create=(build_job(run.job_kind, run.job_name, [bot], situation.settings),), requeue_after=0)


def advance(situation: Situation, run: Run) -> Plan:
    """Go on from a Job that has done its work: to the end, or to the train Job."""
    outcome = situation.observed.outcome
    assert outcome  # noqa: S101 - the caller has looked
    run = _close(situation, run)
    if outcome.manifest_sha256 is not None:
        return _complete_run(situation, run, outcome)
    if outcome.unchanged is not None:
        return _end_unchanged(situation, run, outcome.unchanged)
    return _go_on_to_train(situation, run, outcome)


def _complete_run(situation: Situation, run: Run, outcome: BotOutcome) -> Plan:
    """Let the run end with the model that is stored."""
    output = locate_output(situation.bot, situation.settings)
    events = [Announcement(Reason.SUCCEEDED, f"the model is stored at {output.uri}", run.job_name)]
    if outcome.hugging_face and outcome.hugging_face.failure:
        message = f"{outcome.hugging_face.url}: {outcome.hugging_face.failure}"
        events.append(Announcement(Reason.HUB_PUSH_FAILED, message, run.job_name, is_warning=True))
    wanted = status.completed(situation.bot, run, outcome, output, situation.now)
    return Plan(status=wanted, events=tuple(events))


def _end_unchanged(situation: Situation, run: Run, found: Unchanged) -> Plan:
    """Let the run end with the former model, for there is too little to learn from."""
    bot = situation.bot
    wanted = bot.spec.schedule.min_new_posts if bot.spec.schedule else 1
    message = f"{found.new_posts} new posts, fewer than {wanted}; the former model stays"
    event = Announcement(Reason.UNCHANGED, message, run.job_name)
    return Plan(status=status.unchanged(bot, run, message, situation.now), events=(event,))


def _go_on_to_train(situation: Situation, run: Run, outcome: BotOutcome) -> Plan:
    """Give the prepared bot to its train Job, or let it wait for others to share one with."""
    bot, observed = situation.bot, situation.observed
    following = _next_attempt(situation, run, "train", 1, failed_attempts=0, retry_time=None)
    if observed.assignment is not None:
        following = following.model_copy(update={"job_name": observed.assignment.job_name})
    changes = {**status.take_results(bot.status, outcome), "failure": None}
    if following.job_name is not None:
        message = f"the posts are prepared; the Job {following.job_name} trains"
        event = Announcement(Reason.TRAINING, message, following.job_name)
        return Plan(status=assigned(situation, following, changes), events=(event,), requeue_after=0)
    if bot.spec.suspend or observed.job is None or observed.is_behind:
        # Nobody may tell it again, or it waits for longer than a trainer does for its result to be stored.
        wanted = status.working(bot, "Pending", _explain_wait(observed), situation.now, **changes, run=following)
        return Plan(status=wanted, requeue_after=0)
    return Plan(candidate=build_candidate(bot, "train", 1, 0, outcome.dataset, situation.settings, situation.now))


def _explain_wait(observed: Observed) -> Verdict:
    """Return why a prepared bot is not trained yet."""
    if observed.is_behind:
        return describe_line()
    return Verdict(Reason.PENDING, "the posts are prepared; the bot waits for others to be trained with")


def fail_attempt(situation: Situation, run: Run) -> Plan:
    """Let another attempt follow one that has failed, or let the run fail."""
    bot, observed, settings = situation.bot, situation.observed, situation.settings
    failure = explain_failure(observed).model_copy(update={"log_uri": _locate_log(situation, run)})
    from_outside = is_from_outside(failure, observed)
    is_counted = was_stopped(observed.job, run, bot.status.failure)
    run = _close(situation, run)
    run = run if is_counted else count_end(run, is_from_outside=from_outside)
    end = explain_end(failure, run, bot.spec, seconds_left(bot.spec, run, (), situation.now), settings)
    if end is not None:
        return _fail_run(situation, run, end)
    pause = choose_pause(run, is_from_outside=from_outside, pause_seconds=settings.retry_pause_seconds)
    following = _next_attempt(situation, run, run.job_kind, run.attempt + 1, retry_time=situation.now + pause)
    verdict = Verdict(Reason.RETRYING, _tell_failure(run, failure, bot.spec.max_attempts))
    event = Announcement(Reason.RETRYING, verdict.message, run.job_name, is_warning=not from_outside)
    progress = heartbeat.interrupt(bot.status.progress)
    changes = {"run": following, "failure": failure, "stage": None, "progress": progress}
    return Plan(
        status=status.working(bot, "Pending", verdict, situation.now, **changes),
        events=(event,),
        requeue_after=pause.total_seconds(),
    )


def give_way(situation: Situation, run: Run) -> Plan:
    """Count that the queue has stopped the Job, which goes on with other pods when it is admitted again."""
    bot, observed, now = situation.bot, situation.observed, situation.now
    job, word = observed.job, observed.queue_word
    assert job  # noqa: S101 - the caller has looked
    why = f": {word.message}" if word else ""
    failure = Failure(reason=Reason.PREEMPTED, message=f"the queue stopped the Job {job.key.name}{why}"[:1024])
    run = count_end(_close(situation, run), is_from_outside=True)
    end = explain_end(failure, run, bot.spec, seconds_left(bot.spec, run, (), now), situation.settings)
    if end is not None:
        return _fail_run(situation, run, end)
    changes = {"run": run, "failure": failure, "stage": None, "progress": heartbeat.interrupt(bot.status.progress)}
    verdict, quota = describe_queue(job.key.name, word), renew_quota(job, word, bot.status)
    subject = f"{run.job_name}-{run.preemptions}"
    return Plan(
        status=status.note_quota(bot, status.working(bot, "Queued", verdict, now, **changes), quota, now),
        events=(Announcement(Reason.PREEMPTED, failure.message, subject),),
        requeue_after=START_CHECK_SECONDS,
    )


def suspend_attempt(situation: Situation, run: Run) -> Plan:
    """Give up the attempt of which a Job is there: the next one stands in status first, then the Job is deleted."""
    following = _next_attempt(situation, _close(situation, run), run.job_kind, run.attempt + 1, retry_time=None)
    verdict = Verdict(Reason.SUSPENDING, f"the Job {run.job_name} is being stopped")
    changes = {"run": following, "stage": None, "progress": heartbeat.interrupt(situation.bot.status.progress)}
    return Plan(
        status=status.working(situation.bot, "Suspended", verdict, situation.now, **changes),
        events=(Announcement(Reason.SUSPENDED, verdict.message, run.job_name),),
        requeue_after=0,
    )


def end_by_deadline(situation: Situation, run: Run) -> Plan:
    """Let the run fail because its time is over; what still runs of it is deleted in the next pass."""
    return _fail_run(situation, _close(situation, run), explain_deadline(situation.bot.spec))


def stall(situation: Situation, invalid: Verdict) -> Plan:
    """Report what is wrong with the spec."""
    bot = situation.bot
    event = Announcement(invalid.reason, invalid.message, f"generation-{bot.metadata.generation}", is_warning=True)
    is_known = any(condition.message == invalid.message for condition in bot.status.conditions)
    return Plan(status=status.stalled(bot, invalid, situation.now), events=() if is_known else (event,))


def _rest(situation: Situation, former: str | None) -> Plan:
    """Report that nothing is made while the spec says so."""
    bot, now = situation.bot, situation.now
    if former:
        verdict = Verdict(Reason.SUSPENDING, f"{former} is being stopped")
        return Plan(status=status.working(bot, "Suspended", verdict, now), requeue_after=JOB_CHECK_SECONDS)
    verdict = Verdict(Reason.SUSPENDED, "spec.suspend is true; set it to false to go on")
    return Plan(status=status.suspended(bot, verdict, now))


def _fail_run(situation: Situation, run: Run, failure: Failure) -> Plan:
    message = _tell_failure(run, failure, situation.bot.spec.max_attempts)
    event = Announcement(status.known_reason(failure), message, run.job_name, is_warning=True)
    return Plan(status=status.failed(situation.bot, run, failure, situation.now), events=(event,))


def _next_attempt(situation: Situation, run: Run, kind: JobKind, attempt: int, **changes: Any) -> Run:
    updated = run.model_copy(update={"job_kind": kind, "attempt": attempt, "job_uid": None, **changes})
    return updated.model_copy(update={"job_name": name_job(situation, kind, attempt, updated.failed_attempts)})


def _close(situation: Situation, run: Run) -> Run:
    train, job = resolve(situation.bot, situation.settings).train, situation.observed.job
    nodes, num_bots = (job.nodes, len(job.owners)) if job else (count_nodes(run.job_kind, train), 1)
    holding = Holding(nodes=nodes, gpus=train.gpus or 0, bots=num_bots)
    return close_attempt(run, situation.observed.pods, holding, situation.now)


def _locate_log(situation: Situation, run: Run) -> str:
    return f"{locate_output(situation.bot, situation.settings).uri}/{names.attempt_log(run.job_kind, run.attempt)}"


def _tell_failure(run: Run, failure: Failure, max_attempts: int) -> str:
    counted = f"{run.failed_attempts} of {max_attempts} failures, {run.preemptions} preemptions"
    return f"{failure.reason}: attempt {run.attempt} ended ({counted}): {failure.message}"


def _explain_pause(situation: Situation) -> Verdict:
    """Return why there is a pause: as it was said when it began, or anew after an edit or a suspension."""
    ready = next((item for item in situation.bot.status.conditions if item.type == "Ready"), None)
    if ready and ready.reason == Reason.RETRYING:
        return Verdict(Reason.RETRYING, ready.message)
    failure = situation.bot.status.failure
    return Verdict(Reason.RETRYING, f"{failure.reason}: {failure.message}" if failure else "the next attempt follows")


def _name_what_still_writes(situation: Situation, run: Run) -> str | None:
    """Name a Job or pod of a former attempt that may still write to the run's prefix, if there is one.

    Of a run that was given up and is asked for again, that may be a train Job while it is prepared once more.
    """
    for job in situation.observed.other_jobs:
        if run.id in job.attempts and job.kind in {run.job_kind, "train"} and not job.is_finished:
            return f"the Job {job.key.name}"
    for pod in situation.observed.other_live_pods:
        return f"the pod {pod.key.name}"
    return None
