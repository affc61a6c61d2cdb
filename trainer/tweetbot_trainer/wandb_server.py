"""Processes for W&B's client, forked from one that has imported it: the import costs more than all that a bot logs.

`Fork` is one of them, as the trainer sees it. `python -m tweetbot_trainer.wandb_server` is the one that they are forked
from; there is one in each Job, it never opens a run itself, and it ends with the trainer. Both talk over a socket, in
lines: `fork NUMBER`, with the new process's input and output, and `end NUMBER`.
"""

import atexit
import contextlib
import gc
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NoReturn

_LONGEST_REQUEST = 1024


class Fork:
    """A process with a folder and an environment of its own; `stdin` takes messages, `stdout` gives events."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._start = {"folder": str(folder.resolve()), "environment": dict(environment)}
        its_input, our_output = os.pipe()
        our_input, its_output = os.pipe()
        self.stdin: IO[str] = os.fdopen(our_output, "w")
        self.stdout: IO[str] = os.fdopen(our_input)
        try:
            self._number = _SERVER.fork(environment, its_input, its_output)
        except OSError:
            self.stdin.close()
            self.stdout.close()
            raise
        finally:
            os.close(its_input)
            os.close(its_output)

    def begin(self) -> None:
        """Tell it where it is; this may wait until it is there."""
        self.stdin.write(json.dumps(self._start) + "\n")
        self.stdin.flush()

    def end(self) -> None:
        """End it with all that it has started, if it has not ended."""
        _SERVER.end(self._number)


class _Server:
    """The process that others are forked from, started when the first is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def fork(self, environment: Mapping[str, str], its_input: int, its_output: int) -> int:
        """Have a process forked; return its number. It may begin seconds later, when the first import is done."""
        with self._lock:
            if self._socket is None or self._process is None or self._process.poll() is not None:
                self._start(environment)
            number = next(self._numbers)
            assert self._socket  # noqa: S101 - it was just started
            socket.send_fds(self._socket, [f"fork {number}\n".encode()], [its_input, its_output])
            return number

    def end(self, number: int) -> None:
        """Have a process ended."""
        with self._lock, contextlib.suppress(OSError):
            if self._socket:
                self._socket.sendall(f"end {number}\n".encode())

    def stop(self) -> None:
        """End the process; what was forked goes on to its end."""
        if self._socket:
            self._socket.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._socket = self._process = None

    def _start(self, environment: Mapping[str, str]) -> None:
        self.stop()
        ours, its = socket.socketpair()
        with its, contextlib.ExitStack() as undone:
            undone.callback(ours.close)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tweetbot_trainer.wandb_server"],
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
            undone.pop_all()
        self._socket = ours


_SERVER = _Server()
atexit.register(_SERVER.stop)


def main() -> None:
    """Fork as asked until the trainer is gone; what was forked sees that by itself."""
    from tweetbot_trainer import wandb_process

    wandb_process.preload()
    # Pages that nobody's garbage collection touches stay shared.
    gc.freeze()
    requests = socket.socket(fileno=sys.stdin.fileno())
    children: dict[str, int] = {}
    while True:
        # At most one `fork` is in an answer: the kernel keeps what comes with different files apart.
        text, files, _, _ = socket.recv_fds(requests, _LONGEST_REQUEST, 2)
        if not text:
            os._exit(0)
        for request in text.decode().splitlines():
            verb, number = request.split()
            if verb == "fork":
                children[number] = os.fork() or _be_client(requests, *files)
            else:
                _end(children.pop(number))
        for file in files:
            os.close(file)


def _be_client(requests: socket.socket, its_input: int, its_output: int) -> NoReturn:
    from tweetbot_trainer import wandb_process

    try:
        # A group of its own, which can be ended with all that W&B starts.
        os.setsid()
        requests.close()
        os.set_inheritable(its_output, False)
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
        with os.fdopen(its_input) as messages, os.fdopen(its_output, "w") as events:
            start = json.loads(messages.readline())
            os.environ.clear()
            os.environ.update(start["environment"])
            os.chdir(start["folder"])
            wandb_process.serve(messages, events)
    finally:
        # Never wait for what W&B wants to do at the very end.
        os._exit(0)


def _end(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        # One that was just forked has no group yet.
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
