"""Random labels: which label was drawn for the image? (RLNAS, Zhang et al. 2021)"""

from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Generator, Tensor

from workers.datasets import Dataset
from workers.recipes import Base
from workers.tasks._task import Task
from workers.tasks.cls import Classification

CLASSES = 10  # of images without classes: as many as CIFAR-10 has


@dataclass(frozen=True)
class RandomLabels(Classification):
    """Classification of the training images by labels that do not depend on them.

    A label is drawn for every training image, before the training, and stays: it depends on (dataset_id, task, seed),
    not on the epoch, the augmentation or the architecture.  No label of the dataset is used, except by `permuted`.

    Labels of other images cannot be predicted, so the score is the accuracy on training images, without augmentation:
    how well the network has fitted their labels.  It is measured on as many of them as the test split has images
    (`workers.training.images`).
    """

    name: str = "rand"
    scored_on: Literal["test", "train"] = "train"
    permuted: bool = False  # the true labels in random order, which keeps the number of images of each class
    mixed: bool = False  # a part of the images has its true labels
    count: int | None = None  # classes; None: those of the dataset

    def unsupported_reason(self, dataset: Dataset) -> str | None:
        """None, except that true labels are needed if they are permuted, or a part of the images keeps them."""
        if (self.permuted or self.mixed) and not dataset.classes:
            setting = "labels = 'permuted'" if self.permuted else "random_part"
            return f"{setting} needs images with classes, and those of {dataset.name} have none"
        return None

    def configured(self, recipe: Base) -> Self:
        """The task with the recipe's kind of labels and number of classes."""
        settings = recipe.of_rand
        return replace(
            super().configured(recipe),
            permuted="labels" in settings,
            mixed="random_part" in settings,
            count=settings.get("classes"),
        )

    def classes(self, dataset: Dataset) -> int:
        """The recipe's; else those of the dataset, of its images or of their label maps; else 10."""
        if self.count is not None or self.permuted:
            return self.count or dataset.classes
        maps = dataset.large.maps if dataset.large is not None else None
        known = dataset.classes or (maps.classes if maps is not None else 0)
        return known if known > 1 else CLASSES

    def labels(self, labels: Tensor, dataset: Dataset, generator: Generator) -> Tensor:
        """Independent and uniform over the classes; or the given ones in random order."""
        if self.permuted:
            return labels[torch.randperm(len(labels), generator=generator)]
        return torch.randint(self.classes(dataset), labels.shape, generator=generator)

    def chance(self, occurrences: Tensor) -> float | None:
        """The share of the most frequent label: what a network gets that tells no image from another."""
        return float(occurrences.max().item() / occurrences.sum().item()) if occurrences.any() else None


TASK: Task = RandomLabels()
