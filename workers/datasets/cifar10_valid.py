"""Half of CIFAR-10's training images to train on, the other half to test: the `cifar10-valid` of NAS-Bench-201.

departs: the benchmark's own halves are a list of 50,000 positions in its repository, which is not part of this package.
Here the halves follow from the pixels: of every class the images in the order of their SHA-256, the first half to
train on. So each half holds 2,500 images a class, whatever order the files have, and no random stream is involved.
The official test images are not touched.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.data.dataset import Dataset
from workers.data.image_types import Images, Labels, SplitName
from workers.datasets.cifar10 import Cifar10


@dataclass(frozen=True)
class Cifar10Valid(Cifar10):
    """Read from CIFAR-10's files, wherever `cifar10` would find them."""

    name: str = "cifar10_valid"
    published_id: str | None = "cifar10_valid-faeaa536c63a9332"
    train_images: int = 25_000
    test_images: int = 25_000

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """One half of the training images, in the original order."""
        images, labels = super().read("train", root)
        half = training_half(images, labels)
        kept = half if split == "train" else ~half
        return images[kept], labels[kept]


def training_half(images: Images, labels: Labels) -> np.ndarray:
    """Which images (N, ...) are to train on: bool (N,). Of an odd class one more of them than of the others."""
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    half = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label).tolist(), key=digests.__getitem__)
        half[members[: (len(members) + 1) // 2]] = True
    return half


DATASET: Dataset = Cifar10Valid()
