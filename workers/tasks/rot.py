"""Rotation: by 0, 90, 180 or 270 degrees, how far was the image turned? (Gidaris et al. 2018)"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from spaces import Cost
from workers.datasets import Dataset
from workers.tasks._heads import Pooled
from workers.tasks._images import augmented, check, draw_crop, draw_flip
from workers.tasks._task import Task
from workers.tasks._top1 import Top1

TURNS = 4


@dataclass(frozen=True)
class Rotation(Top1):
    """Every image is augmented once and seen in all four turns, in training and at test time (UnNAS)."""

    name: str = "rot"
    in_channels: int = 3
    views: int = TURNS

    def classes(self, dataset: Dataset) -> int:
        """The four turns."""
        return TURNS

    def side(self, dataset: Dataset) -> int:
        """The native side."""
        return dataset.size

    def element(self, dataset: Dataset) -> tuple[int, ...]:
        """One turned image."""
        return (3, dataset.size, dataset.size)

    def draw(self, n: int, dataset: Dataset, generator: Generator, train: bool) -> dict[str, Tensor]:
        """`flip` (n,) and `crop` (n, 2); nothing at test time."""
        if not train:
            return {}
        return {"flip": draw_flip(n, generator), "crop": draw_crop(n, generator)}

    def batch(
        self, images: Tensor, labels: Tensor, draws: dict[str, Tensor], dataset: Dataset
    ) -> tuple[Tensor, Tensor]:
        """(4B, 3, S, S): each image's four turns counter-clockwise, one after the other; turns (4B,)."""
        check(images, self.side(dataset), self.name, dataset)
        upright = augmented(images, draws, dataset)
        # One copy against the order of memory: a quarter turn is a mirrored transpose, the others are mirrored twice.
        quarter = upright.transpose(2, 3).contiguous().flip(2)
        turned = torch.stack([upright, quarter, upright.flip((2, 3)), quarter.flip((2, 3))], dim=1)
        return turned.flatten(0, 1), torch.arange(TURNS, device=images.device).repeat(len(images))

    def network(self, trunk: nn.Module, dataset: Dataset) -> nn.Module:
        """Global average pool and a linear layer."""
        return Pooled(trunk, TURNS)

    def cost(self, trunk: Cost, dataset: Dataset) -> tuple[int, int]:
        """Of one turned image: the linear layer has a weight a channel and turn, and a bias a turn."""
        return trunk.params + (trunk.channels + 1) * TURNS, trunk.macs + trunk.channels * TURNS


TASK: Task = Rotation()
