"""SIGTERM as an exception, so that a Job that is drained or preempted can still say so before it ends."""

import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGTERM_EXIT_CODE: Final = 128 + signal.SIGTERM
"""What a shell says of a process that SIGTERM ended."""


class Interrupted(BaseException):
    """The pod is being stopped. Not an Exception, so that no stage takes it for a failure of its own."""

    def __init__(self, *, has_checkpoint: bool = False, saved: Collection[str] = ()) -> None:
        super().__init__()
        self.has_checkpoint = has_checkpoint or bool(saved)
        """A checkpoint of what was done is stored."""
        self.saved = frozenset(saved)
        """The uids of the bots that have one, where several are worked on at once."""


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


@contextmanager
def sigterm_asks() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether SIGTERM has asked to stop; one that was not heeded interrupts at the end.

    For work that must not be broken off anywhere. Outside the main thread, which alone hears signals, nobody asks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    is_asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda _signum, _frame: is_asked.set())
    try:
        yield is_asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
    if is_asked.is_set():
        raise Interrupted


def hold_sigterm() -> None:
    """Keep SIGTERM waiting until it is released."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def release_sigterm() -> None:
    """Let a waiting SIGTERM arrive."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
