"""Segmentation: which class does each pixel belong to?"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from spaces import Cost
from workers.datasets import IGNORED, OUTSIDE, Dataset, Maps
from workers.recipes import Base
from workers.tasks._aspp import Aspp, cost
from workers.tasks._augment_large import augment_large, draw_light
from workers.tasks._augment_small import draw_flip
from workers.tasks._crops import draw_zoomed, zoomed
from workers.tasks._heads import Dense, channels_of, dense
from workers.tasks._sliced_loss import confusion, cross_entropy
from workers.tasks._task import Task

STRIDE = 16  # of the trunk
EPSILON = 1e-10  # added to the union, for classes that neither occur nor are predicted


@dataclass(frozen=True)
class Segmentation:
    """UnNAS's pipelines: a square of the image at a random scale in training, the whole image in tests.

    Trunks of output stride 16, ASPP, cross-entropy; pixels without a class are ignored in the loss and in the score.
    The score is the mean IoU of the classes over the whole split, as a fraction; a class that neither occurs nor is
    predicted has an IoU of 0, as in the release.
    """

    name: str = "seg"
    metric: str = "miou"
    in_channels: int = 3
    views: int = 1
    dense: bool = True
    scored_on: Literal["test", "train"] = "test"
    aspp: int = 64  # channels; UnNAS: 64 and rate 6 in searches, 256 and rates 6, 12, 18 in evaluations
    rates: tuple[int, ...] = (6,)
    crop: int | None = None  # side of training crops; None: the dataset's size
    scaled: int | None = None  # px; training resizes the shorter side to 0.5 to 2 times this; None: the dataset's

    def unsupported_reason(self, dataset: Dataset) -> str | None:
        """The images need label maps."""
        if dataset.large is not None and dataset.large.maps is not None:
            return None
        return f"task seg needs a label map for every image, and {dataset.name} has none"

    def configured(self, recipe: Base) -> "Segmentation":
        """The task with the recipe's settings of ASPP and crops; LookupError if it has settings of another task."""
        recipe.check_task(self.name)
        return replace(self, **recipe.of_seg)

    def labels(self, labels: Tensor, dataset: Dataset, generator: Generator) -> Tensor:
        """Those of the dataset: the labels of this task are maps."""
        return labels

    def classes(self, dataset: Dataset) -> int:
        """The number of classes of the label maps."""
        return _maps(dataset).classes

    def side(self, dataset: Dataset) -> int:
        """The side of a training crop."""
        return self.crop or dataset.size

    def frame(self, sizes: Tensor, dataset: Dataset) -> tuple[int, int]:
        """The largest image size, each side rounded up to a multiple of the stride plus one (UnNAS: 1025x2049).

        The corners of the feature map are then aligned with those of the image; all test batches have one shape.
        """
        rows, columns = (_framed(side) for side in sizes.amax(0).tolist())
        return rows, columns

    def test_work(self, dataset: Dataset) -> float:
        """The ratio of pixels, for the size of the published images."""
        rows, columns = (_framed(side) for side in _maps(dataset).size)
        return rows * columns / self.side(dataset) ** 2

    def element(self, dataset: Dataset) -> tuple[int, ...]:
        """A training crop."""
        return (3, self.side(dataset), self.side(dataset))

    def draw(self, n: int, dataset: Dataset, generator: Generator, train: bool) -> dict[str, Tensor]:
        """`flip` and `zoom` (n,), `place` (n, 2), `light` (n, 3); empty at test time."""
        if not train:
            return {}
        flip = {"flip": draw_flip(n, generator)}
        return {**flip, **draw_zoomed(n, generator), "light": draw_light(n, generator)}

    def crops(self, sizes: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> Tensor:
        """Crop boxes for images of these sizes, (B, 2) -> (B, 8); at test time whole images."""
        if dataset.large is None:
            raise ValueError(f"{dataset.name} has one image size: crop boxes do not apply")
        if "zoom" in draws:
            return zoomed(sizes, draws, self.scaled or dataset.large.scaled, self.side(dataset))
        corner = torch.zeros_like(sizes)
        return torch.cat([corner, sizes, sizes, corner], dim=1)

    def batch(
        self, images: Tensor, labels: Tensor, draws: dict[str, Tensor], dataset: Dataset
    ) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) and the classes of their pixels (B, H, W), IGNORED for pixels without a class.

        Images smaller than the frame are padded with zeros after normalisation, that is with the mean colour.
        """
        self._check(images, labels, draws, dataset)
        inputs, target = augment_large(images, draws, dataset), labels.to(torch.int64)
        if "flip" in draws:
            return inputs, torch.where(draws["flip"][:, None, None], target.flip(2), target)
        outside = target == OUTSIDE
        return inputs.masked_fill_(outside[:, None], 0), target.masked_fill_(outside, IGNORED)

    def _check(self, images: Tensor, labels: Tensor, draws: dict[str, Tensor], dataset: Dataset) -> None:
        side = self.side(dataset)
        shapes = images.shape[1:], labels.shape[1:]
        fits = shapes[0] == (*shapes[1], 3) and (not draws or shapes[1] == (side, side))
        if images.dtype not in (torch.uint8, torch.float32) or labels.dtype != torch.uint8 or not fits:
            raise ValueError(
                f"seg on {dataset.name}: images are {tuple(images.shape)} {images.dtype} with label maps "
                f"{tuple(labels.shape)} {labels.dtype}; expected (B, {side}, {side}, 3) uint8 or float32, in tests "
                "any height and width, with label maps uint8 of the same size"
            )

    def network(self, trunk: nn.Module, dataset: Dataset) -> nn.Module:
        """ASPP on the trunk's feature map, upsampled to the input."""
        return Dense(trunk, Aspp(channels_of(trunk), self.aspp, self.rates, self.classes(dataset)))

    def cost(self, trunk: Cost, dataset: Dataset) -> tuple[int, int]:
        """For one training crop."""
        params, macs = cost(trunk, self.aspp, self.rates, self.classes(dataset))
        return trunk.params + params, trunk.macs + macs

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy over all pixels that have a class; 0 if there are none."""
        total = F.cross_entropy(out, target, ignore_index=IGNORED, reduction="sum")
        return total / (target != IGNORED).sum().clamp_min(1)

    def tally(self, dataset: Dataset) -> tuple[int, ...]:
        """A confusion matrix."""
        return self.classes(dataset), self.classes(dataset)

    def correct(self, out: Tensor, target: Tensor) -> Tensor:
        """Confusion matrix: pixels by their class (row) and the predicted class (column), (K, K)."""
        return confusion(out, target, IGNORED)

    def score(self, counted: Tensor, targets: int) -> float:
        """Mean IoU of a confusion matrix, in float64."""
        counts = counted.cpu().double()
        both = counts.diagonal()
        return float((both / (counts.sum(0) + counts.sum(1) - both + EPSILON)).mean())

    def chance(self, occurrences: Tensor) -> float | None:
        """None: the mean IoU of guesses depends on how they are spread over the image."""
        return None

    def training_loss(self, net: nn.Module, inputs: Tensor, target: Tensor) -> Tensor:
        """The loss of the upsampled scores, computed for a few images at a time to save memory."""
        return cross_entropy(dense(net).scores(inputs), target, IGNORED)

    def judge(self, net: nn.Module, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The confusion matrix, and the sum of the scores before upsampling, which is finite if all scores are."""
        scores = dense(net).scores(inputs)
        return confusion(scores, target, IGNORED), scores.sum()


def _maps(dataset: Dataset) -> Maps:
    if dataset.large is None or dataset.large.maps is None:
        raise ValueError(f"{dataset.name} has no label maps")
    return dataset.large.maps


def _framed(side: int) -> int:
    return -(-(side - 1) // STRIDE) * STRIDE + 1


TASK: Task = Segmentation()
