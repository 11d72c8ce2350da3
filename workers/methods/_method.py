"""What `workers.run` and `workers.loop` expect of a method."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch

from workers.cuda_graphs import Recorder
from workers.datasets import Arrays, LargeDataset
from workers.trial import Trial


@dataclass(frozen=True)
class Setting:
    """What a method gets: the trial, its images, and where to compute."""

    trial: Trial
    data: Arrays | LargeDataset
    device: torch.device
    record: Recorder | None = None  # how steps are captured; None: every operation is queued by itself
    cpus: int | None = None  # cores for the threads that make batches; None: all that this process may use


class Epoch(NamedTuple):
    """The numbers of an epoch."""

    loss: float  # mean training loss
    score: float  # of the task, over the whole test split; NaN where it is not finite
    diverged: bool  # no further epoch makes sense


class Run(Protocol):
    """The work of one trial, epoch by epoch.

    All random draws come from streams named by the epoch (workers/streams.py), so `state` needs no generators.
    """

    epochs: int

    def epoch(self, number: int, between: Callable[[], None]) -> Epoch:
        """Compute one epoch (counted from 0) or, after `load`, the rest of one.

        `between` is to be called after every step, when `state` is complete.  It may call `state`, and it may raise an
        exception, which ends the run.  It does not wait for the device unless the state is saved.
        """

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which another process can go on.  Inside an epoch it has a key `within`, with
        the position in the epoch; "progress" is the loop's key."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same trial; an error of any kind where it does not fit."""

    def columns(self) -> dict[str, Any]:
        """The columns of the row that the method alone knows."""

    def weights(self) -> dict[str, Any] | None:
        """The final weights, which other trials may use; None where the method has none."""

    def close(self) -> None:
        """Give back graphs and tensors."""


class Method(Protocol):
    """A way to get the columns of a row from a trial.  A file of this folder has one as `METHOD`."""

    @property
    def name(self) -> str:
        """As a recipe's `method` says it."""

    def start(self, setting: Setting) -> Run:
        """The run as it is before the first epoch; ValueError where the trial cannot be run on these images."""
