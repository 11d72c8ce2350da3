"""What a task is. The training loop knows tasks through this protocol alone.

Shapes: n images drawn for, B images of a batch, H, W pixels, C channels of a trunk's last map, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the protocol alone needs no torch: reading a run's status stays quick
    from torch import Generator, Tensor, nn

    from spaces import Cost
    from workers.datasets import Dataset
    from workers.recipes import Recipe


class Task(Protocol):
    """A frozen object: everything it does follows from its arguments."""

    @property
    def name(self) -> str:
        """Name of the file it is defined in."""

    @property
    def metric(self) -> str:
        """What the score is, as rows spell it: `top1`, `miou`."""

    @property
    def in_channels(self) -> int:
        """Channels of the images that the trunk sees."""

    @property
    def views(self) -> int:
        """Elements of the network's batch that one image becomes: 4 turns for rot, else 1."""

    @property
    def dense(self) -> bool:
        """Whether the task is about label maps: `batch` gets those as labels, and the trunk keeps a finer map."""

    def unsupported_reason(self, dataset: Dataset) -> str | None:
        """Why the task cannot be asked of a dataset; None where it can."""

    def configured(self, recipe: Recipe) -> Task:
        """The task as a recipe wants it; LookupError where the recipe has settings that are not for this task."""

    def classes(self, dataset: Dataset) -> int:
        """K, the number of classes to tell apart."""

    def side(self, dataset: Dataset) -> int:
        """Side of the square images that `batch` takes, in pixels; of label maps, in training."""

    def frame(self, sizes: Tensor, dataset: Dataset) -> tuple[int, int]:
        """Rows and columns of the images that `batch` takes of a large test split, whose images have these sizes
        (N, 2)."""

    def test_work(self, dataset: Dataset) -> float:
        """Work of a test image, in units of a training image's (without its backward pass)."""

    def element(self, dataset: Dataset) -> tuple[int, ...]:
        """Shape of one element of the network's batch, without the batch dimension."""

    def draw(self, n: int, dataset: Dataset, generator: Generator, train: bool) -> dict[str, Tensor]:
        """All that chance decides about n images, on the CPU; the first dimension of every tensor is n.

        Draws may be sliced along n and moved to a device before `batch` gets them. Equal generators give
        equal draws. Empty where nothing is left to chance.
        """

    def crops(self, sizes: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
        """Which square of each image `batch` takes: height and width int64 (B, 2) -> cuts int64 (B, 8), on the CPU.

        Only of a dataset whose images vary in size; see `workers.data.resize` for what the numbers mean.
        """

    def batch(
        self, images: Tensor, labels: Tensor, draws: dict[str, Tensor], dataset: Dataset
    ) -> tuple[Tensor, Tensor]:
        """uint8 (B, H, W, 3) and labels (B,) on any device -> float32 inputs and int64 targets there.

        Images of a large dataset come as cut, also as float32 in 0..255; of a dense task labels are uint8 (B, H, W).
        What an image becomes depends on it and its draws alone, never on its neighbours in the batch.
        """

    def network(self, trunk: nn.Module, dataset: Dataset) -> nn.Module:
        """The trunk, (B, in_channels, H, W) -> (B, trunk.out_channels, h, w), under the task's head."""

    def cost(self, trunk: Cost, dataset: Dataset) -> tuple[int, int]:
        """Trainable parameters and multiply-adds of the network, for one element of its batch.

        `trunk` counts one image as the trunk sees it (jig: one tile).
        """

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """What training minimises: a scalar, the mean over targets."""

    def tally(self, dataset: Dataset) -> tuple[int, ...]:
        """Shape of what `correct` counts: () where that is one number."""

    def correct(self, out: Tensor, target: Tensor) -> Tensor:
        """What the score is made of, counted over a batch: int64 on the device, to be added up.

        One number: how many of `target.numel()` targets are met.
        """

    def score(self, counted: Tensor, targets: int) -> float:
        """The score in [0, 1] of what was counted over so many targets of a whole split."""

    def training_loss(self, net: nn.Module, inputs: Tensor, target: Tensor) -> Tensor:
        """`loss(net(inputs), target)`, to rounding, in the way that takes least time and memory."""

    def judge(self, net: nn.Module, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """`correct(net(inputs), target)`, and the sum of all scores, which is finite where every score is."""
