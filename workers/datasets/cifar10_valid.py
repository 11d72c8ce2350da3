"""CIFAR-10's training images, one half for training and the other half for testing: NAS-Bench-201's `cifar10-valid`.

departs: the benchmark's halves are a list of 50,000 indices in its repository, which is not part of this package.  Here
the halves depend on the pixels: the images of each class are sorted by their SHA-256, and the first half is used for
training.  So each half holds 2,500 images per class, independent of the order of the files and of any random stream.
The official test images are not used.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.data.dataset import Dataset
from workers.data.image_types import Images, Labels, SplitName
from workers.datasets.cifar10 import Cifar10


@dataclass(frozen=True, kw_only=True)
class Cifar10Valid(Cifar10):
    """Read from the files of `cifar10`."""

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
    """Which images (N, ...) are for training: bool (N,).  If a class has an odd number, training gets one more."""
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    half = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label).tolist(), key=digests.__getitem__)
        half[members[: (len(members) + 1) // 2]] = True
    return half


DATASET: Dataset = Cifar10Valid()
