"""Who of the list is there? The handles beside the bots that exist."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import takewhile

from tweetbot_api.bot_batch import MOST_SKIPPED, TweetBotBatch, TweetBotBatchStatus
from tweetbot_operator.bot_batches.handles import Entry, HandleList
from tweetbot_operator.bot_batches.member import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """The list, called."""

    present: tuple[Member, ...]
    """The bots that exist, in the order of the list."""
    missing: tuple[Entry, ...]
    """Those that have never been made."""
    to_retry: tuple[Member, ...]
    """Those present that have failed and are to be tried again."""
    deleted: int
    """How many were deleted by hand."""
    at_work: int
    """Bots that have not ended, also of handles that are not in the list any more."""
    made: int
    """How many handles, from the beginning of the list, have had their bot made or are skipped."""
    skipped: tuple[str, ...]
    """Names among those of bots that have never been made, for others have the names."""

    @property
    def total(self) -> int:
        """Different handles in the list."""
        return len(self.present) + len(self.missing) + self.deleted


def call_roll(
    batch: TweetBotBatch, listing: HandleList, members: Iterable[Member], taken: Set[str] = frozenset()
) -> Roll:
    """Return who is there; those whose names are taken by others do not count.

    A handle before `status.made` that has no bot had one, and somebody deleted it: it is not made again, unless status
    says that it was skipped. If the list was changed at its beginning, this is not known any more, and every handle
    without a bot counts as never made.
    """
    known = {member.key.name: member for member in members}
    made_before, skipped_before = _remember(batch.status, listing)
    had_their_bot = {entry.name for entry in listing.entries[:made_before]} - skipped_before
    present = tuple(known[entry.name] for entry in listing.entries if entry.name in known)
    accounted_for = known.keys() | had_their_bot
    never_made = [entry for entry in listing.entries if entry.name not in accounted_for]
    skipped = _skip(never_made, taken | skipped_before)
    return Roll(
        present=present,
        missing=tuple(entry for entry in never_made if entry.name not in taken),
        to_retry=tuple(member for member in present if member.has_failed and _is_to_retry(batch, member)),
        deleted=len(listing.entries) - len(present) - len(never_made),
        at_work=sum(not (member.has_ended or member.is_deleting) for member in known.values()),
        made=_count_made(listing, never_made[len(skipped) :]),
        skipped=skipped,
    )


def _remember(status: TweetBotBatchStatus, listing: HandleList) -> tuple[int, Set[str]]:
    """Return how far the list was made and the names that were skipped, if it still begins as it did then."""
    is_same_list = status.made <= len(listing.entries) and status.made_hash == listing.hash_of_first(status.made)
    return (status.made, frozenset(status.skipped or ())) if is_same_list else (0, frozenset())


def _skip(never_made: Sequence[Entry], skippable: Set[str]) -> tuple[str, ...]:
    """Return the names, as many as can be remembered, that keep nobody after them from being counted as made."""
    first = never_made[:MOST_SKIPPED]
    return tuple(entry.name for entry in takewhile(lambda entry: entry.name in skippable, first))


def _count_made(listing: HandleList, to_come: Sequence[Entry]) -> int:
    """Return how many handles come before the first one that is neither made nor skipped."""
    return listing.entries.index(to_come[0]) if to_come else len(listing.entries)


def _is_to_retry(batch: TweetBotBatch, member: Member) -> bool:
    """Tell whether a failed bot has not been tried yet for the present value of `spec.retryFailed`."""
    return bool(batch.spec.retry_failed) and member.run_token != batch.spec.retry_failed
