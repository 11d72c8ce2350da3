"""Train an architecture: per epoch one pass over the training split, the statistics of batch norm, one evaluation.

The code is the same for all tasks (workers/training).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from workers.methods._method import Epoch, Setting
from workers.training.epoch import Position, evaluate, precise_bn, train_epoch
from workers.training.setup import learner, recipe_of, source_of
from workers.training.steps import Training, nothing


class TrainRun:
    """A training as a run of epochs."""

    def __init__(self, t: Training) -> None:
        self.t = t
        self.epochs = t.recipe.epochs
        self._at: Position | None = None  # only within an epoch

    def epoch(self, number: int, between: Callable[[], None] = nothing) -> Epoch:
        """Train, compute the statistics of batch norm, evaluate."""
        t, at = self.t, self._at or Position()
        self._at = at
        if at.split == "train":
            loss = train_epoch(t, number, at, between).item()
            if not math.isfinite(loss):
                self._at = None
                return Epoch(loss, math.nan, diverged=True)
            precise_bn(t, number, between)
            at = self._at = Position("test", loss=loss)
            t.judging.clear()
            between()
        score, finite = evaluate(t, at, between)
        self._at = None
        return Epoch(at.loss, score if finite else math.nan, diverged=not (finite and math.isfinite(score)))

    def state(self) -> dict[str, Any]:
        """The state of network and optimiser, and the position within an epoch."""
        state: dict[str, Any] = {"net": self.t.net.state_dict(), "optimizer": self.t.optimizer.state_dict()}
        if self._at is None:
            return state
        at = self._at
        sums = (self.t.learning if at.split == "train" else self.t.judging).sums
        return state | {"within": {"split": at.split, "done": at.done, "sums": list(sums), "loss": at.loss}}

    def load(self, state: dict[str, Any]) -> None:
        """Load a state into network and optimiser; raises any exception if it does not fit."""
        net = state["net"]  # not a copy: it has an attribute with the versions of its layers
        for key in [key for key in net if key.endswith("num_batches_tracked")]:
            del net[key]  # checkpoints of earlier versions contain these counters
        at = _position(self.t, state["within"]) if "within" in state else None
        self.t.net.load_state_dict(net)
        self.t.optimizer.load_state_dict(state["optimizer"])
        for parameter, kept in self.t.optimizer.state.items():
            for name, value in kept.items():
                # Except for scalars (step counters), the optimiser's tensors have the shape of their parameter.
                if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                    raise ValueError(f"{name} is {tuple(value.shape)}, its parameter is {tuple(parameter.shape)}")
        self._at = at

    def columns(self) -> dict[str, Any]:
        """How steps were made, and what the score is to be compared with."""
        t = self.t
        occurrences = t.judging.sums[3][:-1]
        return {
            "step_mode": t.step_mode,
            "test_images": len(t.test),
            "test_targets": int(occurrences.sum().item()) or None,
            "chance": t.trial.configured_task.chance(occurrences),
        }

    def weights(self) -> dict[str, Any]:
        """The network's parameters and statistics after the last epoch."""
        found: dict[str, Any] = self.t.net.state_dict()
        return found

    def close(self) -> None:
        """Release the steps and their graphs."""
        self.t.close()


def _position(t: Training, within: Mapping[str, Any]) -> Position:
    """The position stored in a checkpoint; raises any exception if it is not valid for this training."""
    at = Position(within["split"], within["done"], tuple(within["sums"]), within["loss"])
    at.check(t)
    if at.split == "test" and 0 < len(t.test) - at.done < t.recipe.test_batch:
        # The first part of a step is captured and must be a whole one, so evaluate from the start.
        return Position("test", loss=at.loss)
    return at


def training(setting: Setting) -> Training:
    """Network, optimiser and images of a trial before the first epoch."""
    trial, data = setting.trial, setting.data
    batch = recipe_of(trial).batch
    if batch > len(data.train):
        raise ValueError(
            f"a batch of {batch} images is more than the {len(data.train)} training images of "
            f"{trial.dataset_id}; override batch with a smaller one"
        )
    net, optimizer = learner(trial, setting.device)
    train, test = (
        source_of(split, trial, setting.device, split is data.train, setting.cpus) for split in (data.train, data.test)
    )
    return Training(trial, net, optimizer, train, test, setting.device, setting.record)


class Train:
    """The method `train`."""

    name = "train"

    def start(self, setting: Setting) -> TrainRun:
        """The training before its first epoch; ValueError if the batch is larger than the training split."""
        return TrainRun(training(setting))


METHOD = Train()
