"""What a dataset is: facts that plans and networks need, and a reader of its pixels."""

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
    """How the jigsaw task cuts an image of this dataset: `grid` x `grid` patches of a `side` px image."""

    side: int
    grid: int

    @property
    def patch(self) -> int:
        """Side of one patch of the grid, in pixels."""
        return self.side // self.grid

    @property
    def tile(self) -> int:
        """Side of the tile cut out of a patch: 76 % of it, so that tiles never share an edge."""
        return self.patch * 76 // 100

    @property
    def slots(self) -> int:
        """Tiles of one image."""
        return self.grid**2

    @property
    def permutations(self) -> int:
        """Classes of the task: all 24 orders of a 2x2 grid, 1,000 well separated ones of a 3x3 grid."""
        return {2: 24, 3: 1000}[self.grid]


@dataclass(frozen=True)
class Maps:
    """A class for every pixel of an image, in an image file of its own with one channel of 8 bits."""

    class_names: tuple[str, ...]
    size: tuple[int, int]  # rows and columns of the published images
    # The class of each value that may occur, or IGNORED; where there are several kinds of files, by the ends of their
    # names, of which the first that fits counts.
    values: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]

    def __post_init__(self) -> None:
        if len(self.class_names) > OUTSIDE:
            raise ValueError(f"label maps of {len(self.class_names)} classes; right are at most {OUTSIDE}")

    @property
    def classes(self) -> int:
        """Number of classes; those of pixels are 0 .. classes - 1."""
        return len(self.class_names)


@dataclass(frozen=True)
class LargeImages:
    """Images of many sizes, of which networks see cuts: the constants of UnNAS's pipelines for them."""

    scaled: int  # what the shorter side becomes before tests and the jigsaw cut the image
    # Principal axes of the training pixels on the 0..1 scale, for the jitter of their colours: the deviation along
    # each axis, and its part in R, G, B.  Those of ImageNet, which UnNAS takes for all photographs.
    light: tuple[float, float, float] = (0.2175, 0.0188, 0.0045)
    axes: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]] = (
        (-0.5675, -0.5808, -0.5836),
        (0.7192, -0.0045, -0.6948),
        (0.4009, -0.8140, 0.4203),
    )
    zoomed: bool = False  # training takes squares of images at random scales, not boxes of random area and shape
    maps: Maps | None = None  # of a dataset whose pixels have classes
    mark: str = "train"  # a pattern: what a folder of the dataset holds and no other folder does
    listing: Callable[[Path], Listing] | None = None  # what lies in such a folder; None: laid out as ImageNet


class Dataset(Protocol):
    """A frozen object with the facts of the complete published set, known without opening any data."""

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
        """Native side of the square images a network sees, in pixels."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean of R, G, B on the 0..1 scale."""

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of R, G, B on the 0..1 scale."""

    @property
    def stem(self) -> Literal["cifar", "imagenet"]:
        """Which stem networks need for images of this size."""

    @property
    def jigsaw(self) -> Jigsaw:
        """How images are cut for the jigsaw task."""

    @property
    def large(self) -> LargeImages | None:
        """How images of many sizes become batches; None where all are `size` square and fit into memory.

        The files of a large dataset are not read by `read` but listed, see `workers.data.image_files`.
        """

    @property
    def published_id(self) -> str | None:
        """`dataset_id` of the complete published set, None where there is no such set."""

    @property
    def train_images(self) -> int:
        """Training images of the published set."""

    @property
    def test_images(self) -> int:
        """Test images of the published set."""

    def files(self, root: Path | None) -> Sequence[Path]:
        """The files the pixels would be read from; FileNotFoundError where they are not below `root`."""

    def read(self, split: SplitName, root: Path | None) -> tuple[Images, Labels]:
        """All images (N, H, W, 3) and labels (N,) of a split, decoded, in the set's own order.

        FileNotFoundError where there is no data; ValueError naming file and row where it is broken.
        """


class IncompleteError(FileNotFoundError):
    """Some files of a dataset are there and others are not: more than no data, and no dataset."""


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset before anything is prepared: its id, and how many images its splits have."""

    dataset_id: str
    train_images: int
    test_images: int
    unused: str = ""  # what lies there and is not used, in a line for people


def content_id(name: str, splits: Sequence[tuple[SplitName, Images, Labels]]) -> str:
    """`<name>-<16 hex>`: the identity of decoded pixels and labels, in order, whatever file they came from.

    The digest is sha256 over, for each split in the order train, test: a line of ASCII text
    `<split> images N H W 3 uint8`, the pixels in C order, a line `<split> labels N int64`, and the labels
    as little-endian 64-bit integers; each line ends with a newline.
    """
    digest = hashlib.sha256()
    for split, images, labels in splits:
        if images.dtype != np.uint8 or images.ndim != 4 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{name} {split}: images {images.shape} {images.dtype} with labels {labels.shape}; "
                "right are uint8 images (N, H, W, 3) and one label each"
            )
        digest.update(f"{split} images {' '.join(map(str, images.shape))} uint8\n".encode())
        digest.update(np.ascontiguousarray(images).data.cast("B"))
        digest.update(f"{split} labels {len(labels)} int64\n".encode())
        digest.update(np.ascontiguousarray(labels, dtype="<i8").data.cast("B"))
    return f"{name}-{digest.hexdigest()[:16]}"
