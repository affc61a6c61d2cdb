"""The processes and the machine that a training runs on: device, threads, process group, and DeepSpeed set up for them.

Without a launcher the process group is a group of one that opens no port. The environment that DeepSpeed insists on is
written here and nowhere else.
"""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final, cast

import torch
import torch.distributed

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.meeting import Place, meet

_CGROUP_V2: Final = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1: Final = Path("/sys/fs/cgroup/cpu")
_GLOO: Final = "/gloo/transport/"
"""In the message of every error of gloo: where in its source code it was found."""


def local_device() -> torch.device:
    """Return this process's GPU, or the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def rank() -> int:
    """Return this process's place in the group, 0 if there is no group."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def world_size() -> int:
    """Return how many processes train together."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def mean_of_processes(value: torch.Tensor) -> torch.Tensor:
    """Return the mean of all processes' values; all of them must ask together."""
    if world_size() == 1:
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / world_size()


def open_process_group(device: torch.device) -> None:
    """Wait for the other processes of the training and open their group, unless it is open.

    Raises PeersMissing if they do not come in time.
    """
    if torch.distributed.is_initialized():
        return
    place = Place.from_environment(os.environ)
    if place is None:
        alone = torch.distributed.HashStore()  # type: ignore[attr-defined]
        torch.distributed.init_process_group(_backend(device), store=alone, rank=0, world_size=1)
    elif os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        # torchrun's own process listens at the address, and has let all of them meet.
        torch.distributed.init_process_group(_backend(device))
    else:
        store = meet(place)
        torch.distributed.init_process_group(
            _backend(device), store=store, rank=place.rank, world_size=place.world_size
        )


@contextmanager
def lost_peers_named() -> Iterator[None]:
    """Raise PeerLost where PyTorch says that another process of the training cannot be reached any more."""
    try:
        yield
    except RuntimeError as error:
        if not is_lost_peer(error):
            raise
        raise TrainerError(Reason.PEER_LOST, f"another process of the training was lost: {error}") from error


def is_lost_peer(error: RuntimeError) -> bool:
    """Tell whether this is one of PyTorch's ways of saying that another process is away."""
    return world_size() > 1 and (isinstance(error, torch.distributed.DistError) or _GLOO in str(error))


def start_deepspeed(device: torch.device) -> ModuleType:
    """Open the process group, unless it is open, and return the `deepspeed` module, told to be quiet."""
    os.environ.setdefault("LOCAL_RANK", "0")
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # Every op that we use is PyTorch's. With an entry here DeepSpeed would compile one for CPUs at its first start.
    deepspeed.ops.__compatible_ops__ = {}
    open_process_group(device)
    deepspeed.init_distributed(dist_backend=_backend(device), auto_mpi_discovery=False, verbose=False)
    return cast("ModuleType", deepspeed)


def use_available_cpus() -> None:
    """Let PyTorch use as many threads as the container may use CPUs, unless OMP_NUM_THREADS says how many.

    PyTorch counts the node's CPUs and knows nothing of a container's limit, which many threads only wear out.
    """
    quota = cpu_quota()
    if quota is not None and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, min(torch.get_num_threads(), math.ceil(quota))))


def cpu_quota(v2: Path = _CGROUP_V2, v1: Path = _CGROUP_V1) -> float | None:
    """Return how many CPUs the control group allows, None without a limit."""
    try:
        if v2.exists():
            quota, period = v2.read_text().split()
        else:
            quota, period = ((v1 / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):
        return None


def _backend(device: torch.device) -> str:
    return "nccl" if device.type == "cuda" else "gloo"
