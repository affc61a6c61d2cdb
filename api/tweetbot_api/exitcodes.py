"""What a trainer's exit code means, and whether a new attempt can help.

The range 64..69 follows BSD's sysexits.h; 128 + n is a signal, as the shell reports it. `podFailurePolicy` fails the
Job at once on the permanent ones.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `tweetbot job`."""

    OK = 0
    """The manifest is stored in S3."""
    BAD_SPEC = 64
    """The spec names something that does not exist or may not be used."""
    TOO_LITTLE_TEXT = 65
    """Fewer than 6,000 characters are left after cleaning."""
    HANDLE_MISSING = 66
    """The handle, or the file that should hold its posts, is missing, protected or not readable as posts."""
    SOURCE_REFUSED = 69
    """The source refused our credentials, or its credit is used up."""
    STOPPED_WITH_CHECKPOINT = 170
    """Stopped by SIGTERM after saving a checkpoint."""
    TRANSIENT = 171
    """S3, the model hub or the network failed; trying again may help."""
    GPU_FAULT = 172
    """The GPU reported an error."""
    PEER_LOST = 173
    """Another process of the same training ended or did not come; that one may tell why."""


STOPPED = (143, int(ExitCode.STOPPED_WITH_CHECKPOINT))
"""Exit codes of what SIGTERM ended: before anything could be saved, and after."""

PERMANENT = frozenset({ExitCode.BAD_SPEC, ExitCode.TOO_LITTLE_TEXT, ExitCode.HANDLE_MISSING, ExitCode.SOURCE_REFUSED})


def is_retryable(exit_code: int) -> bool:
    """Tell whether another attempt may end better than one that ended with this code."""
    return exit_code not in PERMANENT
