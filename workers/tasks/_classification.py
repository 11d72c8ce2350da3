"""Base class of tasks with one correct class per target: cross-entropy and top-1 accuracy."""

from typing import Literal, Self

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from workers.datasets import Dataset
from workers.recipes import Base


class Top1:
    """Cross-entropy without label smoothing, and top-1 accuracy; out (B, K, ...), target (B, ...)."""

    name: str
    metric: str = "top1"
    views: int = 1
    dense: bool = False
    scored_on: Literal["test", "train"] = "test"

    def unsupported_reason(self, dataset: Dataset) -> str | None:
        """None: the task is possible on any images."""
        return None

    def configured(self, recipe: Base) -> Self:
        """The task itself; LookupError if the recipe has settings of another task."""
        recipe.check_task(self.name)
        return self

    def labels(self, labels: Tensor, dataset: Dataset, generator: Generator) -> Tensor:
        """Those of the dataset."""
        return labels

    def frame(self, sizes: Tensor, dataset: Dataset) -> tuple[int, int]:
        """A square, as in training."""
        side = self.side(dataset)
        return side, side

    def side(self, dataset: Dataset) -> int:
        """The side of the dataset's images."""
        return dataset.size

    def test_work(self, dataset: Dataset) -> float:
        """The same as for a training image."""
        return 1.0

    def tally(self, dataset: Dataset) -> tuple[int, ...]:
        """A scalar."""
        return ()

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy over all targets."""
        return F.cross_entropy(out, target)

    def correct(self, out: Tensor, target: Tensor) -> Tensor:
        """Number of targets whose class has the highest score."""
        return (out.argmax(dim=1) == target).sum()

    def score(self, counted: Tensor, targets: int) -> float:
        """Top-1 accuracy."""
        return float(counted.item() / targets)

    def chance(self, occurrences: Tensor) -> float | None:
        """1 / K: every class is guessed equally often."""
        return 1 / len(occurrences)

    def training_loss(self, net: nn.Module, inputs: Tensor, target: Tensor) -> Tensor:
        """The loss of the network's outputs."""
        return self.loss(net(inputs), target)

    def judge(self, net: nn.Module, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The number of correct targets, and the sum of all outputs."""
        out = net(inputs)
        return self.correct(out, target), out.sum()
