"""The protocols of methods and runs, as used by `workers.run` and `workers.loop`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch

from workers.cuda_graphs import Recorder
from workers.datasets import Arrays, LargeDataset
from workers.group import Group
from workers.trial import Trial
from workers.weights import Weights


@dataclass(frozen=True)
class Setting:
    """The input of a method: the trial, its images, the weights of its base if it has one, and the device."""

    trial: Trial
    open_data: Callable[[], Arrays | LargeDataset]
    device: torch.device
    record: Recorder | None = None  # captures steps as CUDA graphs; None: eager execution
    cpus: int | None = None  # cores for the threads that make batches; None: all that this process may use
    group: Group | None = None  # the processes that train the network together; None: this one alone
    open_base: Callable[[], Weights] | None = None  # None: the trial has no base

    @cached_property
    def data(self) -> Arrays | LargeDataset:
        """The images, opened when they are first asked for: some methods need none."""
        return self.open_data()

    @cached_property
    def base(self) -> Weights:
        """The final weights of the trial's base, on the CPU; ValueError if there are none."""
        if self.open_base is None:
            raise ValueError(f"the method {self.trial.recipe.method!r} uses weights, and the trial has no base")
        return self.open_base()


class Epoch(NamedTuple):
    """The results of one epoch."""

    loss: float  # mean training loss; NaN for a method without one
    score: float  # of a training: the task's score on the whole test split; NaN if it is not finite
    diverged: bool  # if true, no further epoch is computed
    seconds: float | None = None  # of a result that was measured elsewhere; None: the loop measures


class Run(Protocol):
    """The work of one trial, epoch by epoch.

    All random draws come from streams named by the epoch (workers/streams.py), so `state` needs no generators.
    """

    epochs: int

    def epoch(self, number: int, between: Callable[[], None]) -> Epoch:
        """Compute one epoch (counted from 0) or, after `load`, the rest of one.

        The method must call `between` after every step, when `state` is complete.  `between` may call `state`, and it
        may raise an exception, which ends the run.  It does not wait for the device unless it saves the state.
        """

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which another process can continue.  Within an epoch there is a key `within`,
        the position in the epoch.  The key "progress" is reserved for the loop."""

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same trial; raises any exception if it does not fit."""

    def columns(self) -> dict[str, Any]:
        """The columns of the row that are specific to the method."""

    def weights(self) -> dict[str, Any] | None:
        """The final weights, which other trials may use: tensors and plain values, with the state of the network as
        `net` (workers/weights.py).  None if the method has none."""

    def close(self) -> None:
        """Release graphs and tensors."""


class Method(Protocol):
    """A way to compute the columns of a row from a trial.  Each file of this folder defines one as `METHOD`."""

    @property
    def name(self) -> str:
        """The name of the method: the value of a recipe's field `method`."""

    def start(self, setting: Setting) -> Run:
        """The run before its first epoch; ValueError if the trial cannot be run on these images."""
