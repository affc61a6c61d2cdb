"""One process for each GPU of the pod, as torchrun starts them, but with the exit codes of the contract.

The environment is torchrun's: `PET_NPROC_PER_NODE` and, for several pods, `PET_NNODES`, `PET_NODE_RANK` (or the index
of an Indexed Job), `PET_MASTER_ADDR` and `PET_MASTER_PORT` come in; `RANK`, `LOCAL_RANK`, `WORLD_SIZE`, `MASTER_ADDR`
and `MASTER_PORT` go to each process. Under torchrun itself those are there already, and nothing is started here.
"""

import logging
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final, Self

from tweetbot_api.conditions import Reason
from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.names import (
    ENV_MASTER_ADDRESS,
    ENV_MASTER_PORT,
    ENV_NODE_RANK,
    ENV_NODES,
    ENV_PROCESSES,
    MASTER_PORT,
)
from tweetbot_trainer.errors import TrainerError

logger = logging.getLogger(__name__)

_JOB_INDEX: Final = "JOB_COMPLETION_INDEX"
_POLL_SECONDS: Final = 0.05
_SECONDS_TO_END_ALONE: Final = 30.0
"""When one process has failed, the others may find the same failure, and say so."""
_SECONDS_TO_END_AFTER_SIGTERM: Final = 5.0
_TELLS_NOTHING: Final = (None, 0, ExitCode.PEER_LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendezvous:
    """Which processes train together, and where they meet."""

    processes: int
    """Processes in this pod."""
    nodes: int = 1
    """Pods."""
    node_rank: int = 0
    """This pod's place, from 0."""
    master_address: str = "127.0.0.1"
    """Host name of the first pod."""
    master_port: int
    """Port there."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Return the rendezvous that the environment asks for, None for one process or under another launcher.

        Raises InvalidSpec if a number is none, or the first pod's address is missing.
        """
        if "RANK" in environment and "WORLD_SIZE" in environment:
            return None
        processes, nodes = _number(environment, ENV_PROCESSES, 1), _number(environment, ENV_NODES, 1)
        if processes * nodes == 1:
            return None
        if nodes == 1:
            return cls(processes=processes, master_port=_free_port())
        if ENV_MASTER_ADDRESS not in environment:
            raise TrainerError(Reason.INVALID_SPEC, f"{ENV_MASTER_ADDRESS} is not set, though {ENV_NODES} is {nodes}")
        return cls(
            processes=processes,
            nodes=nodes,
            node_rank=_number(environment, ENV_NODE_RANK, _number(environment, _JOB_INDEX, 0)),
            master_address=environment[ENV_MASTER_ADDRESS],
            master_port=_number(environment, ENV_MASTER_PORT, MASTER_PORT),
        )

    def environment_of(self, local_rank: int) -> dict[str, str]:
        """Return what one of this pod's processes is told."""
        return {
            "RANK": str(self.node_rank * self.processes + local_rank),
            "LOCAL_RANK": str(local_rank),
            "WORLD_SIZE": str(self.nodes * self.processes),
            "LOCAL_WORLD_SIZE": str(self.processes),
            "MASTER_ADDR": self.master_address,
            "MASTER_PORT": str(self.master_port),
        }


def launch(command: Sequence[str], rendezvous: Rendezvous, environment: Mapping[str, str]) -> int:
    """Run the command once for each process, pass SIGTERM on, and return the exit code of the whole.

    When one fails the others are ended too: they would wait for it. The first process's own code counts most, for it
    is the one that reports, unless it only tells that it lost another one; then the code of the process that failed
    first.
    """
    processes = [
        subprocess.Popen(command, env={**environment, **rendezvous.environment_of(local_rank)})
        for local_rank in range(rendezvous.processes)
    ]

    def pass_on(_signum: int, _frame: FrameType | None) -> None:
        for process in processes:
            process.send_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        failed = _wait_for_a_failure(processes)
        if failed is None:
            return 0
        logger.error("a process of the training failed local_rank=%d code=%d", processes.index(failed), _code(failed))
        _wait(processes, _SECONDS_TO_END_ALONE)
        told = (process for process in (processes[0], failed, *processes) if process.poll() not in _TELLS_NOTHING)
        return _code(next(told, failed))
    finally:
        _end(processes)
        signal.signal(signal.SIGTERM, before)


def _wait_for_a_failure(processes: Sequence[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes] | None:
    """Return the first process that ends with another code than 0, None once all have ended well."""
    while True:
        codes = [process.poll() for process in processes]
        for process, code in zip(processes, codes, strict=True):
            if code:
                return process
        if None not in codes:
            return None
        time.sleep(_POLL_SECONDS)


def _wait(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(_POLL_SECONDS)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    _wait(processes, _SECONDS_TO_END_AFTER_SIGTERM)
    for process in processes:
        process.kill()
        process.wait()


def _code(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code as a shell tells it: 128 + n for a process that signal n ended."""
    code = process.returncode
    return 128 - code if code < 0 else code


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, str(default))
    if not value.isascii() or not value.isdigit():
        raise TrainerError(Reason.INVALID_SPEC, f"{name} is {value!r}, not a whole number")
    return int(value)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
