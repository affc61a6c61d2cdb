"""What is to be done for a TweetBotBatch: pure, from the object, its list and its bots. See `make_batch_plan`.

Bots are made in the order of the list, as many as `spec.parallelism` lets be at work. A bot is trained at most once for
each value of `spec.retryFailed`: that value is its `spec.runID`. Nothing is ever deleted here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tweetbot_api.bot_batch import TweetBotBatch, TweetBotBatchStatus
from tweetbot_api.conditions import Reason
from tweetbot_operator import status
from tweetbot_operator.bot_batches import report
from tweetbot_operator.bot_batches.bot import build_bot, sample_bot
from tweetbot_operator.bot_batches.handles import HandleList
from tweetbot_operator.bot_batches.list_job import build_list_job, build_list_manifest, list_job_key
from tweetbot_operator.bot_batches.member import Member
from tweetbot_operator.bot_batches.roll import Roll, call_roll
from tweetbot_operator.builders.manifest import Manifest
from tweetbot_operator.observed import Observed, ObservedJob, ObservedPod
from tweetbot_operator.policies.ending import explain_failure
from tweetbot_operator.policies.validation import validate
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.settings import OperatorSettings

WRITE_SECONDS = 10
"""The status is written at most this often while bots are at work."""
LIST_SECONDS = 60
"""How often a ConfigMap with handles is read: it is not watched."""
BATCH_CHECK_SECONDS = 300
"""How often a batch is looked at without being asked: an event can be lost, and none tells that a name is free."""
_MOST_AT_ONCE = 50
"""Bots made in one look: batches take turns."""
_MOST_PROBLEMS = 3
"""Problems that are told; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The apiserver would not have a bot."""

    message: str
    retry_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The list is not there yet: a Job has to read it from a file."""

    job: ObservedJob | None
    pods: tuple[ObservedPod, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedBatch:
    """Everything outside the object that a plan for it depends on."""

    listing: HandleList | Reading | Verdict
    """The list, or why there is none."""
    operator_ca: str = ""
    """Certificate by which the pods know the operator's server."""
    members: tuple[Member, ...] = ()
    """The bots that it owns."""
    taken: frozenset[str] = frozenset()
    """Names of wanted bots that others own."""
    refusal: Refusal | None = None
    """Why the last bot could not be made."""
    last_written: datetime | None = None
    """When this operator last wrote the status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """What the shell has to do, in this order."""

    read: tuple[Manifest, Manifest] | None = None
    """The ConfigMap and the Job that are to read the list."""
    delete: ObservedJob | None = None
    """A Job that has read the list, which is gone since."""
    create: tuple[Manifest, ...] = ()
    """Bots to make; one that exists is taken over only if the batch owns it."""
    retry: tuple[Member, ...] = ()
    """Bots whose `spec.runID` is to become `spec.retryFailed`."""
    status: TweetBotBatchStatus | None = None
    """The new status; None if the present one is right, or is not to be written yet."""
    requeue_after: float | None = None
    """Seconds until the batch must be looked at again; None if an event will tell."""


def make_batch_plan(
    batch: TweetBotBatch, observed: ObservedBatch, settings: OperatorSettings, now: datetime
) -> BatchPlan:
    """Return what brings the bots closer to the spec, and the status that tells the truth about them."""
    if batch.metadata.deletion_timestamp is not None:
        # The garbage collector deletes the bots; making others would never end.
        return BatchPlan()
    now = now.replace(microsecond=0)
    if isinstance(observed.listing, Verdict):
        return _finish(batch, observed, report.stalled(batch, observed.listing, now), now)
    if isinstance(observed.listing, Reading):
        return _read_list(batch, observed, observed.listing, settings, now)
    roll = call_roll(batch, observed.listing, observed.members, observed.taken)
    stop = _check_template(batch, observed.listing, settings)
    if stop:
        return _finish(batch, observed, report.stalled(batch, stop, now), now)
    wanted = report.follow(batch, roll, observed.listing, _find_problem(observed), now)
    slots = _count_slots(batch, roll, observed.refusal, now)
    create = roll.missing[:slots]
    retry = roll.to_retry[: slots - len(create)]
    plan = _finish(batch, observed, wanted, now)
    is_full = len(create) + len(retry) == _MOST_AT_ONCE
    return replace(
        plan,
        create=tuple(build_bot(batch, entry) for entry in create),
        retry=retry,
        requeue_after=0 if is_full else plan.requeue_after,
    )


def _read_list(
    batch: TweetBotBatch, observed: ObservedBatch, reading: Reading, settings: OperatorSettings, now: datetime
) -> BatchPlan:
    """Return what brings the list from its file."""
    csv = batch.spec.handles_from.csv if batch.spec.handles_from else None
    assert csv, "only a file has to be read by a Job"  # noqa: S101 - the observer looks there for nothing else
    if observed.refusal and now < observed.refusal.retry_at:
        return _finish(batch, observed, report.stalled(batch, _tell_refusal(observed.refusal), now), now)
    if reading.job is not None and reading.job.state == "failed":
        failure = explain_failure(Observed(job=reading.job, pods=reading.pods))
        fix = "mend it, then change spec.handlesFrom.csv.revision"
        verdict = Verdict(status.known_reason(failure), f"{csv.uri} was not read: {failure.message}; {fix}")
        return _finish(batch, observed, report.stalled(batch, verdict, now), now)
    name = list_job_key(batch, csv).name
    verdict = Verdict(Reason.READING_HANDLES, f"the Job {name} reads {csv.uri}")
    plan = _finish(batch, observed, report.reading(batch, verdict, now), now)
    if reading.job is None:
        manifest = build_list_manifest(batch, csv, settings, observed.operator_ca)
        return replace(plan, read=(manifest, build_list_job(batch, csv, settings)))
    return replace(plan, delete=reading.job if reading.job.state == "succeeded" else None)


def _check_template(batch: TweetBotBatch, listing: HandleList, settings: OperatorSettings) -> Verdict | None:
    """Return what is wrong with every bot alike, before a thousand of them say so."""
    if not listing.entries:
        return None
    verdict = validate(sample_bot(batch, listing.entries[0]), settings)
    return verdict and Verdict(verdict.reason, verdict.message.replace("spec.", "spec.template.spec.", 1))


def _find_problem(observed: ObservedBatch) -> Verdict | None:
    """Return what keeps some bots from being made, while the others go on."""
    assert isinstance(observed.listing, HandleList)  # noqa: S101 - the caller has looked
    if observed.refusal:
        return _tell_refusal(observed.refusal)
    if observed.listing.problems or not observed.listing.entries:
        return Verdict(
            Reason.HANDLES_INVALID, _enumerate(observed.listing.problems) or "there is no handle in the list"
        )
    if observed.taken:
        names = [f"there is a TweetBot {name} that is not this batch's own" for name in sorted(observed.taken)]
        return Verdict(Reason.BOT_NAME_TAKEN, _enumerate(names))
    return None


def _tell_refusal(refusal: Refusal) -> Verdict:
    return Verdict(Reason.BOT_REFUSED, f"Kubernetes refuses what the batch needs: {refusal.message}")


def _enumerate(problems: Sequence[str]) -> str:
    shown = "; ".join(problems[:_MOST_PROBLEMS])
    return f"{shown}; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else shown


def _count_slots(batch: TweetBotBatch, roll: Roll, refusal: Refusal | None, now: datetime) -> int:
    """Return how many bots may be made or tried again now."""
    if batch.spec.paused or (refusal and now < refusal.retry_at):
        return 0
    # What the apiserver refused once it most likely refuses again: one bot tries it for all.
    most = 1 if refusal else _MOST_AT_ONCE
    return min(max(batch.spec.parallelism - roll.at_work, 0), most)


def _finish(batch: TweetBotBatch, observed: ObservedBatch, wanted: TweetBotBatchStatus, now: datetime) -> BatchPlan:
    """Return the plan that writes the status if it is time, and looks again when it must."""
    looks: list[float] = []
    if batch.spec.handles_from:
        looks.append(LIST_SECONDS)
    if wanted.completion_time is None or observed.taken:
        looks.append(BATCH_CHECK_SECONDS)
    if observed.refusal:
        looks.append(max((observed.refusal.retry_at - now).total_seconds(), 1))
    is_new = wanted.to_wire() != batch.status.to_wire()
    pause = _pause_before_writing(batch, observed, wanted, now) if is_new else 0
    if pause:
        looks.append(pause)
    return BatchPlan(status=wanted if is_new and not pause else None, requeue_after=min(looks, default=None))


def _pause_before_writing(
    batch: TweetBotBatch, observed: ObservedBatch, wanted: TweetBotBatchStatus, now: datetime
) -> float:
    """Return how many seconds a changed status has to wait: news about the spec, and the end, do not."""
    is_end = wanted.completion_time is not None and batch.status.completion_time is None
    if is_end or observed.last_written is None or wanted.observed_generation != batch.status.observed_generation:
        return 0
    due = observed.last_written + timedelta(seconds=WRITE_SECONDS)
    return max((due - now).total_seconds(), 0)
