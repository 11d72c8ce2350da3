"""Classification: which class does the image belong to?"""

from dataclasses import dataclass, replace
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from spaces import Cost
from workers.datasets import Dataset
from workers.recipes import Base
from workers.tasks._augment_small import check
from workers.tasks._heads import Pooled
from workers.tasks._task import Task
from workers.tasks._whole_image import WholeImageTask


@dataclass(frozen=True)
class Classification(WholeImageTask):
    """The supervised task, with UnNAS's pipelines: on CIFAR-10 flip, pad by 4, crop; no augmentation at test time."""

    name: str = "cls"
    smoothing: float = 0.0  # share of the target that is spread over all classes
    dropout: float = 0.0  # probability of dropping a feature in front of the classifier

    def configured(self, recipe: Base) -> Self:
        """The task with the recipe's cutout, label smoothing and dropout."""
        return replace(
            super().configured(recipe), smoothing=_share(recipe, "smoothing"), dropout=_share(recipe, "dropout")
        )

    def unsupported_reason(self, dataset: Dataset) -> str | None:
        """The images need classes."""
        return None if dataset.classes else f"task cls needs images with classes, and those of {dataset.name} have none"

    def classes(self, dataset: Dataset) -> int:
        """The dataset's classes."""
        return dataset.classes

    def batch(
        self, images: Tensor, labels: Tensor, draws: dict[str, Tensor], dataset: Dataset
    ) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) and their labels (B,)."""
        check(images, self.side(dataset), self.name, dataset)
        return self.augment(images, draws, dataset), labels

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy over all targets, with label smoothing."""
        return F.cross_entropy(out, target, label_smoothing=self.smoothing)

    def network(self, trunk: nn.Module, dataset: Dataset) -> nn.Module:
        """Global average pool, dropout if there is any, and a linear layer."""
        return Pooled(trunk, self.classes(dataset), self.dropout)

    def cost(self, trunk: Cost, dataset: Dataset) -> tuple[int, int]:
        """The linear layer has one weight per channel and class, and one bias per class."""
        weights = trunk.channels * self.classes(dataset)
        return trunk.params + weights + self.classes(dataset), trunk.macs + weights


def _share(recipe: Base, name: str) -> float:
    """A setting of the recipe; 0 if it has none, or one for each stage (p_darts)."""
    value = getattr(recipe, name, None)
    return value if isinstance(value, float) else 0.0


TASK: Task = Classification()
