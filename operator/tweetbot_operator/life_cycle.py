"""Every change of phase that there may be, with its cause: the tests hold the plan to it, the docs draw it."""

from dataclasses import dataclass
from typing import Final

from tweetbot_api.status import Phase

_AT_WORK: Final[tuple[Phase, ...]] = ("Preparing", "Queued", "Training")
_GOING_ON: Final[tuple[Phase, ...]] = ("Pending", *_AT_WORK)
_ENDED: Final[tuple[Phase, ...]] = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Transition:
    """One cause, from each of some phases (None: not seen yet) to another."""

    before: tuple[Phase | None, ...]
    after: Phase
    cause: str


TRANSITIONS: Final = (
    Transition((None,), "Pending", "accepted"),
    Transition((None, *_GOING_ON, "Suspended", "Succeeded"), "Failed", "the spec cannot be run"),
    Transition(
        (None, "Pending", "Queued", "Training", "Suspended", *_ENDED),
        "Preparing",
        "given to a prepare Job, or it is there",
    ),
    Transition(("Pending", "Preparing", "Training", "Suspended"), "Queued", "the queue holds the Job back"),
    Transition(("Pending", "Preparing", "Queued", "Suspended"), "Training", "given to a train Job, or it is there"),
    Transition(_AT_WORK, "Pending", "prepared, or another attempt follows"),
    Transition((*_GOING_ON, "Suspended"), "Succeeded", "the manifest is stored"),
    Transition((*_GOING_ON, "Suspended"), "Failed", "no attempt can mend it, or none is left"),
    Transition(_GOING_ON, "Suspended", "spec.suspend"),
    Transition(("Suspended",), "Pending", "resumed, but something has to be waited for"),
    Transition(
        (*_AT_WORK, "Suspended", *_ENDED),
        "Pending",
        "the spec or the schedule asks for another run, or the spec was mended",
    ),
    Transition(("Failed",), "Succeeded", "back to the spec of a finished run, nothing else"),
    Transition((None, *_GOING_ON, "Suspended", *_ENDED), "Deleting", "deleted, with deletionPolicy Delete"),
)


def is_allowed(before: Phase | None, after: Phase | None) -> bool:
    """Tell whether the phase may change like this."""
    return before == after or any(before in item.before and after == item.after for item in TRANSITIONS)
