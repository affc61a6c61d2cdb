"""Daemons: started in the background, found again by pidfile, stopped only if they are ours.

A pidfile outlives its process, and a process id is used again: a daemon is ours only if the
process of that id still has the command line that we gave it.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cluster.errors import ClusterError, log_tail

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Record:
    """What a pidfile says."""

    pid: int
    argv: list[str]
    digest: str


@dataclass(frozen=True)
class Daemon:
    """One program that runs in the background; it is started anew when what it was given has changed."""

    name: str
    argv: tuple[str, ...]
    run: Path
    logs: Path
    configuration: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    dies_with_parent: bool = False

    @property
    def pidfile(self) -> Path:
        """Tell which process it is, and what it was started with."""
        return self.run / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """Hold what it prints."""
        return self.logs / f"{self.name}.log"

    def pid(self) -> int | None:
        """Return the process id if it runs."""
        record = running(self.pidfile)
        return record.pid if record else None

    def start(self) -> bool:
        """Start it unless it runs already as it should; tell whether a new process was started."""
        record = running(self.pidfile)
        digest = sha256(b"\0".join(file.read_bytes() for file in self.configuration)).hexdigest()
        if record and record.argv == list(self.argv) and record.digest == digest:
            return False
        stop(self.pidfile)
        self.run.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        pid = self._spawn()
        self.pidfile.write_text(json.dumps({"pid": pid, "argv": self.argv, "digest": digest}))
        return True

    def wait_until(self, ready: Callable[[], bool], timeout_seconds: float = 60) -> None:
        """Wait until it answers; say why when it ends or takes too long."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self.pid() is None:
                raise ClusterError(f"{self.name} ended just after its start\n{log_tail(self.log)}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{self.name} is not ready after {timeout_seconds:.0f} s\n{log_tail(self.log)}")
            time.sleep(POLL_SECONDS)

    def _spawn(self) -> int:
        # The environment is made anew, so that no proxy setting of the caller sends the cluster's
        # own connections out of this machine.
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.run), **self.environment}
        prefix = ("setpriv", "--pdeathsig", "KILL", "--") if self.dies_with_parent else ()
        argv = (*prefix, *self.argv)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawnp(
            argv[0],
            argv,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                # A lock that the caller's shell holds would be held for as long as the daemon runs.
                *((os.POSIX_SPAWN_CLOSE, number) for number in _inheritable_files()),
            ],
            setsid=True,
        )
        # The kernel shows the command line a moment after it has started the program.
        _wait_for(lambda: command_line(pid) == list(self.argv) or not _is_alive(pid), timeout_seconds=5)
        return pid


def running(pidfile: Path) -> Record | None:
    """Read a pidfile; nothing if its process has ended or its id is another's by now."""
    try:
        record = Record(**json.loads(pidfile.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if command_line(record.pid) == record.argv else None


def stop(pidfile: Path, grace_seconds: float = 20) -> None:
    """Ask the process of a pidfile to end, wait, and kill it if it does not."""
    record = running(pidfile)
    if record:
        end([record.pid], grace_seconds)
    pidfile.unlink(missing_ok=True)


def end(pids: list[int], grace_seconds: float) -> None:
    """End processes of ours: politely first, after the grace by force."""
    for number, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 10.0)):
        for pid in filter(_is_alive, pids):
            _signal(pid, number)
        _wait_for(lambda: not any(map(_is_alive, pids)), patience)
    for pid in pids:
        _reap(pid)


def command_line(pid: int) -> list[str]:
    """Return the command line of a process; nothing if it has ended."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(part) for part in text.split(b"\0")[:-1]]


def _inheritable_files() -> list[int]:
    """Return the open files that a program which is started now would have, but for the three that all have."""
    found = []
    for number in (int(entry.name) for entry in Path("/proc/self/fd").iterdir()):
        # One of them was open only to list the others.
        with contextlib.suppress(OSError):
            if number > 2 and os.get_inheritable(number):
                found.append(number)
    return found


def _is_alive(pid: int) -> bool:
    # The command line goes first and the sockets later: only a zombie has let go of everything.
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return  # started by an earlier command: its parent by now is init


def _wait_for(condition: Callable[[], bool], timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
