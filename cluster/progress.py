"""One line for each step, with the time it took."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SILENT_SECONDS = 2.0


def say(text: str) -> None:
    """Print one line of progress. Standard output is kept for what a caller reads."""
    sys.stderr.write(f"[cluster] {text}\n")
    sys.stderr.flush()


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step once it takes more than a moment, and say how long it took when it is done."""
    started = time.monotonic()
    announcement = threading.Timer(SILENT_SECONDS, say, [f"{what} …"])
    announcement.daemon = True
    announcement.start()
    try:
        yield
    finally:
        announcement.cancel()
        elapsed = time.monotonic() - started
        outcome = "failed after " if sys.exc_info()[0] else ""
        say(f"{what} … {outcome}{elapsed:.0f} s" if elapsed >= 1 else f"{what} … {outcome}{elapsed:.1f} s")
