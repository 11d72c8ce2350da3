"""One epoch of a training: a pass over the training split, the statistics of batch norm, an evaluation.

Draws are named by the epoch, so a position is enough to resume within an epoch: the number of images processed, and the
sums over them (`Position`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from workers.recipes import Sgd
from workers.training.steps import Training, arithmetic, nothing


@dataclass
class Position:
    """The progress within an epoch: in training (which ends with the batch-norm statistics) or in the evaluation."""

    split: Literal["train", "test"] = "train"
    done: int = 0  # images of the split
    sums: tuple[Tensor, ...] = ()  # over these images; empty: zeros
    loss: float = math.nan  # mean training loss, known after the training part

    def kept(self, sums: tuple[Tensor, ...]) -> dict[str, Any]:
        """The position as stored in a checkpoint, with the sums over the images so far."""
        return {"split": self.split, "done": self.done, "sums": list(sums), "loss": self.loss}

    def check(self, t: Training) -> None:
        """ValueError unless it is a valid position of this training."""
        if self.split not in ("train", "test") or not isinstance(self.loss, float):
            raise ValueError(f"a position in split {self.split!r} with a loss {self.loss!r}, expected train or test")
        most = t.steps * t.recipe.batch if self.split == "train" else len(t.test)
        if not 0 <= self.done <= most:
            raise ValueError(f"a position after {self.done} images, expected 0 to {most}")
        if self.split == "train" and self.done % t.recipe.batch:
            raise ValueError(f"a position after {self.done} images, expected whole batches of {t.recipe.batch}")
        wanted = (t.learning if self.split == "train" else t.judging).sums
        found = [(s.shape, s.dtype) for s in self.sums]
        if found != [(s.shape, s.dtype) for s in wanted]:
            raise ValueError(f"sums of {found}, expected {[(s.shape, s.dtype) for s in wanted]}")


def position(t: Training, within: Mapping[str, Any]) -> Position:
    """The position that `Position.kept` stored; raises any exception if it is not valid for this training."""
    at = Position(within["split"], within["done"], tuple(within["sums"]), within["loss"])
    at.check(t)
    if at.split == "test" and 0 < len(t.test) - at.done < t.test_batch:
        # The first part of a step is captured and must be a whole one, so evaluate from the start.
        return Position("test", loss=at.loss)
    return at


TAIL = 5  # epochs at the end of the schedule `linear_tail`


def learning_rate(recipe: Sgd, epoch: int, epochs: int | None = None, within: float = 0.0) -> float:
    """The learning rate in an epoch (0..E-1): begins at the peak, never reaches its end.

    In a warm-up it is multiplied by a factor below 1.  `epochs`: E, by default all epochs of the recipe.  `within`: the
    share of the epoch that is done, which only the schedule `linear` depends on.
    """
    total = epochs or recipe.epochs
    if recipe.falls == "cosine":
        share = 0.5 * (1 + math.cos(math.pi * epoch / total))
    elif recipe.falls == "linear":
        share = 1 - (epoch + within) / total
    elif total <= TAIL:
        share = 1 - epoch / total
    else:
        steep = total - TAIL  # the slope is 1 / steep
        share = (steep - epoch) / steep if epoch < steep else (total - epoch) / (TAIL * steep)
    floor = recipe.lr_floor
    return (floor + (recipe.lr - floor) * share) * recipe.warmed(epoch)


def rate_at(t: Training, epoch: int, done: int) -> float:
    """The learning rate of the next step of an epoch, after the first `done` images."""
    return learning_rate(t.recipe, epoch, within=done / t.recipe.batch / max(t.steps, 1))


def set_rate(t: Training, rate: float) -> None:
    """Set the learning rate.  A captured step reads it from the device, so there the same tensor is kept."""
    for group in t.optimizer.param_groups:
        if t.device.type == "cpu" and t.record is None:
            group["lr"] = rate
        elif isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = torch.tensor(rate, device=t.device)


def train_epoch(t: Training, epoch: int, at: Position | None = None, between: Callable[[], None] = nothing) -> Tensor:
    """One pass over the training split (epoch counts from 0); returns the mean loss, a float64 scalar on the device.

    Continues from `at`, which is updated after every step, before `between` is called.
    """
    at = at or Position()
    set_rate(t, rate_at(t, epoch, at.done))
    t.net.train()

    def after() -> None:
        at.done += t.recipe.batch
        if t.recipe.falls == "linear":
            set_rate(t, rate_at(t, epoch, at.done))
        between()

    (total,) = t.learning.over(t.parts("train", epoch, t.steps, at.done), after, at.sums)
    return total / t.steps


@torch.no_grad()
def precise_bn(t: Training, epoch: int, between: Callable[[], None] = nothing) -> None:
    """Replace the running averages of batch norm by statistics of the network with its current weights.

    `precise_bn // batch` augmented training batches pass through the network in training mode; with means m_i and
    unbiased variances v_i of batch i: mean = avg(m_i), var = avg(v_i + m_i^2) - mean^2 (Liu et al. 2020, release).
    `between` is called after each; a run that is stopped there resumes with the first of these batches.
    """
    recipe = t.recipe
    steps = min(recipe.precise_bn // recipe.batch, t.steps)
    norms = [m for m in t.net.modules() if isinstance(m, nn.BatchNorm2d)]
    if not steps or not norms:
        return
    t.net.train()
    momenta = [norm.momentum for norm in norms]
    running = [_running(norm) for norm in norms]
    means = [torch.zeros_like(mean, dtype=torch.float64) for mean, _ in running]
    squares = [torch.zeros_like(var, dtype=torch.float64) for _, var in running]
    for norm in norms:
        norm.momentum = 1.0  # the running statistics are then those of the last batch
    task = t.trial.configured_task
    for inputs, targets in t.batches("precise_bn", epoch, steps):
        with arithmetic(recipe, t.device):
            task.judge(t.net, inputs, targets)
        for (mean, var), total, square in zip(running, means, squares, strict=True):
            m = mean.double()
            total += m
            square += var.double() + m * m
        between()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for (mean, var), total, square in zip(running, means, squares, strict=True):
        mean.copy_(total / steps)
        var.copy_(square / steps - (total / steps) ** 2)


def _running(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The tensors of a norm's running mean and variance."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError(
            "a batch norm without running statistics cannot be evaluated; build it with track_running_stats"
        )
    return norm.running_mean, norm.running_var


def evaluate(t: Training, at: Position | None = None, between: Callable[[], None] = nothing) -> tuple[float, bool]:
    """The task's score over the whole test split, in [0, 1], and whether all outputs were finite.

    Continues from `at`, which is updated after every part, before `between` is called.
    """
    at = at or Position("test")
    t.net.eval()

    def after() -> None:
        at.done = min(at.done + t.test_batch, len(t.test))
        between()

    counted, count, health, _ = t.judging.over(t.test_parts(at.done), after, at.sums)
    return t.trial.configured_task.score(counted, int(count.item())), math.isfinite(health.item())
