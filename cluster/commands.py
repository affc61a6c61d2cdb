"""Run a command to its end: its output goes into a log, a failure shows that log's last lines."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.errors import ClusterError, log_tail

Argument = str | Path


def run_logged(
    argv: Sequence[Argument],
    log: Path,
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a long command whose output only matters when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        result = subprocess.run(
            argv, check=False, cwd=directory, env=environment and {**os.environ, **environment},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    if result.returncode != 0:
        raise ClusterError(f"`{_shown(argv)}` ended with {result.returncode}\n{log_tail(log)}")


def output_of(argv: Sequence[Argument], *, given: str | None = None) -> str:
    """Run a short command and return what it printed."""
    result = subprocess.run(argv, check=False, capture_output=True, text=True, input=given)
    if result.returncode != 0:
        raise ClusterError(f"`{_shown(argv)}` ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def succeeds(argv: Sequence[Argument]) -> bool:
    """Run a short command and tell whether it succeeded."""
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


def _shown(argv: Sequence[Argument]) -> str:
    text = shlex.join(str(argument) for argument in argv)
    return text if len(text) <= 200 else f"{text[:200]}…"
