"""Daemons: started in the background, found again by pidfile, stopped only if they are ours.

A pidfile outlives its process, and a process id is used again: a daemon is ours only if the
process of that id still has the command line that we gave it.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cluster.errors import ClusterError, log_tail

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Daemon:
    """One program that runs in the background."""

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
        record = self._record()
        return record["pid"] if record else None

    def start(self) -> bool:
        """Start it unless it runs already as it should; tell whether a new process was started."""
        record = self._record()
        if record and record["argv"] == list(self.argv) and record["digest"] == self._digest():
            return False
        if record:
            self.stop()
        self.run.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        pid = self._spawn()
        self.pidfile.write_text(json.dumps({"pid": pid, "argv": self.argv, "digest": self._digest()}))
        return True

    def stop(self, grace_seconds: float = 20) -> None:
        """Ask it to end, wait, and kill it if it does not."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if not _ended(pid, grace_seconds):
                os.kill(pid, signal.SIGKILL)
                _ended(pid, grace_seconds)
        self.pidfile.unlink(missing_ok=True)

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
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [*prefix, *self.argv], env=environment, cwd=self.run, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        deadline = time.monotonic() + 5
        while process.poll() is None and command_line(process.pid) != list(self.argv):
            if time.monotonic() > deadline:
                break
            time.sleep(0.005)
        return process.pid

    def _digest(self) -> str:
        return sha256(b"\0".join(file.read_bytes() for file in self.configuration)).hexdigest()

    def _record(self) -> dict[str, object] | None:
        ...


def command_line(pid: int) -> list[str]:
    """Return the command line of a process; nothing if it has ended."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(part) for part in text.split(b"\0")[:-1]]


def _ended(pid: int, timeout_seconds: float) -> bool:
    ...
