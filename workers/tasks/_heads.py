"""Networks: a trunk with the head of a task.  Every network has the attributes `trunk` and `head`."""

from torch import Tensor, nn

from workers.tasks._sliced_loss import upsampled


class Pooled(nn.Module):
    """Global average pool and one linear layer: (B, c, H, W) -> (B, classes)."""

    def __init__(self, trunk: nn.Module, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(channels_of(trunk), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes."""
        scores: Tensor = self.head(self.trunk(images).mean(dim=(2, 3)))
        return scores


class Tiled(nn.Module):
    """The trunk on each tile separately, average pooling, and one linear layer on all features in slot order.

    (B, T, c, h, w) -> (B, classes).
    """

    def __init__(self, trunk: nn.Module, tiles: int, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(tiles * channels_of(trunk), classes)

    def forward(self, tiles: Tensor) -> Tensor:
        """Scores of the permutations."""
        features = self.trunk(tiles.flatten(0, 1)).mean(dim=(2, 3))
        scores: Tensor = self.head(features.reshape(len(tiles), -1))
        return scores


class Dense(nn.Module):
    """A head on the trunk's feature map, upsampled to the input: (B, c, H, W) -> (B, classes, H, W)."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes at every pixel (bilinear, `align_corners=True`)."""
        return upsampled(self.scores(images), (images.shape[-2], images.shape[-1]))

    def scores(self, images: Tensor) -> Tensor:
        """The scores before upsampling, (B, classes, h, w)."""
        scores: Tensor = self.head(self.trunk(images))
        return scores


def dense(net: nn.Module) -> Dense:
    """The network itself; TypeError if it is not a `Dense` network."""
    if not isinstance(net, Dense):
        raise TypeError(f"this task can only train the networks that it builds, not a {type(net).__name__}")
    return net


def channels_of(trunk: nn.Module) -> int:
    """Number of channels of a trunk's feature map."""
    channels = trunk.out_channels
    if not isinstance(channels, int):
        raise ValueError(f"a trunk's out_channels is {channels!r}; expected the number of channels of its features")
    return channels
