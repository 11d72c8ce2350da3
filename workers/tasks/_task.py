"""The protocol of tasks.  The training loop uses tasks only through this protocol.

Shapes: n images of a draw, B images of a batch, H, W pixels, C channels of a trunk's feature map, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # the protocol does not need torch at run time: reading a run's status stays fast
    from torch import Generator, Tensor, nn

    from spaces import Cost
    from workers.datasets import Dataset
    from workers.recipes import Base


class Task(Protocol):
    """A frozen object: everything it does follows from its arguments."""

    @property
    def name(self) -> str:
        """The name of the file that defines it."""

    @property
    def metric(self) -> str:
        """The name of the score in rows: `top1`, `miou`."""

    @property
    def in_channels(self) -> int:
        """Number of input channels of the trunk."""

    @property
    def views(self) -> int:
        """Number of elements of the network's batch per image: 4 rotations for rot, else 1."""

    @property
    def dense(self) -> bool:
        """Whether the task predicts label maps: `batch` gets them as labels, and the trunk has a finer feature map."""

    @property
    def scored_on(self) -> Literal["test", "train"]:
        """The split that the score of a training is computed on: `test`; or `train`, not augmented, for targets that
        only training images have."""

    def unsupported_reason(self, dataset: Dataset) -> str | None:
        """Why the task is not possible on a dataset; None if it is possible."""

    def configured(self, recipe: Base) -> Task:
        """The task with the settings of a recipe; LookupError if the recipe has settings for another task."""

    def classes(self, dataset: Dataset) -> int:
        """K, the number of classes."""

    def labels(self, labels: Tensor, dataset: Dataset, generator: Generator) -> Tensor:
        """The labels of the training images that `batch` gets, int64 (N,), from those of the dataset; on the CPU.

        Called once, before a trial begins, and not for dense tasks.  Equal generators give equal labels.  Tasks that
        use the dataset's labels, or none, return `labels` itself.
        """

    def side(self, dataset: Dataset) -> int:
        """Side of the square images that `batch` gets, in pixels; for dense tasks, in training only."""

    def frame(self, sizes: Tensor, dataset: Dataset) -> tuple[int, int]:
        """Rows and columns of the test images that `batch` gets, for a large dataset whose test images have these sizes
        (N, 2)."""

    def test_work(self, dataset: Dataset) -> float:
        """Work of a test image, relative to a training image's forward pass."""

    def element(self, dataset: Dataset) -> tuple[int, ...]:
        """Shape of one element of the network's batch, without the batch dimension."""

    def draw(self, n: int, dataset: Dataset, generator: Generator, train: bool) -> dict[str, Tensor]:
        """All random draws for n images, on the CPU; the first dimension of every tensor is n.

        Draws may be sliced along n and moved to a device before `batch` gets them.  Equal generators give equal draws.
        Empty if the task needs no randomness.
        """

    def crops(self, sizes: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
        """The crop box of each image: height and width int64 (B, 2) -> crop boxes int64 (B, 8), on the CPU.

        Only for datasets with images of many sizes; see `workers.data.resize` for the meaning of the numbers.
        """

    def batch(
        self, images: Tensor, labels: Tensor, draws: dict[str, Tensor], dataset: Dataset
    ) -> tuple[Tensor, Tensor]:
        """uint8 (B, H, W, 3) and labels (B,) on any device -> float32 inputs and int64 targets there.

        Images of a large dataset are cropped before, and may be float32 in 0..255; for dense tasks labels are uint8
        (B, H, W).  The result for an image depends only on the image and its draws, not on other images of the batch.
        """

    def network(self, trunk: nn.Module, dataset: Dataset) -> nn.Module:
        """The task's head on the trunk, which maps (B, in_channels, H, W) -> (B, trunk.out_channels, h, w)."""

    def cost(self, trunk: Cost, dataset: Dataset) -> tuple[int, int]:
        """Trainable parameters and multiply-adds of the network, for one element of its batch.

        `trunk` is the cost of the trunk for one of its inputs (for jig: one tile).
        """

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """The training loss: a scalar, the mean over targets."""

    def tally(self, dataset: Dataset) -> tuple[int, ...]:
        """Shape of the counts of `correct`: () for a single number."""

    def correct(self, out: Tensor, target: Tensor) -> Tensor:
        """The counts for the score over a batch: int64 on the device, to be summed over batches.

        If it is a single number: how many of `target.numel()` targets are correct.
        """

    def score(self, counted: Tensor, targets: int) -> float:
        """The score in [0, 1] from the counts over all targets of a split."""

    def chance(self, occurrences: Tensor) -> float | None:
        """The score of guessing, where class k is `occurrences[k]` times the target in the test split, int64 (K,); None
        if it has no meaning for the score, or cannot be computed as no target was counted."""

    def training_loss(self, net: nn.Module, inputs: Tensor, target: Tensor) -> Tensor:
        """`loss(net(inputs), target)` up to rounding, computed efficiently."""

    def judge(self, net: nn.Module, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """`correct(net(inputs), target)`, and the sum of all scores, which is finite if all scores are finite."""
