"""The processes of one machine that train one network together, each with a device and an equal part of every batch.

All of them hold the same weights, optimiser and sums at every step, so the state of one is the state of all.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

# Longest wait for another process.  The first ones wait for the slowest to open the images.
PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True)
class Group:
    """The place of this process among those of a training."""

    rank: int
    world: int

    @classmethod
    def join(cls, rank: int, world: int, device: torch.device, meeting: Path) -> "Group":
        """Wait for the other processes; `meeting` is a file that does not exist yet, the same one for all.

        Sums are computed by NCCL on GPUs and by Gloo on CPUs.
        """
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            init_method=meeting.absolute().as_uri(),
            rank=rank,
            world_size=world,
            timeout=PATIENCE,
        )
        return cls(rank, world)

    @staticmethod
    def leave() -> None:
        """End the group; called when the processes are at the same place."""
        dist.destroy_process_group()

    @staticmethod
    def sum(values: Tensor) -> Tensor:
        """The values summed over all processes, in place."""
        dist.all_reduce(values)
        return values

    def rows(self, order: Tensor, size: int) -> Tensor:
        """This process's part of batches of `size` rows: of every batch a part of `size / world` rows, in order.

        order: (n, ...), whole batches, of which only the last one may be shorter; its rows are spread as evenly.
        """
        found = []
        for batch in order.split(size):
            least, more = divmod(len(batch), self.world)
            first = self.rank * least + min(self.rank, more)
            found.append(batch[first : first + least + (self.rank < more)])
        return torch.cat(found) if found else order

    def agree(self, values: Tensor) -> bool:
        """Whether all processes have the same values, float64."""
        most, least = values.clone(), values.clone()
        dist.all_reduce(most, dist.ReduceOp.MAX)
        dist.all_reduce(least, dist.ReduceOp.MIN)
        return torch.equal(most, least)
