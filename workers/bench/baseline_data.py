"""The baseline data path: each image separately through NumPy, scikit-image and scikit-learn, then a DataLoader.

Steps and their order are those of the public release of Liu et al. 2020 for CIFAR-10: images are stored as float32
(3, 32, 32) in 0..255, and a training image is copied, scaled, normalised channel by channel, flipped, padded and
cropped; its colours are converted to CIELAB and the nearest of 313 classes; its tiles are cropped one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skimage.color import rgb2gray, rgb2lab
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

Floats = npt.NDArray[Any]  # float32; float64 for a grey image
Draws = Mapping[str, Any]  # of one image: flip, grey: bool; crop: (2,); permutation: int; offset: (4, 2)
Item = tuple[Floats, Any]

SIDE, PAD, OFFSETS = 32, 4, 8
GRID, PATCH, TILE = 2, 16, 12
ORDERS = list(permutations(range(GRID**2)))
GREY = 0.3


@dataclass(frozen=True)
class Transforms:
    """The transform of each task, for one image (3, 32, 32) in 0..255, its label and its random draws."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    colours: NearestNeighbors  # fitted on the 313 centres in the ab plane

    def cls(self, image: Floats, label: int, draws: Draws) -> Item:
        """Normalised, flipped, padded with zeros and cropped: (3, 32, 32)."""
        image = self._normalised(image / 255.0)
        if draws["flip"]:
            image = image[:, :, ::-1]
        image = np.pad(image, ((0, 0), (PAD, PAD), (PAD, PAD)), mode="constant")
        top, left = draws["crop"]
        return image[:, top : top + SIDE, left : left + SIDE], label

    def rot(self, image: Floats, label: int, draws: Draws) -> Item:
        """The four rotations of that image: (4, 3, 32, 32) and (4,)."""
        upright, _ = self.cls(image, label, draws)
        return np.stack([np.rot90(upright, turn, (1, 2)) for turn in range(4)]), np.arange(4)

    def col(self, image: Floats, label: int, draws: Draws) -> Item:
        """Standardised lightness (1, 32, 32) and the class of every pixel (32, 32)."""
        if draws["flip"]:
            image = image[:, :, ::-1]
        lab = rgb2lab(image.transpose(1, 2, 0).astype(np.uint8))
        nearest = self.colours.kneighbors(lab[:, :, 1:].reshape(-1, 2), return_distance=False)
        lightness = lab[:, :, :1].transpose(2, 0, 1).astype(np.float32) / 100.0
        lightness = (lightness - np.mean(self.mean)) / np.mean(self.std)
        return lightness, nearest.reshape(SIDE, SIDE)

    def jig(self, image: Floats, label: int, draws: Draws) -> Item:
        """Tiles in the drawn permutation, each normalised separately, (4, 3, 12, 12), and the permutation's index."""
        if draws["flip"]:
            image = image[:, :, ::-1]
        if draws["grey"]:
            grey = rgb2gray(image.transpose(1, 2, 0).astype(np.uint8)) * 255.0
            image = np.tile(grey, (3, 1, 1))
        image = self._normalised(image / 255.0)
        tiles = np.empty((GRID**2, 3, TILE, TILE), dtype=np.float32)
        order = ORDERS[draws["permutation"]]
        for position, (down, right) in enumerate(draws["offset"]):
            top, left = PATCH * (position // GRID) + down, PATCH * (position % GRID) + right
            tile = image[:, top : top + TILE, left : left + TILE]
            mean, deviation = np.mean(tile), np.std(tile)
            tiles[order[position]] = (tile - mean) / deviation
        return tiles, draws["permutation"]

    def _normalised(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Normalises channel by channel, in place; the caller passes a copy."""
        for channel in range(3):
            image[channel] = image[channel] - self.mean[channel]
            image[channel] = image[channel] / self.std[channel]
        return image


def transforms(mean: tuple[float, float, float], std: tuple[float, float, float], centres: npt.ArrayLike) -> Transforms:
    """The transforms, with scikit-learn's fastest nearest-neighbour search over the colour classes (313, 2)."""
    return Transforms(mean, std, NearestNeighbors(n_neighbors=1).fit(np.asarray(centres, dtype=np.float64)))


class Images(Dataset[Item]):
    """Images uint8 (N, 32, 32, 3) and labels (N,) with one task's transform; random draws by NumPy."""

    def __init__(
        self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], task: str, how: Transforms
    ) -> None:
        self.images = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        self.labels, self.transform, self.task = labels, getattr(how, task), task
        self.rng = np.random.RandomState(0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Item:
        return self.item(index, self.draw())

    def item(self, index: int, draws: Draws) -> Item:
        """One transformed image."""
        item: Item = self.transform(self.images[index].copy(), self.labels[index], draws)
        return item

    def draw(self) -> Draws:
        """The random draws for a training image of this task, only those that the task needs."""
        draws: dict[str, Any] = {"flip": self.rng.uniform() < 0.5}
        if self.task in ("cls", "rot"):
            draws["crop"] = self.rng.randint(0, OFFSETS), self.rng.randint(0, OFFSETS)
        if self.task == "jig":
            draws["grey"] = self.rng.uniform() < GREY
            draws["permutation"] = self.rng.randint(0, len(ORDERS))
            draws["offset"] = self.rng.randint(0, PATCH - TILE + 1, (GRID**2, 2))
        return draws


def loader(images: Images, batch: int, steps: int, workers: int = 0) -> "DataLoader[Item]":
    """A loader of `steps` shuffled batches; without workers, batches are made in this process.

    Worker processes live as long as the loader, and each prefetches up to two batches.
    """
    sampler = RandomSampler(images, num_samples=steps * batch)
    return DataLoader(images, batch, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)


def flattened(task: str, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """A collated batch in the network's shape: the rotations of rot (B, 4, 3, 32, 32) -> (4B, 3, 32, 32)."""
    if task == "rot":
        return inputs.flatten(0, 1), targets.flatten()
    return inputs, torch.as_tensor(targets)
