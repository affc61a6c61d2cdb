"""What can go wrong, said so that a person can act on it."""

from pathlib import Path

TAIL_LINES = 15


class ClusterError(Exception):
    """A failure whose message tells what happened and what to do."""


def log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, indented, under the log's name."""
    text = log.read_text(errors="replace") if log.exists() else ""
    last = text.splitlines()[-lines:] or ["(empty)"]
    return "\n".join([f"  last lines of {log}:", *(f"    {line}" for line in last)])
