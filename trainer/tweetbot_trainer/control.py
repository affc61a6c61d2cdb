"""What the processes of one training agree upon between steps: to stop, to save, which checkpoint to take.

Over a group of its own on the CPU, so that asking never waits for the GPU. A process that trains alone asks nobody.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import cast

import torch
import torch.distributed

from tweetbot_trainer.distributed import rank, world_size


class Control:
    """The agreement of all processes. Every method must be called by all of them, in the same order."""

    @cached_property
    def _group(self) -> torch.distributed.ProcessGroup | None:
        if world_size() == 1:
            return None
        return cast("torch.distributed.ProcessGroup", torch.distributed.new_group(backend="gloo"))

    def any(self, *flags: bool) -> list[bool]:
        """Tell for each flag whether it is set in any process."""
        if self._group is None:
            return list(flags)
        votes = torch.tensor(flags, dtype=torch.int32)
        torch.distributed.all_reduce(votes, torch.distributed.ReduceOp.MAX, group=self._group)
        return [bool(vote) for vote in votes.tolist()]

    def everywhere(self, *, flag: bool) -> bool:
        """Tell whether the flag is set in every process."""
        return not self.any(not flag)[0]

    def of_first(self, numbers: Sequence[float]) -> list[float]:
        """Return the first process's numbers, whatever the others have."""
        if self._group is None:
            return list(numbers)
        count = torch.tensor([len(numbers)])
        torch.distributed.broadcast(count, 0, group=self._group)
        values = torch.zeros(int(count), dtype=torch.float64)
        if rank() == 0:
            values.copy_(torch.tensor(list(numbers), dtype=torch.float64))
        torch.distributed.broadcast(values, 0, group=self._group)
        return list(values.tolist())

    def all_hashes(self, sha256: bytes) -> list[bytes]:
        """Return every process's hash, by rank."""
        if self._group is None:
            return [sha256]
        mine = torch.tensor(list(sha256), dtype=torch.uint8)
        gathered = [torch.empty_like(mine) for _ in range(world_size())]
        torch.distributed.all_gather(gathered, mine, group=self._group)
        return [bytes(item.tolist()) for item in gathered]
