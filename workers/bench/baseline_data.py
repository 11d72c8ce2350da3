"""The plain data path: every image by itself through NumPy, scikit-image and scikit-learn, then a DataLoader.

Steps and their order are those of the public release of Liu et al. 2020 for CIFAR-10: images are held as float32
(3, 32, 32) of 0..255, and a training image is copied, scaled, normalised a channel at a time, mirrored, padded and
cropped; its colours become CIELAB and the nearest of 313 classes; its tiles are cut one by one.
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

Floats = npt.NDArray[Any]  # float32; of a grey image float64
Draws = Mapping[str, Any]  # of one image: flip, grey: bool; crop: (2,); permutation: int; offset: (4, 2)
Item = tuple[Floats, Any]

SIDE, PAD, OFFSETS = 32, 4, 8
GRID, PATCH, TILE = 2, 16, 12
ORDERS = list(permutations(range(GRID**2)))
GREY = 0.3


@dataclass(frozen=True)
class Transforms:
    """What becomes of one image (3, 32, 32) of 0..255, its label and what chance decided about it."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    colours: NearestNeighbors  # fitted on the 313 centres in the ab plane

    def cls(self, image: Floats, label: int, draws: Draws) -> Item:
        """Normalised, mirrored, padded with zeros and cropped: (3, 32, 32)."""
        image = self._normalised(image / 255.0)
        if draws["flip"]:
            image = image[:, :, ::-1]
        image = np.pad(image, ((0, 0), (PAD, PAD), (PAD, PAD)), mode="constant")
        top, left = draws["crop"]
        return image[:, top : top + SIDE, left : left + SIDE], label

    def rot(self, image: Floats, label: int, draws: Draws) -> Item:
        """The four turns of that image: (4, 3, 32, 32) and (4,)."""
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
        """Tiles in the drawn order, each normalised by itself, (4, 3, 12, 12), and which order it is."""
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
        """A channel at a time; the image is a copy of the caller's."""
        for channel in range(3):
            image[channel] = image[channel] - self.mean[channel]
            image[channel] = image[channel] / self.std[channel]
        return image


def transforms(mean: tuple[float, float, float], std: tuple[float, float, float], centres: npt.ArrayLike) -> Transforms:
    """With a nearest-neighbour search over the colour classes (313, 2), the fastest kind scikit-learn offers."""
    return Transforms(mean, std, NearestNeighbors(n_neighbors=1).fit(np.asarray(centres, dtype=np.float64)))


class Images(Dataset[Item]):
    """Images uint8 (N, 32, 32, 3) and labels (N,) through one task's transform; chance is NumPy's."""

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
        """One image after its transform."""
        item: Item = self.transform(self.images[index].copy(), self.labels[index], draws)
        return item

    def draw(self) -> Draws:
        """What chance decides about a training image of this task, and nothing that the task does not need."""
        draws: dict[str, Any] = {"flip": self.rng.uniform() < 0.5}
        if self.task in ("cls", "rot"):
            draws["crop"] = self.rng.randint(0, OFFSETS), self.rng.randint(0, OFFSETS)
        if self.task == "jig":
            draws["grey"] = self.rng.uniform() < GREY
            draws["permutation"] = self.rng.randint(0, len(ORDERS))
            draws["offset"] = self.rng.randint(0, PATCH - TILE + 1, (GRID**2, 2))
        return draws


def loader(images: Images, batch: int, steps: int, workers: int = 0) -> "DataLoader[Item]":
    """`steps` shuffled batches; without workers everything happens in this process, on this core.

    Workers are processes that live until the loader is gone, and make up to two batches each beforehand.
    """
    sampler = RandomSampler(images, num_samples=steps * batch)
    return DataLoader(images, batch, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)


def flattened(task: str, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """A collated batch as the network takes it: the turns of rot (B, 4, 3, 32, 32) -> (4B, 3, 32, 32)."""
    if task == "rot":
        return inputs.flatten(0, 1), targets.flatten()
    return inputs, torch.as_tensor(targets)
