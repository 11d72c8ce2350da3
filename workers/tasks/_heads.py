"""Networks: a trunk with the head of a task.  Every network has the attributes `trunk` and `head`."""

import torch
from torch import Tensor, nn

from workers.tasks._sliced_loss import upsampled


class Pooled(nn.Module):
    """Global average pool and one linear layer: (B, c, H, W) -> (B, classes).

    `dropout` is the probability of dropping a feature, for samples with seeds in `seeds`, int64 (B,); None: no feature
    is dropped.
    """

    def __init__(self, trunk: nn.Module, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(channels_of(trunk), classes)
        self.dropout = dropout
        self.seeds: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes."""
        features = self.trunk(images).mean(dim=(2, 3))
        if self.seeds is not None and self.training:
            kept = uniform(self.seeds, features.shape[1]) >= self.dropout
            features = features * (kept.to(features.dtype) / (1 - self.dropout))
        scores: Tensor = self.head(features)
        return scores


_STEP, _FIRST, _SECOND = (n - 2**64 for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def uniform(seeds: Tensor, count: int) -> Tensor:
    """`count` numbers in [0, 1) for each seed, int64 (B,) -> float32 (B, count): multiples of 2^-24.

    They depend on the seed alone, not on the device or the rest of the batch (SplitMix64, Steele et al. 2014), so a
    batch needs one number per sample in place of one per feature.
    """
    x = seeds[:, None] + torch.arange(1, count + 1, device=seeds.device) * _STEP  # modulo 2^64, as all products here
    x = (x ^ _right(x, 30)) * _FIRST
    x = (x ^ _right(x, 27)) * _SECOND
    return _right(x, 40).float() / 2**24


def _right(x: Tensor, bits: int) -> Tensor:
    """x without its lowest bits, with zeros from the left."""
    shifted: Tensor = (x >> bits) & (2 ** (64 - bits) - 1)
    return shifted


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
