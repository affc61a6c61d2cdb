"""Debian's packages, one installation at a time: apt gives up at once while another process reads its lists."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.commands import run_logged
from cluster.errors import ClusterError
from cluster.locking import exclusive
from cluster.paths import Paths
from cluster.progress import step

_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}
_LISTS_ARE_LOCKED = "Unable to lock directory"
_PATIENCE_SECONDS = 300
_PAUSE_SECONDS = 3


def install(find_missing: Callable[[], Sequence[str]], paths: Paths) -> list[str]:
    """Install the packages that are missing and return their names; nothing is asked of apt if there are none."""
    if not find_missing():
        return []
    with exclusive(paths.cache / "packages.lock"):
        # Whoever held the lock may have installed them.
        missing = list(find_missing())
        if missing:
            with step(f"installing {', '.join(missing)}"):
                _install(missing, paths.logs / "apt.log")
        return missing


def _install(packages: Sequence[str], log: Path) -> None:
    _update(log, time.monotonic() + _PATIENCE_SECONDS)
    waiting = ["-o", f"DPkg::Lock::Timeout={_PATIENCE_SECONDS}"]
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *waiting, *packages]
    run_logged(install, log, environment=_QUIET)


def _update(log: Path, deadline: float) -> None:
    """Read the lists; the machine's own timers do so, too, and apt has no option to wait for them."""
    while True:
        try:
            return run_logged(["apt-get", "update"], log, environment=_QUIET)
        except ClusterError as error:
            if _LISTS_ARE_LOCKED not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)
