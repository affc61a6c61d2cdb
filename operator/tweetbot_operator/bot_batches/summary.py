"""Many bots in a few numbers: counts, percentiles and the first failures. Its size does not depend on how many."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tweetbot_api.bot_batch import MOST_FAILURES, MOST_REASONS, BotCounts, BotFailure, ReasonCount, Spread
from tweetbot_operator.bot_batches.member import Member
from tweetbot_operator.bot_batches.roll import Roll

_DECIMALS = 4


def summarize(roll: Roll) -> dict[str, Any]:
    """Return the fields of a TweetBotBatchStatus that tell of its bots."""
    failed = [member for member in roll.present if member.has_failed]
    succeeded = [member for member in roll.present if _classify(member) == "succeeded"]
    reasons = Counter(member.reason for member in failed)
    return {
        "bots": count(roll),
        "percent": _mean_percent(roll),
        "seconds": spread(member.seconds for member in succeeded),
        "loss": spread(member.loss for member in succeeded),
        "gpu_seconds": sum(member.gpu_seconds for member in roll.present),
        "failures": [_describe(member) for member in failed[:MOST_FAILURES]] or None,
        "failure_reasons": [ReasonCount(reason=name, bots=bots) for name, bots in reasons.most_common(MOST_REASONS)]
        or None,
    }


def count(roll: Roll) -> BotCounts:
    """Return how many bots are where."""
    counted = Counter(_classify(member) for member in roll.present)
    counted["deleted"] += roll.deleted
    counted["failed"] -= len(roll.to_retry)
    return BotCounts(total=roll.total, waiting=len(roll.missing) + len(roll.to_retry), **counted)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return the nearest-rank percentiles of the values that are known; None if none is."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    ranks = (_nearest_rank(known, percent) for percent in (10, 50, 90, 100))
    p10, p50, p90, highest = (round(value, _DECIMALS) for value in ranks)
    return Spread(p10=p10, p50=p50, p90=p90, max=highest)


def _nearest_rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def _classify(member: Member) -> str:
    """Return the field of BotCounts that the bot belongs to."""
    if member.is_deleting or member.phase == "Deleting":
        return "deleted"
    # A bot whose spec was edited after its end is about to be looked at again.
    if member.phase in {"Succeeded", "Failed"} and not member.has_ended:
        return "pending"
    return member.phase.lower()


def _mean_percent(roll: Roll) -> int | None:
    if not roll.total:
        return None
    done = sum(
        100 if _classify(member) in {"succeeded", "failed", "deleted"} else member.percent for member in roll.present
    )
    return (done + 100 * roll.deleted) // roll.total


def _describe(member: Member) -> BotFailure:
    return BotFailure(name=member.key.name, reason=member.reason, message=member.message)
