"""The auxiliary head of DARTS networks (Liu et al. 2019, release), after 2/3 of the cells.  Used in training alone."""

from torch import Tensor, nn
from torch.nn import functional as F

from spaces._space import Stem
from spaces.darts.network import Trunk, stages

POOL, KERNEL = 5, 2  # sides of the average pooling and of the second convolution
HIDDEN = (128, 768)  # channels of the two convolutions
STRIDE: dict[Stem, int] = {"cifar": 3, "imagenet": 2}  # of the pooling


def place(depth: int) -> int:
    """The index of the cell whose output the head gets."""
    return 2 * depth // 3


def tapped_size(depth: int, stem: Stem, size: int) -> int:
    """Side of that output for images of `size` pixels; ValueError if the head's layers do not fit into it."""
    side = size
    for _ in range(3 if stem == "imagenet" else 0):
        side = (side + 1) // 2
    for stage in stages(2, depth, stem)[: place(depth) + 1]:
        side = (side + 1) // 2 if stage.reduces else side
    least = POOL + (KERNEL - 1) * STRIDE[stem]
    if side < least:
        raise ValueError(
            f"the auxiliary head of a DARTS network of depth {depth} would get feature maps of {side}x{side} for "
            f"images of {size}x{size}; it needs at least {least}x{least}"
        )
    return side


class Auxiliary(nn.Module):
    """(B, C, h, w) -> (B, classes); `stem` selects the variant for CIFAR-10 or ImageNet.

    The release's maps have the size after the second convolution 1x1; larger ones are averaged.
    """

    def __init__(self, channels: int, classes: int, stem: Stem) -> None:
        super().__init__()
        self.stride = STRIDE[stem]
        self.first = nn.Sequential(nn.Conv2d(channels, HIDDEN[0], 1, bias=False), nn.BatchNorm2d(HIDDEN[0]))
        second: list[nn.Module] = [nn.Conv2d(*HIDDEN, KERNEL, bias=False)]
        if stem == "cifar":  # the release has no second BN in the variant for ImageNet
            second.append(nn.BatchNorm2d(HIDDEN[1]))
        self.second = nn.Sequential(*second)
        self.scores = nn.Linear(HIDDEN[1], classes)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(F.relu(x), POOL, self.stride)
        hidden = F.relu(self.second(F.relu(self.first(pooled))))
        scores: Tensor = self.scores(hidden.mean(dim=(2, 3)))
        return scores


def attach(trunk: nn.Module, width: int, depth: int, stem: Stem, classes: int) -> Auxiliary:
    """The head of a trunk, which keeps the head's input from now on; TypeError for any other module."""
    if not isinstance(trunk, Trunk):
        raise TypeError(f"an auxiliary head belongs to a network of one DARTS architecture, not {type(trunk).__name__}")
    trunk.tap = place(depth)
    return Auxiliary(4 * stages(width, depth, stem)[trunk.tap].width, classes, stem)
