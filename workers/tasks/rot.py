"""Rotation: was the image rotated by 0, 90, 180 or 270 degrees? (Gidaris et al. 2018)"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spaces import Cost
from workers.datasets import Dataset
from workers.tasks._augment_small import check
from workers.tasks._heads import Pooled
from workers.tasks._task import Task
from workers.tasks._whole_image import WholeImageTask

TURNS = 4


@dataclass(frozen=True)
class Rotation(WholeImageTask):
    """Every image is augmented once and used in all four rotations, in training and in tests (UnNAS)."""

    name: str = "rot"
    views: int = TURNS

    def classes(self, dataset: Dataset) -> int:
        """The four rotations."""
        return TURNS

    def batch(
        self, images: Tensor, labels: Tensor, draws: dict[str, Tensor], dataset: Dataset
    ) -> tuple[Tensor, Tensor]:
        """(4B, 3, S, S): the four counter-clockwise rotations of each image in sequence; their classes (4B,)."""
        check(images, self.side(dataset), self.name, dataset)
        upright = self.augment(images, draws, dataset)
        # A single transposing copy: a rotation by 90 degrees is a flipped transpose.
        quarter = upright.transpose(2, 3).contiguous()
        turned = upright.new_empty(len(images), TURNS, *upright.shape[1:])
        turned[:, 0] = upright
        turned[:, 1] = quarter.flip(2)
        turned[:, 2] = upright.flip((2, 3))
        turned[:, 3] = quarter.flip(3)
        turns = torch.arange(TURNS, device=images.device).expand(len(images), TURNS)
        return turned.flatten(0, 1), turns.flatten()

    def network(self, trunk: nn.Module, dataset: Dataset) -> nn.Module:
        """Global average pool and a linear layer."""
        return Pooled(trunk, TURNS)

    def cost(self, trunk: Cost, dataset: Dataset) -> tuple[int, int]:
        """For one rotated image: the linear layer has one weight per channel and class, and one bias per class."""
        return trunk.params + (trunk.channels + 1) * TURNS, trunk.macs + trunk.channels * TURNS


TASK: Task = Rotation()
