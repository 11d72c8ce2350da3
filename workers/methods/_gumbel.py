"""The softmax of architecture weights with Gumbel noise, whose maximum is a sample of their softmax."""

from abc import abstractmethod

import torch
from torch import Tensor

from workers.methods._relaxation import Relaxation


class Perturbed(Relaxation):
    """h = softmax((log softmax(alpha) + noise) / tau): closer to one-hot, the lower the temperature tau."""

    def __init__(self, tau: tuple[float, float], epochs: int) -> None:
        self.tau, self.epochs = tau, epochs

    @abstractmethod
    def temperature(self, epoch: int) -> float:
        """tau, from `self.tau[0]` in the first epoch to `self.tau[1]` in the last."""

    def progress(self, epoch: int) -> float:
        """0 in the first epoch, 1 in the last."""
        return epoch / max(self.epochs - 1, 1)

    def soft(self, values: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """h for a table of architecture weights (edges, ops)."""
        noise = gumbel(values.shape, generator).to(values)
        return ((values.log_softmax(1) + noise) / self.temperature(epoch)).softmax(1)


def gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Gumbel noise, drawn on the CPU; drawn again in the rare case that a value is not finite."""
    while True:
        noise = -torch.empty(shape).exponential_(generator=generator).log()
        if noise.isfinite().all():
            return noise
