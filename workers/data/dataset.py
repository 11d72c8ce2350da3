"""The protocol of datasets: facts that plans and networks need, and a reader of the images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from workers.data.image_types import OUTSIDE, Images, Labels, SplitName

if TYPE_CHECKING:
    from workers.data.image_files import Listing


@dataclass(frozen=True)
class Jigsaw:
    """How the jigsaw task divides an image of this dataset: `grid` x `grid` patches of an image of `side` px."""

    side: int
    grid: int

    @property
    def patch(self) -> int:
        """Side of one patch of the grid, in pixels."""
        return self.side // self.grid

    @property
    def tile(self) -> int:
        """Side of the tile that is cropped from a patch: 76 % of it, so that tiles never share an edge."""
        return self.patch * 76 // 100

    @property
    def slots(self) -> int:
        """Number of tiles per image."""
        return self.grid**2

    @property
    def permutations(self) -> int:
        """Number of classes of the task: all 24 orders of a 2x2 grid, 1,000 well separated orders of a 3x3 grid."""
        return {2: 24, 3: 1000}[self.grid]


@dataclass(frozen=True)
class Maps:
    """Label maps: the class of each pixel of an image, stored as a second image file with one 8-bit channel."""

    class_names: tuple[str, ...]
    size: tuple[int, int]  # rows and columns of the published images
    # For each kind of file, by the end of its name (the first match is used): pairs of stored value and class.
    values: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]

    def __post_init__(self) -> None:
        if len(self.class_names) > OUTSIDE:
            raise ValueError(f"label maps of {len(self.class_names)} classes; expected at most {OUTSIDE}")

    @property
    def classes(self) -> int:
        """Number of classes; pixels have the classes 0 .. classes - 1."""
        return len(self.class_names)


@dataclass(frozen=True)
class LargeImages:
    """How images of many sizes are cropped and augmented: the constants of UnNAS's pipelines for ImageNet."""

    scaled: int  # px, the shorter side after resizing, before an image is cropped for tests and for the jigsaw task
    # PCA lighting: standard deviations and principal axes (R, G, B) of the training pixels on the 0..1 scale.  The
    # defaults are those of ImageNet, which UnNAS uses for all photographs.
    light: tuple[float, float, float] = (0.2175, 0.0188, 0.0045)
    axes: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]] = (
        (-0.5675, -0.5808, -0.5836),
        (0.7192, -0.0045, -0.6948),
        (0.4009, -0.8140, 0.4203),
    )
    zoomed: bool = False  # train on squares of images at random scales, not on crops of random area and aspect ratio
    maps: Maps | None = None  # of a dataset with label maps
    findings: tuple[str, ...] = ()  # names of the labels of an image, if it has several (`workers.data.findings`)
    # A glob pattern that matches only inside a folder of this dataset; None: `data_root` is always that folder.
    mark: str | None = "train"
    # Lists the images of such a folder; None: ImageNet's layout.
    listing: Callable[..., Listing] | None = None


class Dataset(Protocol):
    """A frozen object: the facts of the complete published set, known without opening any data, and a reader."""

    @property
    def name(self) -> str:
        """Name of the file it is defined in, and of its folder below `data_root`."""

    @property
    def classes(self) -> int:
        """Number of classes; labels are 0 .. classes - 1.  0 where images have none (their pixels may)."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class; empty where they are not known."""

    @property
    def size(self) -> int:
        """Side of the square images that networks get, in pixels."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean of R, G, B on the 0..1 scale."""

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of R, G, B on the 0..1 scale."""

    @property
    def grey(self) -> bool:
        """Whether all images are grey, even if stored as RGB."""

    @property
    def stem(self) -> Literal["cifar", "imagenet"]:
        """The stem of networks for images of this size."""

    @property
    def jigsaw(self) -> Jigsaw:
        """How images are divided for the jigsaw task."""

    @property
    def large(self) -> LargeImages | None:
        """How images of many sizes become batches; None if all images are `size` x `size` and fit into memory.

        The files of a large dataset are not read by `read` but listed; see `workers.data.image_files`.
        """

    @property
    def prefix(self) -> str:
        """The beginning of the id of decoded images: the name, and facts besides the pixels that change results."""

    @property
    def published_id(self) -> str | None:
        """`dataset_id` of the complete published set; None if there is no published set."""

    @property
    def train_images(self) -> int:
        """Number of training images of the published set."""

    @property
    def test_images(self) -> int:
        """Number of test images of the published set."""

    def files(self, root: Path | None) -> Sequence[Path]:
        """The files that hold the images; FileNotFoundError if they are not below `root`."""

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """All images (N, H, W, 3) and labels (N,) of a split, decoded, in the order of the dataset.

        FileNotFoundError if there is no data; ValueError naming file and row if an image is broken.
        """


class IncompleteError(FileNotFoundError):
    """Only some files of a dataset exist: an error, unlike a dataset of which there are no files."""


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset before it is prepared: its id, and the numbers of images of its splits."""

    dataset_id: str
    train_images: int
    test_images: int
    unused: str = ""  # one line for display: files in the folder that are not used


def content_id(name: str, splits: Sequence[tuple[SplitName, Images, Labels]]) -> str:
    """`<name>-<16 hex>`: the identity of decoded pixels and labels, in order, independent of their file format.

    The digest is sha256 over, for each split in the order train, test: a line of ASCII text
    `<split> images N H W 3 uint8`, the pixels in C order, a line `<split> labels N int64`, and the labels
    as little-endian 64-bit integers; each line ends with a newline.
    """
    digest = hashlib.sha256()
    for split, images, labels in splits:
        if images.dtype != np.uint8 or images.ndim != 4 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{name} {split}: images {images.shape} {images.dtype} with labels {labels.shape}; "
                "expected uint8 images (N, H, W, 3) and one label per image"
            )
        digest.update(f"{split} images {' '.join(map(str, images.shape))} uint8\n".encode())
        digest.update(np.ascontiguousarray(images).data.cast("B"))
        digest.update(f"{split} labels {len(labels)} int64\n".encode())
        digest.update(np.ascontiguousarray(labels, dtype="<i8").data.cast("B"))
    return f"{name}-{digest.hexdigest()[:16]}"
