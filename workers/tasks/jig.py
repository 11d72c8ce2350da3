"""Jigsaw: by which permutation were the tiles of the image shuffled? (Noroozi and Favaro 2016)"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor, nn

from spaces import Cost
from workers.datasets import Dataset
from workers.tasks._augment_large import draw_light, scales
from workers.tasks._augment_small import check, draw_flip, mirrored, normalise, planes
from workers.tasks._classification import Top1
from workers.tasks._crops import centred, draw_place, draw_zoomed, placed, zoomed
from workers.tasks._heads import Tiled
from workers.tasks._permutations import orders
from workers.tasks._task import Task

GREY = 0.3  # fraction of training images converted to grey, so that colour does not reveal adjacent tiles
LUMINANCE = (0.2125, 0.7154, 0.0721)
# Lower limit of a tile's standard deviation, to avoid division by zero for a flat tile.  It is below the deviation of
# every uint8 tile on CIFAR-10 and ImageNet: even a flat tile has at least 2e-4 there, since channels are normalised
# with different constants.  It only matters if all three have the same constants (Fashion-MNIST, for example).
FLAT = 1e-4


@dataclass(frozen=True)
class Jigsaw(Top1):
    """A grid of patches; one tile is cropped from each at random, and the tiles are shuffled by a permutation.

    Shapes: T slots, t side of a tile.
    """

    name: str = "jig"
    in_channels: int = 3

    def classes(self, dataset: Dataset) -> int:
        """The number of permutations."""
        return dataset.jigsaw.permutations

    def side(self, dataset: Dataset) -> int:
        """The side of the grid; on ImageNet it is larger than the images of other tasks."""
        return dataset.jigsaw.side

    def element(self, dataset: Dataset) -> tuple[int, ...]:
        """The tiles of one image."""
        return (dataset.jigsaw.slots, 3, dataset.jigsaw.tile, dataset.jigsaw.tile)

    def draw(self, n: int, dataset: Dataset, generator: Generator, train: bool) -> dict[str, Tensor]:
        """`permutation` (n,) and `offset` (n, T, 2) of the tile in each patch of the grid, row-major.

        In training also `flip` (n,) and `grey` (n,); for large images also `place` (n, 2) and `light` (n, 3), and
        `zoom` (n,) if the dataset is `zoomed`.
        """
        cut = dataset.jigsaw
        # Permutations and offsets of test images come from the caller's generator: one set for all epochs and
        # architectures.  The runs of the paper had this property, as before PyTorch 1.9 (June 2021) all worker
        # processes of a loader started with the same NumPy state.  Later versions draw again at every access.
        draws = {
            "permutation": torch.randint(cut.permutations, (n,), generator=generator, dtype=torch.int16),
            "offset": torch.randint(
                cut.patch - cut.tile + 1, (n, cut.slots, 2), generator=generator, dtype=torch.uint8
            ),
        }
        if train:
            draws["flip"] = draw_flip(n, generator)
            draws["grey"] = torch.rand(n, generator=generator) < GREY
            if dataset.large is not None:
                where = draw_zoomed if dataset.large.zoomed else draw_place
                draws |= {**where(n, generator), "light": draw_light(n, generator)}
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
            red, green, blue = tiles.unbind(2)
            grey = (red * LUMINANCE[0]).add_(green, alpha=LUMINANCE[1]).add_(blue, alpha=LUMINANCE[2])
            # Selects exactly one of the two: weights of 0 and 1 cause no rounding, and `lerp` is faster than `where`.
            tiles = tiles.lerp(grey[:, :, None], draws["grey"].to(torch.float32)[:, None, None, None])
        if dataset.large is None:
            tiles = normalise(tiles, dataset).flatten(2)
        else:
            scale, start = scales(draws.get("light"), len(images), images.device, dataset)
            tiles = torch.addcmul(start[:, None, :, None], tiles, scale[:, None]).flatten(2)
        tiles -= tiles.mean(dim=2, keepdim=True)
        deviation = tiles.square().mean(dim=2, keepdim=True).sqrt_()
        tiles /= deviation.clamp_min_(FLAT)
        return tiles.view(len(images), -1, 3, dataset.jigsaw.tile, dataset.jigsaw.tile), target

    def crops(self, sizes: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
        """Crop boxes (B, 2) -> (B, 8): a square at a random position in training, the centre at test time (UnNAS).

        In training the scale is random if the dataset is `zoomed`.
        """
        if dataset.large is None:
            raise ValueError(f"{dataset.name} has one image size: crop boxes do not apply")
        if "zoom" in draws:
            return zoomed(sizes, draws, dataset.large.scaled, self.side(dataset))
        if "place" in draws:
            return placed(sizes, draws, dataset.large.scaled, self.side(dataset))
        return centred(sizes, dataset.large.scaled, self.side(dataset))

    def network(self, trunk: nn.Module, dataset: Dataset) -> nn.Module:
        """The trunk on each tile, and a linear layer on the features in slot order."""
        return Tiled(trunk, dataset.jigsaw.slots, self.classes(dataset))

    def cost(self, trunk: Cost, dataset: Dataset) -> tuple[int, int]:
        """For all tiles of one image: the trunk's parameters count once, its multiply-adds count for each tile."""
        tiles, classes = dataset.jigsaw.slots, self.classes(dataset)
        weights = tiles * trunk.channels * classes
        return trunk.params + weights + classes, tiles * trunk.macs + weights


@lru_cache(maxsize=8)
def _sources(slots: int, count: int, device: torch.device) -> Tensor:
    """(count, T): the grid position of the tile in each slot, the inverse of each permutation."""
    inverse = np.argsort(orders(slots, count), axis=1)
    with torch.inference_mode(False):
        return torch.from_numpy(inverse).to(device)


def _cut(images: Tensor, target: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
    """Tiles uint8 (B, T, 3, t * t) in slot order."""
    cut, device = dataset.jigsaw, images.device
    source = _sources(cut.slots, cut.permutations, device)[target]  # (B, T) grid positions
    offset = draws["offset"].to(torch.int64).gather(1, source[..., None].expand(-1, -1, 2))
    steps = torch.arange(cut.tile, device=device)
    rows = (source // cut.grid * cut.patch + offset[..., 0])[..., None] + steps  # (B, T, t)
    columns = (source % cut.grid * cut.patch + offset[..., 1])[..., None] + steps
    if "flip" in draws:
        columns = mirrored(columns.flatten(1), draws["flip"], cut.side).view_as(columns)
    return planes(images, rows, columns)


TASK: Task = Jigsaw()
