"""The loss and the count that all tasks with one right class a target share."""

import torch.nn.functional as F
from torch import Tensor, nn


class Top1:
    """Cross-entropy without smoothing, and top-1; out (B, K, ...), target (B, ...)."""

    metric: str = "top1"
    views: int = 1

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy over all targets."""
        return F.cross_entropy(out, target)

    def correct(self, out: Tensor, target: Tensor) -> Tensor:
        """Number of targets whose class has the highest score."""
        return (out.argmax(dim=1) == target).sum()

    def training_loss(self, net: nn.Module, inputs: Tensor, target: Tensor) -> Tensor:
        """The loss of the network's outputs."""
        return self.loss(net(inputs), target)

    def judge(self, net: nn.Module, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The count, and the sum of all outputs."""
        out = net(inputs)
        return self.correct(out, target), out.sum()
