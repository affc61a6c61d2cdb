"""How fast may the apiserver be asked? A bucket of tokens, and a pause for all when it asks for patience."""

import threading
from collections.abc import Callable

LONGEST_PAUSE_SECONDS = 60.0


class Throttle:
    """Lets `rate` requests a second pass, `burst` of them at once. Safe to use from several threads."""

    def __init__(self, rate: float, burst: int, *, uptime: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._rate = rate
        self._burst = burst
        self._uptime = uptime
        self._sleep = sleep
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._updated = uptime()

    def wait(self) -> float:
        """Return when the next request may be sent, with the seconds that it was held back."""
        with self._lock:
            now = self._uptime()
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._updated) * self._rate)
            self._updated = max(self._updated, now)
            self._tokens -= 1
            # Time that lies ahead is a pause; who comes later waits behind it.
            seconds = max(0.0, -self._tokens / self._rate) + max(0.0, self._updated - now)
        if seconds > 0:
            self._sleep(seconds)
        return seconds

    def pause(self, seconds: float) -> None:
        """Let nobody pass for so long: the apiserver said that it has too much to do."""
        with self._lock:
            self._updated = max(self._updated, self._uptime() + min(seconds, LONGEST_PAUSE_SECONDS))
            self._tokens = min(self._tokens, 0.0)
