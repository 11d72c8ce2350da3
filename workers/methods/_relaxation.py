"""How architecture weights become the weights of a supernet: what differs between searches with one supernet."""

import torch
from torch import Tensor


class Relaxation:
    """The weights of a supernet as the softmax of the architecture weights (Liu et al. 2019)."""

    with_edges = False  # whether edges have weights of their own
    order = 1

    def drawn(self, alphas: dict[str, Tensor], epoch: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The weights of one pass; random numbers come from `generator`, which is named by the step."""
        return self.settled(alphas)

    def auxiliary(self, epoch: int) -> float:
        """The factor of skip connections outside of the weights, for supernets that have them."""
        return 1.0

    def dropout(self, epoch: int) -> float:
        """The dropout of skip connections in training."""
        return 0.0

    def settled(self, alphas: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights of evaluations, without randomness."""
        return {name: values.softmax(1) for name, values in alphas.items()}
