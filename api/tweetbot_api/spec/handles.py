"""The names of accounts, as their networks write them."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import StringConstraints

from tweetbot_api.spec.source import Source

_HANDLE = r"^@?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$"
_LONGEST_HANDLE = 129
Handle = Annotated[str, StringConstraints(pattern=_HANDLE, min_length=1, max_length=_LONGEST_HANDLE)]
X_HANDLE = r"^@?[A-Za-z0-9_]{1,15}$"
BLUESKY_HANDLE = r"^@?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
HANDLES_OF_ANY = "handles have letters, digits, underscores, dots and hyphens, 129 at most; correct the handle"
HANDLES_OF_X = "handles on X have 1 to 15 letters, digits or underscores; correct the handle, or choose its own source"
HANDLES_OF_BLUESKY = "handles on Bluesky are whole domain names; write alice.bsky.social, not alice"


def normalize_handles(handles: Sequence[Handle]) -> list[str]:
    """Return the handles as huggingtweets keys them: no leading `@`, lower case, each once, in their order."""
    return list(dict.fromkeys(handle.strip().removeprefix("@").lower() for handle in handles))


def find_handle_problem(handle: str, source: Source) -> str | None:
    """Return what is wrong with an account's name, as its source names accounts, with the fix; None if nothing is."""
    if len(handle) > _LONGEST_HANDLE or not re.fullmatch(_HANDLE, handle):
        return HANDLES_OF_ANY
    if source.x and not re.fullmatch(X_HANDLE, handle):
        return HANDLES_OF_X
    if source.bluesky and not re.fullmatch(BLUESKY_HANDLE, handle):
        return HANDLES_OF_BLUESKY
    return None
