"""The loss and the count that all tasks with one right class a target share."""

import torch.nn.functional as F
from torch import Tensor


class Top1:
    """Cross-entropy without smoothing, and top-1; out (B, K, ...), target (B, ...)."""

    metric: str = "top1"

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy over all targets."""
        return F.cross_entropy(out, target)

    def correct(self, out: Tensor, target: Tensor) -> Tensor:
        """Number of targets whose class has the highest score."""
        return (out.argmax(dim=1) == target).sum()
