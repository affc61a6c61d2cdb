"""Who of the list is there? The handles beside the bots that exist."""

from collections.abc import Container, Iterable
from dataclasses import dataclass

from tweetbot_api.bot_batch import TweetBotBatch
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
    """How many handles, from the beginning of the list, have had their bot made."""

    @property
    def total(self) -> int:
        """Different handles in the list."""
        return len(self.present) + len(self.missing) + self.deleted


def call_roll(batch: TweetBotBatch, listing: HandleList, members: Iterable[Member], taken: Container[str] = ()) -> Roll:
    """Return who is there; those whose names are taken by others do not count.

    A handle before `status.made` that has no bot had one, and somebody deleted it: it is not made again. If the list
    was changed at its beginning, this is not known any more, and every handle without a bot counts as never made.
    """
    known = {member.key.name: member for member in members}
    status = batch.status
    is_same_list = status.made <= len(listing.entries) and status.made_hash == listing.hash_of_first(status.made)
    made_before = status.made if is_same_list else 0
    present, missing = [], []
    made, deleted, is_unbroken = 0, 0, True
    for index, entry in enumerate(listing.entries):
        member = known.get(entry.name)
        if member is not None:
            present.append(member)
        elif index < made_before:
            deleted += 1
        else:
            is_unbroken = False
            if entry.name not in taken:
                missing.append(entry)
        made += is_unbroken
    return Roll(
        present=tuple(present),
        missing=tuple(missing),
        to_retry=tuple(member for member in present if member.has_failed and _is_to_retry(batch, member)),
        deleted=deleted,
        at_work=sum(not (member.has_ended or member.is_deleting) for member in known.values()),
        made=made,
    )


def _is_to_retry(batch: TweetBotBatch, member: Member) -> bool:
    """Tell whether a failed bot has not been tried yet for the present value of `spec.retryFailed`."""
    return bool(batch.spec.retry_failed) and member.run_token != batch.spec.retry_failed
