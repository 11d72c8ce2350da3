"""Colorization: which of 313 colour classes does each pixel of a grey image have? (Zhang et al. 2016)"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from spaces import Cost
from workers.datasets import Dataset
from workers.tasks._augment_small import check, draw_flip, mirrored
from workers.tasks._cielab import CLASSES, of_colours, packed
from workers.tasks._classification_sizes import CroppedTask
from workers.tasks._heads import Dense, channels_of, dense
from workers.tasks._sliced_loss import correct, cross_entropy
from workers.tasks._task import Task


@dataclass(frozen=True)
class Colorization(CroppedTask):
    """Predicts the nearest colour class in the ab plane from lightness: hard labels, no class re-balancing (UnNAS).

    Accuracy is over all pixels at full resolution.  Scores come from a coarser map, so accuracies of networks differ
    only by tenths of a percent: all digits matter.
    """

    name: str = "col"
    in_channels: int = 1

    def classes(self, dataset: Dataset) -> int:
        """The colour classes."""
        return CLASSES

    def element(self, dataset: Dataset) -> tuple[int, ...]:
        """One lightness map."""
        return (1, dataset.size, dataset.size)

    def unsupported_reason(self, dataset: Dataset) -> str | None:
        """The images need colours."""
        return f"task col needs images with colours, and those of {dataset.name} are grey" if dataset.grey else None

    def draw(self, n: int, dataset: Dataset, generator: Generator, train: bool) -> dict[str, Tensor]:
        """`flip` (n,), and for large images a crop box; empty at test time."""
        if not train:
            return {}
        flip = {"flip": draw_flip(n, generator)}
        return flip if dataset.large is None else {**flip, **self.draw_crop_box(n, dataset, generator)}

    def batch(
        self, images: Tensor, labels: Tensor, draws: dict[str, Tensor], dataset: Dataset
    ) -> tuple[Tensor, Tensor]:
        """Lightness (B, 1, S, S), standardised with the dataset's mean and deviation (averaged over channels), and
        colour classes (B, S, S).
        """
        check(images, self.side(dataset), self.name, dataset)
        colours = packed(images.to(torch.uint8))  # truncates resized pixels, as in the release
        if draws:
            places = torch.arange(dataset.size, device=images.device)[None]
            columns = mirrored(places, draws["flip"], dataset.size)
            colours = colours.gather(2, columns[:, None].expand(colours.shape))
        lightness, classes = of_colours(colours)
        mean, std = sum(dataset.mean) / 3, sum(dataset.std) / 3
        return lightness.div_(100).sub_(mean).div_(std)[:, None], classes

    def network(self, trunk: nn.Module, dataset: Dataset) -> nn.Module:
        """A 1x1 convolution on the trunk's feature map, upsampled to the input."""
        return Dense(trunk, nn.Conv2d(channels_of(trunk), CLASSES, kernel_size=1))

    def chance(self, occurrences: Tensor) -> float | None:
        """The share of the most frequent colour: colours are far from equally frequent."""
        return float(occurrences.max().item() / occurrences.sum().item()) if occurrences.any() else None

    def training_loss(self, net: nn.Module, inputs: Tensor, target: Tensor) -> Tensor:
        """The loss of the upsampled scores, computed for a few images at a time to save memory."""
        return cross_entropy(dense(net).scores(inputs), target)

    def judge(self, net: nn.Module, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Number of correct pixels, and the sum of the scores before upsampling, which is finite if all scores are."""
        scores = dense(net).scores(inputs)
        return correct(scores, target), scores.sum()

    def cost(self, trunk: Cost, dataset: Dataset) -> tuple[int, int]:
        """Adds the 1x1 convolution on the trunk's feature map."""
        params = (trunk.channels + 1) * CLASSES
        return trunk.params + params, trunk.macs + trunk.channels * CLASSES * trunk.size**2


TASK: Task = Colorization()
