"""What a proxy is, and what it is computed from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from workers.trial import Trial


class Unmeasurable(ValueError):
    """A proxy has no value for a network; the message says why."""


@dataclass(frozen=True)
class Subject:
    """A network with its initial weights, and a batch.  A proxy may change the network: nothing else uses it.

    Shapes: B elements of the network's batch (for rot four of each image); inputs and targets are those of a training
    step, on the device, targets (B,) or for dense tasks (B, H, W).  Both are empty for a proxy that reads no images.
    """

    trial: Trial
    device: torch.device
    network: nn.Module | None
    inputs: Tensor
    targets: Tensor

    @property
    def element(self) -> tuple[int, ...]:
        """The shape of one element of the network's batch."""
        return self.trial.configured_task.element(self.trial.data)

    @property
    def net(self) -> nn.Module:
        """The network, for a proxy that has one."""
        if self.network is None:
            raise ValueError("this proxy is declared to be computed without a network")
        return self.network


@dataclass(frozen=True)
class Proxy:
    """A zero-cost proxy.  Its score is `sign * value`; higher is better, as far as the source says so."""

    name: str
    source: str
    reads: Literal["cost", "network", "images"]  # arithmetic alone; a network without images; a network and a batch
    value: Callable[[Subject], float]  # the published number; Unmeasurable where there is none
    sign: Literal[-1, 1] = 1

    @property
    def batches(self) -> int:
        """Batches of images that a value is computed from: 0 or 1."""
        return int(self.reads == "images")

    def __call__(self, subject: Subject) -> float:
        """The score of a network; NaN or infinite where the value is, Unmeasurable where there is none."""
        return self.sign * float(self.value(subject))
