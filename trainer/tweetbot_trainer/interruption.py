"""SIGTERM as an exception, so that a Job that is drained or preempted can still say so before it ends."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """The pod is being stopped. Not an Exception, so that no stage takes it for a failure of its own."""


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Raise Interrupted in the main thread at the first SIGTERM; later ones are ignored."""

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Interrupted

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def hold_sigterm() -> None:
    """Keep SIGTERM waiting until it is released."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def release_sigterm() -> None:
    """Let a waiting SIGTERM arrive."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
