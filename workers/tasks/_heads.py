"""What sits on a trunk. Every network has the attributes `trunk` and `head`."""

from torch import Tensor, nn

from workers.tasks._slices import upsampled


class Pooled(nn.Module):
    """Global average pool and one linear layer: (B, c, H, W) -> (B, classes)."""

    def __init__(self, trunk: nn.Module, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(_channels(trunk), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes."""
        scores: Tensor = self.head(self.trunk(images).mean(dim=(2, 3)))
        return scores


class Tiled(nn.Module):
    """Each tile through the trunk by itself, pooled; one linear layer on all of them in slot order.

    (B, T, c, h, w) -> (B, classes).
    """

    def __init__(self, trunk: nn.Module, tiles: int, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(tiles * _channels(trunk), classes)

    def forward(self, tiles: Tensor) -> Tensor:
        """Scores of the permutations."""
        features = self.trunk(tiles.flatten(0, 1)).mean(dim=(2, 3))
        scores: Tensor = self.head(features.reshape(len(tiles), -1))
        return scores


class Dense(nn.Module):
    """A 1x1 convolution with bias, upsampled to the input: (B, c, H, W) -> (B, classes, H, W)."""

    def __init__(self, trunk: nn.Module, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Conv2d(_channels(trunk), classes, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes at every pixel; corners of the maps lie on corners of the images."""
        return upsampled(self.scores(images), (images.shape[-2], images.shape[-1]))

    def scores(self, images: Tensor) -> Tensor:
        """The scores before upsampling, (B, classes, h, w)."""
        scores: Tensor = self.head(self.trunk(images))
        return scores


def _channels(trunk: nn.Module) -> int:
    channels = trunk.out_channels
    if not isinstance(channels, int):
        raise ValueError(f"a trunk's out_channels is {channels!r}; right is the number of its last channels")
    return channels
