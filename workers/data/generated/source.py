"""The base class of generated datasets: images that code draws from a few numbers, so that there are no files."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from workers.data.generated.integers import Words, keys
from workers.data.image_files import Listing
from workers.data.image_types import Images, Labels, SplitName
from workers.data.registry import registry
from workers.data.small import LARGEST_CIFAR

SMALLEST = 16  # px; four tiles of a smaller image would be too small for the poolings of a network
MOST = 1_000_000  # images of a split
_STREAMS: dict[SplitName, int] = {"train": 0, "test": 1}
_AT_ONCE = 250  # images drawn together; their arrays fit the caches of a processor

Count = Annotated[int, Field(ge=2, le=MOST)]


def taken(name: str) -> Any:
    """The dataset that generated images are like; LookupError and ValueError as by `Generated.like`."""
    dataset = registry().get(name)
    if dataset.large is not None or not SMALLEST <= dataset.size <= LARGEST_CIFAR or not dataset.classes:
        raise ValueError(
            f"like = {name!r}: expected a dataset with classes whose images have {SMALLEST} to {LARGEST_CIFAR} px, as "
            "cifar10; generated images have no other sizes"
        )
    return dataset


class Generated(BaseModel):
    """The numbers that a generated dataset is drawn from; the dataset is the same on every machine.

    A subclass adds `kind` as a literal and implements `names` and `paint`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    # Part of the ids of datasets.  Increase it when the same numbers give other images than before.
    VERSION: ClassVar[int]
    NO_ANSWER: ClassVar[Mapping[str, str]] = {}
    """Tasks that have no answer in such images, and why."""
    CLASSES: ClassVar[int] = 2
    """The stream of classes, beside those of the splits."""

    size: int = Field(32, ge=SMALLEST, le=LARGEST_CIFAR, description="side of the images in px")
    classes: int = Field(10, ge=2, description="number of classes")
    images: tuple[Count, Count] = Field((750, 600), strict=False, description="numbers of training and of test images")
    seed: int = Field(0, ge=0, lt=2**63, description="of the images; another seed gives other images")

    @model_validator(mode="after")
    def _every_class_occurs(self) -> Self:
        if min(self.images) < self.classes:
            raise ValueError(
                f"images = {list(self.images)}: expected at least as many images in each split as classes "
                f"({self.classes})"
            )
        return self

    @classmethod
    def like(cls, name: str, **given: Any) -> Self:
        """Images of the size and number of a dataset's, with as many classes; `given` values win.

        LookupError for an unknown dataset, ValueError for one whose images are too large.
        """
        return cls.model_validate(cls.taken_from(taken(name)) | given)

    @classmethod
    def taken_from(cls, dataset: Any) -> dict[str, object]:
        """The fields that a kind takes from a dataset."""
        images = (dataset.train_images, dataset.test_images)
        return {"size": dataset.size, "images": images, "classes": dataset.classes}

    @property
    def facts(self) -> dict[str, object]:
        """Facts besides the pixels that change results; empty for most kinds."""
        return {}

    def class_keys(self, labels: Labels) -> Words:
        """A key for the class of each image, the same in both splits."""
        return keys(self.seed, self.CLASSES, labels.astype(np.int64))

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each class."""
        raise NotImplementedError

    def paint(self, items: Words, labels: Labels) -> Images:
        """One image for each key and label, (N, S, S, 3)."""
        raise NotImplementedError

    def draw(self, split: SplitName) -> tuple[Images, Labels]:
        """All images and labels of a split: image i has class i % classes.

        An image depends on its split and number alone: a smaller dataset is the beginning of a larger one.
        """
        n = self.images[_STREAMS[split]]
        numbers = np.arange(n, dtype=np.int64)
        labels = numbers % self.classes
        items = keys(self.seed, _STREAMS[split], numbers)
        images = np.empty((n, self.size, self.size, 3), np.uint8)

        def paint(first: int) -> None:
            part = slice(first, first + _AT_ONCE)
            images[part] = self.paint(items[part], labels[part])

        with ThreadPoolExecutor() as pool:  # NumPy releases the interpreter lock in most of its work
            list(pool.map(paint, range(0, n, _AT_ONCE)))
        return images, labels

    def listing(self, name: str, root: Path | None) -> tuple[Listing, tuple[str, ...]]:
        """No files, and the names of the classes."""
        return Listing(Path(), {}, [], [], ""), self.names
