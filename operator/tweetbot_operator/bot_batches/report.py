"""What stands on a TweetBotBatch: the summary of its bots, and conditions that obey kstatus."""

from datetime import datetime
from typing import Any, Literal, Protocol

from tweetbot_api.bot_batch import BotCounts, TweetBotBatch, TweetBotBatchStatus
from tweetbot_api.conditions import Reason
from tweetbot_api.types import ObjectMeta
from tweetbot_operator.bot_batches.handles import HandleList
from tweetbot_operator.bot_batches.roll import Roll
from tweetbot_operator.bot_batches.summary import summarize
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.status import COMPLETE, FAILED, STALLED, SUSPENDED, WORKING, Flags, build_conditions

Phase = Literal["Pending", "Running", "Paused", "Succeeded", "Failed"]


class Batch(Protocol):
    """What a status is made from; the spec may be unreadable."""

    @property
    def metadata(self) -> ObjectMeta:
        """Metadata of the TweetBotBatch."""
        ...

    @property
    def status(self) -> TweetBotBatchStatus:
        """Its present status."""
        ...


def follow(
    batch: TweetBotBatch, roll: Roll, listing: HandleList, problem: Verdict | None, now: datetime
) -> TweetBotBatchStatus:
    """Return the status of a batch whose list could be read."""
    fields = summarize(roll)
    bots: BotCounts = fields["bots"]
    phase, flags, verdict = _judge(batch, bots, roll.at_work, problem)
    ended = phase in {"Succeeded", "Failed"}
    fields |= {
        "made": roll.made,
        "made_hash": listing.hash_of_first(roll.made),
        "skipped": list(roll.skipped) or None,
        "completion_time": (batch.status.completion_time or now) if ended else None,
    }
    return _status(batch, phase, flags, verdict, now, fields)


def stalled(batch: Batch, verdict: Verdict, now: datetime) -> TweetBotBatchStatus:
    """Return the status of a batch of which nothing can be made; what was known of its bots stays."""
    return _status(batch, batch.status.phase or "Pending", STALLED, verdict, now, {})


def reading(batch: TweetBotBatch, verdict: Verdict, now: datetime) -> TweetBotBatchStatus:
    """Return the status of a batch whose list is being read."""
    return _status(batch, batch.status.phase or "Pending", WORKING, verdict, now, {"completion_time": None})


def _judge(
    batch: TweetBotBatch, bots: BotCounts, at_work: int, problem: Verdict | None
) -> tuple[Phase, Flags, Verdict]:
    has_ended = bots.ended == bots.total
    if problem:
        return ("Failed", FAILED, problem) if has_ended else ("Running", STALLED, problem)
    if has_ended and bots.failed:
        return "Failed", FAILED, Verdict(Reason.BOTS_FAILED, f"{bots.failed:,} of {bots.total:,} bots failed")
    if has_ended:
        return "Succeeded", COMPLETE, Verdict(Reason.BOTS_SUCCEEDED, f"{bots.succeeded:,} bots are trained")
    told = f"{bots.ended:,} of {bots.total:,} bots have ended, {at_work:,} are at work, {bots.waiting:,} wait"
    if batch.spec.paused:
        flags = WORKING if at_work else SUSPENDED
        return "Paused", flags, Verdict(Reason.BATCH_PAUSED, f"spec.paused is true; {told}")
    return "Running", WORKING, Verdict(Reason.BOTS_RUNNING, told)


def _status(
    batch: Batch, phase: Phase, flags: Flags, verdict: Verdict, now: datetime, fields: dict[str, Any]
) -> TweetBotBatchStatus:
    generation = batch.metadata.generation
    return batch.status.model_copy(
        update={
            **fields,
            "observed_generation": generation,
            "phase": phase,
            "start_time": batch.status.start_time or now,
            "conditions": build_conditions(batch.status.conditions, generation, flags, verdict, now),
        }
    )
