"""Pauses that a server asks for, kept by everybody who uses the same credentials."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Final

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS: Final = 20 * 60.0
"""A little over X's window of 15 minutes; a server that wants more is left to a later attempt."""
MAX_REFUSALS: Final = 5
"""In a row, each after the pause that the one before asked for."""
_PAUSE_SECONDS: Final = 60.0
_MARGIN_SECONDS: Final = 1.0
_RESET_HEADERS: Final = ("x-rate-limit-reset", "ratelimit-reset", "x-ratelimit-reset")
_REMAINING_HEADERS: Final = ("x-rate-limit-remaining", "ratelimit-remaining", "x-ratelimit-remaining")
_EPOCH_FROM: Final = 3e8
"""Ten years: smaller numbers are seconds from now, larger ones seconds since 1970."""


class RateLimit:
    """The rate limit of one server for one credential, as the server's own headers tell it.

    X writes `x-rate-limit-reset` (seconds since 1970) and never Retry-After, Bluesky `ratelimit-reset` (the same),
    Mastodon `X-RateLimit-Reset` (ISO 8601).
    """

    def __init__(
        self, name: str, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._name = name
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0
        self._num_refusals = 0

    def wait(self) -> None:
        """Wait until another request is allowed; raises SourceRateLimited if that is too far away."""
        pause = self._free_at - self._clock()
        if pause > LONGEST_PAUSE_SECONDS:
            until = datetime.fromtimestamp(self._free_at, UTC).isoformat(timespec="seconds")
            raise TrainerError(Reason.SOURCE_RATE_LIMITED, f"{self._name} lets nothing be asked until {until}")
        if pause > 0:
            logger.info("waiting for the rate limit server=%s seconds=%.0f", self._name, pause)
            self._sleep(pause)

    def answered(self, headers: Mapping[str, str]) -> None:
        """Learn from an answer's headers whether the next request is allowed at once."""
        self._num_refusals = 0
        remaining = next((headers[name] for name in _REMAINING_HEADERS if name in headers), None)
        if remaining == "0":
            self._free_at = self._reset(headers)

    def refused(self, headers: Mapping[str, str]) -> None:
        """Learn from a refusal (429) how long to wait; raises SourceRateLimited after too many in a row."""
        # Bots that are prepared side by side are refused together: that is one refusal.
        self._num_refusals += self._clock() >= self._free_at
        if self._num_refusals == MAX_REFUSALS:
            raise TrainerError(
                Reason.SOURCE_RATE_LIMITED,
                f"{self._name} refused {MAX_REFUSALS} requests in a row for their number, with its pauses kept",
            )
        self._free_at = self._reset(headers)

    def _reset(self, headers: Mapping[str, str]) -> float:
        """Return when another request is allowed, in seconds since 1970."""
        now = self._clock()
        for name in ("retry-after", *_RESET_HEADERS):
            seconds = _seconds(headers.get(name, ""), now)
            if seconds is not None:
                return max(seconds, now) + _MARGIN_SECONDS
        return now + _PAUSE_SECONDS


def _seconds(value: str, now: float) -> float | None:
    """Return the time that a header names: seconds from now, seconds since 1970, or ISO 8601."""
    try:
        if value.isdecimal():
            number = float(value)
            return number if number >= _EPOCH_FROM else now + number
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None


@cache
def limit_of(name: str, credential: str) -> RateLimit:  # noqa: ARG001 - the key under which a limit is shared
    """Return the one limit of a server that all users of a credential in this process share."""
    return RateLimit(name)
