"""Train an architecture: per epoch one pass over the training split, the statistics of batch norm, one evaluation.

The code is the same for all tasks (workers/training).
"""

import math
from collections.abc import Callable
from typing import Any

from workers.methods._method import Epoch, Setting
from workers.training.epoch import Position, evaluate, position, precise_bn, train_epoch
from workers.training.setup import learner, load_optimizer, recipe_of, source_of
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
        sums = (self.t.learning if self._at.split == "train" else self.t.judging).sums
        return state | {"within": self._at.kept(sums)}

    def load(self, state: dict[str, Any]) -> None:
        """Load a state into network and optimiser; raises any exception if it does not fit."""
        net = state["net"]  # not a copy: it has an attribute with the versions of its layers
        for key in [key for key in net if key.endswith("num_batches_tracked")]:
            del net[key]  # checkpoints of earlier versions contain these counters
        at = position(self.t, state["within"]) if "within" in state else None
        self.t.net.load_state_dict(net)
        load_optimizer(self.t.optimizer, state["optimizer"])
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
        """The network's parameters and statistics after the last epoch, with which it was evaluated last; without those
        of an auxiliary head."""
        state = self.t.net.state_dict()
        for name in [name for name in state if name.startswith("auxiliary.")]:
            del state[name]  # not a copy: the state has an attribute with the versions of its layers
        return {"net": state}

    def close(self) -> None:
        """Release the steps and their graphs."""
        self.t.close()


def training(setting: Setting) -> Training:
    """Network, optimiser and images of a trial before the first epoch."""
    trial, data = setting.trial, setting.data
    batch = recipe_of(trial).batch
    if batch > len(data.train):
        raise ValueError(
            f"a batch of {batch} images is more than the {len(data.train)} training images of "
            f"{trial.dataset_id}; override batch with a smaller one"
        )
    group = setting.group
    net, optimizer = learner(trial, setting.device, group)
    train, test = (
        source_of(split, trial, setting.device, split is data.train, setting.cpus) for split in (data.train, data.test)
    )
    return Training(trial, net, optimizer, train, test, setting.device, setting.record, group)


class Train:
    """The method `train`."""

    name = "train"

    def start(self, setting: Setting) -> TrainRun:
        """The training before its first epoch; ValueError if the batch is larger than the training split."""
        return TrainRun(training(setting))


METHOD = Train()
