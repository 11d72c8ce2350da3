"""Jigsaw: in which order were the tiles of the image laid out? (Noroozi and Favaro 2016)"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor, nn

from spaces import Cost
from workers.datasets import Dataset
from workers.tasks._heads import Tiled
from workers.tasks._images import check, constant, draw_flip, mirrored, normalise
from workers.tasks._permutations import orders
from workers.tasks._task import Task
from workers.tasks._top1 import Top1

GREY = 0.3  # part of the training images that loses its colour, so that colour is no clue to neighbourhood
LUMINANCE = (0.2125, 0.7154, 0.0721)
# departs: UnNAS divides by the bare deviation, so a tile of one flat colour could become NaN. No tile with
# a visible grain comes below this floor, hence no other tile changes.
FLAT = 1e-4


@dataclass(frozen=True)
class Jigsaw(Top1):
    """A grid of patches, a tile cut from each at random, laid out in one of the dataset's permutations.

    T slots, t the tile's side.
    """

    name: str = "jig"
    in_channels: int = 3

    def classes(self, dataset: Dataset) -> int:
        """The permutations."""
        return dataset.jigsaw.permutations

    def side(self, dataset: Dataset) -> int:
        """The side of the grid; on ImageNet it is larger than the other tasks' images."""
        return dataset.jigsaw.side

    def element(self, dataset: Dataset) -> tuple[int, ...]:
        """The tiles of one image."""
        return (dataset.jigsaw.slots, 3, dataset.jigsaw.tile, dataset.jigsaw.tile)

    def draw(self, n: int, dataset: Dataset, generator: Generator, train: bool) -> dict[str, Tensor]:
        """`permutation` (n,) and `offset` (n, T, 2) of the tile in each patch of the grid, row-major.

        In training also `flip` (n,) and `grey` (n,).
        """
        cut = dataset.jigsaw
        # departs: permutations and offsets of test images come from the caller's generator; UnNAS draws
        # them anew at every access, so its test score is noisy and no two architectures see the same test.
        draws = {
            "permutation": torch.randint(cut.permutations, (n,), generator=generator, dtype=torch.int16),
            "offset": torch.randint(
                cut.patch - cut.tile + 1, (n, cut.slots, 2), generator=generator, dtype=torch.uint8
            ),
        }
        if train:
            draws["flip"] = draw_flip(n, generator)
            draws["grey"] = torch.rand(n, generator=generator) < GREY
        return draws

    def batch(
        self, images: Tensor, labels: Tensor, draws: dict[str, Tensor], dataset: Dataset
    ) -> tuple[Tensor, Tensor]:
        """Tiles (B, T, 3, t, t), each with mean 0 and deviation 1 over its pixels and channels; permutations.

        Permutations are (B,); the labels of the images are not used.
        """
        check(images, self.side(dataset), self.name, dataset)
        target = draws["permutation"].to(torch.int64)
        tiles = _cut(images, target, draws, dataset).to(torch.float32)
        if "grey" in draws:
            grey = (tiles * constant(LUMINANCE, tiles.device)).sum(dim=-1, keepdim=True)
            tiles = torch.where(draws["grey"][:, None, None, None, None], grey, tiles)
        tiles = normalise(tiles, dataset)
        inner = (2, 3, 4)
        std, mean = torch.std_mean(tiles, dim=inner, correction=0, keepdim=True)
        tiles = tiles.sub_(mean).div_(std.clamp_min(FLAT))
        return tiles.permute(0, 1, 4, 2, 3).contiguous(), target

    def network(self, trunk: nn.Module, dataset: Dataset) -> nn.Module:
        """Tiles through one trunk, their features in slot order into a linear layer."""
        return Tiled(trunk, dataset.jigsaw.slots, self.classes(dataset))

    def cost(self, trunk: Cost, dataset: Dataset) -> tuple[int, int]:
        """Of all tiles of one image; the trunk's weights are there once, its work is done for each tile."""
        tiles, classes = dataset.jigsaw.slots, self.classes(dataset)
        weights = tiles * trunk.channels * classes
        return trunk.params + weights + classes, tiles * trunk.macs + weights


@lru_cache(maxsize=8)
def _sources(slots: int, count: int, device: torch.device) -> Tensor:
    """(count, T): the grid position whose tile lies in each slot; the inverse of each permutation."""
    inverse = np.argsort(orders(slots, count), axis=1)
    with torch.inference_mode(False):
        return torch.from_numpy(inverse).to(device)


def _cut(images: Tensor, target: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
    """Tiles uint8 (B, T, t, t, 3) in slot order."""
    cut, device = dataset.jigsaw, images.device
    source = _sources(cut.slots, cut.permutations, device)[target]  # (B, T) grid positions
    offset = draws["offset"].to(torch.int64).gather(1, source[..., None].expand(-1, -1, 2))
    steps = torch.arange(cut.tile, device=device)
    rows = (source // cut.grid * cut.patch + offset[..., 0])[..., None] + steps  # (B, T, t)
    columns = (source % cut.grid * cut.patch + offset[..., 1])[..., None] + steps
    if "flip" in draws:
        columns = mirrored(columns.flatten(1), draws["flip"], cut.side).view_as(columns)
    which = torch.arange(len(images), device=device)
    return images[which[:, None, None, None], rows[..., None], columns[:, :, None, :]]


TASK: Task = Jigsaw()
