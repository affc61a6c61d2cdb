"""The log of a Job: one line per event on standard output, and a file for each bot while it is worked on."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

_FORMAT = "%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"
_TAIL_LINES = 20
_TAIL_CHARACTERS = 2048
_CHATTY = ("botocore", "boto3", "s3transfer", "urllib3", "httpx", "httpx2", "filelock")

_ONLY: Final[ContextVar[Path | None]] = ContextVar("only", default=None)
"""The file that alone is told of what happens now; None for all that are open."""


def log_to_stdout() -> None:
    """Write every event of level INFO and above to standard output."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format=_FORMAT, force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Write the events of this block to a file as well, unless they are logged to another one only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(lambda _record: _ONLY.get() in (None, path))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Write the events of this block, in this thread, to no other file than this one."""
    token = _ONLY.set(path)
    try:
        yield
    finally:
        _ONLY.reset(token)


def log_tail(path: Path) -> str | None:
    """Return the last lines of the file, at most as many as a status holds; None if nothing was logged."""
    lines = path.read_text(encoding="utf-8").splitlines()[-_TAIL_LINES:] if path.exists() else []
    return "\n".join(lines)[-_TAIL_CHARACTERS:] or None
