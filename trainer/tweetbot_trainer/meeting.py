"""How the processes of a training find each other: patiently, for pods start minutes apart, but not for ever.

The first process keeps the store through which PyTorch's process group is opened; the others reach it by the first
pod's name, which DNS knows only once that pod has an address. All waiting is done in Python, so SIGTERM ends it.
"""

import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from torch.distributed import DistError, Store, TCPStore  # type: ignore[attr-defined]

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError

logger = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 900.0
"""How long a process waits for the others: a node with GPUs may have to be started, and images be pulled."""
_POLL_SECONDS: Final = 0.2
_CONNECT_SECONDS: Final = 2.0
_ARRIVED: Final = "arrived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which of how many processes this one is, and where they meet."""

    rank: int
    world_size: int
    address: str
    """Host name of the first process."""
    port: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Return the place that a launcher's variables name, None without a launcher."""
        if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
            return None
        return cls(
            rank=int(environment["RANK"]),
            world_size=int(environment["WORLD_SIZE"]),
            address=environment["MASTER_ADDR"],
            port=int(environment["MASTER_PORT"]),
        )


def meet(place: Place, patience_seconds: float = PATIENCE_SECONDS) -> Store:
    """Return the store of a training once all its processes are there.

    Raises PeersMissing if they are not in time, PeerLost if the first one went away again.
    """
    deadline = time.monotonic() + patience_seconds
    try:
        store = _open_store(place, deadline)
        arrived = store.add(_ARRIVED, 1)
        while arrived < place.world_size:
            if time.monotonic() > deadline:
                text = (
                    f"only {arrived} of {place.world_size} processes of the training came in {patience_seconds:.0f} s"
                )
                raise TrainerError(Reason.PEERS_MISSING, text)
            time.sleep(_POLL_SECONDS)
            arrived = store.add(_ARRIVED, 0)
    except DistError as error:
        raise TrainerError(Reason.PEER_LOST, f"the first process of the training went away: {error}") from error
    logger.info("all processes met rank=%d world_size=%d", place.rank, place.world_size)
    return store


def _open_store(place: Place, deadline: float) -> TCPStore:
    is_first = place.rank == 0
    if not is_first:
        _wait_for_first(place, deadline)
    return TCPStore(
        # Its own name need not be known in DNS yet, when the first process is ready.
        "127.0.0.1" if is_first else place.address,
        place.port,
        is_master=is_first,
        wait_for_workers=False,
        timeout=timedelta(seconds=max(_CONNECT_SECONDS, deadline - time.monotonic())),
    )


def _wait_for_first(place: Place, deadline: float) -> None:
    """Return once the first process can be reached; raise PeersMissing if it cannot in time."""
    while True:
        try:
            socket.create_connection((place.address, place.port), _CONNECT_SECONDS).close()
        except OSError as error:
            if time.monotonic() > deadline:
                text = f"the first process of the training could not be reached in time: {error}"
                raise TrainerError(Reason.PEERS_MISSING, text) from error
            time.sleep(_POLL_SECONDS)
        else:
            return
