"""Train an architecture: per epoch one pass over the training split, the statistics of batch norm, one evaluation.

The code is the same for all tasks.  All random draws of an epoch are made at once, before it begins, and sliced per
step.  No value is read back from the device during an epoch, so a whole step, from the selection of its images to the
optimiser, can be captured on a GPU and replayed (workers/cuda_graphs.py).

Draws are named by the epoch, so a position is enough to resume within an epoch: the number of images processed, and the
sums over them (`Position`).

A *part* is the input of one step: `image`, positions in the split, int64 (B,), and the task's draws for them; or the
images themselves, if they are not resident on the device (workers/data/loader.py).
Shapes: N images of a split, B images of a batch, H, W pixels.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from workers.cuda_graphs import Captured, Part, Recorder
from workers.data.loader import PLACES, Source
from workers.methods._method import Epoch, Setting
from workers.methods._setup import learner, recipe_of, source_of
from workers.recipes import AnyRecipe, Recipe
from workers.streams import stream
from workers.trial import Trial


@dataclass(frozen=True)
class Training:
    """The fixed parts of a training: trial, network, optimiser, images and device."""

    trial: Trial
    net: nn.Module
    optimizer: torch.optim.Optimizer
    train: Source
    test: Source
    device: torch.device
    record: Recorder | None = None  # how steps are captured; None: every operation is queued by itself

    @property
    def recipe(self) -> Recipe:
        """The recipe of the trial."""
        return recipe_of(self.trial)

    def close(self) -> None:
        """Release the steps and their graphs.

        A step refers to its training.  This reference cycle would keep the network, its copies of the images and the
        graphs' memory until the next garbage collection.
        """
        for step in ("learning", "judging"):
            self.__dict__.pop(step, None)

    @property
    def step_mode(self) -> str:
        """How steps are executed: `graph`, `eager`, or `eager: ` with the reason why they could not be captured; also
        the mode of the evaluation if it differs."""
        trained, judged = self.learning.work.mode, self.judging.work.mode
        return trained if judged == trained or trained != "graph" else f"{trained}; evaluation {judged}"

    @property
    def steps(self) -> int:
        """Steps per epoch; the last partial batch is dropped."""
        return len(self.train) // self.recipe.batch

    @cached_property
    def learning(self) -> "Repeated":
        """The training step; `sums` is the sum of its losses since it was last zeroed."""
        return _learning(self)

    @cached_property
    def judging(self) -> "Repeated":
        """The evaluation of a part of the test split; `sums`: what the task counts, all targets, all scores' sum, and
        how often each class is a target."""
        return _judging(self)

    def _stream(self, purpose: str, epoch: int) -> torch.Generator:
        t = self.trial
        return stream(t.dataset_id, t.task, t.seed, purpose, epoch)

    def parts(self, purpose: str, epoch: int, steps: int, done: int = 0) -> Iterator[Part]:
        """`steps` parts of the training split, in the order of the (purpose, epoch) stream, after the first `done`
        images."""
        size, generator = self.recipe.batch, self._stream(purpose, epoch)
        order = torch.randperm(len(self.train), generator=generator)[: steps * size]
        return self._parts(order, generator, size, done, train=True)

    def test_parts(self, done: int = 0) -> Iterator[Part]:
        """The test split in order, after the first `done` images; all evaluations of all architectures use the same
        draws."""
        order = torch.arange(len(self.test))
        return self._parts(order, self._stream("test", 0), self.recipe.test_batch, done, train=False)

    def _parts(self, order: Tensor, generator: torch.Generator, size: int, done: int, train: bool) -> Iterator[Part]:
        task, dataset = self.trial.configured_task, self.trial.data
        drawn = {"image": order, **task.draw(len(order), dataset, generator, train=train)}
        left = {name: values[done:] for name, values in drawn.items()}
        return (self.train if train else self.test).parts(left, size)

    def batch(self, split: Source, part: Part) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a part."""
        task, dataset = self.trial.configured_task, self.trial.data
        draws = {name: values for name, values in part.items() if name not in PLACES}
        return task.batch(*split.look_up(part), draws, dataset)

    def batches(self, purpose: str, epoch: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """`steps` augmented batches of the training split, in the order of the (purpose, epoch) stream."""
        return (self.batch(self.train, part) for part in self.parts(purpose, epoch, steps))

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The whole test split; the batches are the same in all evaluations of all architectures."""
        return (self.batch(self.test, part) for part in self.test_parts())


def _nothing() -> None:
    pass


@dataclass
class Position:
    """The progress within an epoch: in training (which ends with the batch-norm statistics) or in the evaluation."""

    split: Literal["train", "test"] = "train"
    done: int = 0  # images of the split
    sums: tuple[Tensor, ...] = ()  # over these images; empty: zeros
    loss: float = math.nan  # mean training loss, known after the training part

    def check(self, t: "Training") -> None:
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


@dataclass(frozen=True)
class Repeated:
    """Work done part by part, and the sums that it accumulates on the device."""

    work: Captured
    sums: tuple[Tensor, ...]

    def clear(self) -> None:
        """Set the sums to zero."""
        for total in self.sums:
            total.zero_()

    def over(
        self, parts: Iterator[Part], after: Callable[[], None] = _nothing, begun: tuple[Tensor, ...] = ()
    ) -> tuple[Tensor, ...]:
        """Do the work on all parts and call `after` after each; the sums, from zero or from those of `begun`."""
        self.clear()
        for total, value in zip(self.sums, begun, strict=bool(begun)):
            total.copy_(value)
        try:
            for part in parts:
                self.work(part)
                after()
        finally:
            # End the threads that make parts now, not at the next garbage collection.
            if (close := getattr(parts, "close", None)) is not None:
                close()
        return self.sums


def _learning(t: Training) -> Repeated:
    task, recipe = t.trial.configured_task, t.recipe
    total = torch.zeros((), dtype=torch.float64, device=t.device)

    def work(part: Part) -> None:
        inputs, targets = t.batch(t.train, part)
        t.optimizer.zero_grad(set_to_none=True)
        with arithmetic(recipe, t.device):
            loss = task.training_loss(t.net, inputs, targets)
        loss.backward()
        t.optimizer.step()
        total.add_(loss.detach())

    def state() -> list[Tensor]:
        # Momentum buffers are created as zeros at the start, so that the captured step equals all others.
        momenta = [
            t.optimizer.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
            for p in t.net.parameters()
            if recipe.momentum
        ]
        return [*t.net.parameters(), *t.net.buffers(), *momenta, total]

    return Repeated(Captured(work, state, t.device, t.record), (total,))


def _judging(t: Training) -> Repeated:
    task, recipe = t.trial.configured_task, t.recipe
    classes = task.classes(t.trial.data)
    shapes = task.tally(t.trial.data), (), (classes + 1,)  # the last counter is for targets without a class
    counted, count, occurrences = (torch.zeros(shape, dtype=torch.int64, device=t.device) for shape in shapes)
    health = torch.zeros((), dtype=torch.float64, device=t.device)

    def work(part: Part) -> None:
        inputs, targets = t.batch(t.test, part)
        with torch.no_grad(), arithmetic(recipe, t.device):
            met, total = task.judge(t.net, inputs, targets)
        counted.add_(met)
        count.add_(targets.numel())
        health.add_(total)  # one NaN or infinity anywhere stays in the sum
        of_class = targets.flatten().clamp(max=classes)
        occurrences.scatter_add_(0, of_class, torch.ones_like(of_class))  # `bincount` would wait for the device

    sums = (counted, count, health, occurrences)
    return Repeated(Captured(work, lambda: list(sums), t.device, t.record), sums)


def arithmetic(recipe: AnyRecipe, device: torch.device) -> AbstractContextManager[object]:
    """The precision of a recipe, for the forward pass.  fp32 means fp32: TF32 is off unless asked for."""
    if recipe.precision == "tf32" and device.type != "cuda":
        raise ValueError(f"precision 'tf32' is a mode of CUDA devices; this training runs on {device.type}")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = recipe.precision == "tf32"
    if recipe.precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Cosine schedule, updated once per epoch (epoch = 0..E-1): begins at the peak, never reaches zero."""
    return 0.5 * recipe.lr * (1 + math.cos(math.pi * epoch / recipe.epochs))


def set_rate(t: Training, rate: float) -> None:
    """Set the learning rate.  A captured step reads it from the device, so there the same tensor is kept."""
    for group in t.optimizer.param_groups:
        if t.device.type == "cpu" and t.record is None:
            group["lr"] = rate
        elif isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = torch.tensor(rate, device=t.device)


def train_epoch(t: Training, epoch: int, at: Position | None = None, between: Callable[[], None] = _nothing) -> Tensor:
    """One pass over the training split (epoch counts from 0); returns the mean loss, a float64 scalar on the device.

    Continues from `at`, which is updated after every step, before `between` is called.
    """
    at = at or Position()
    set_rate(t, learning_rate(t.recipe, epoch))
    t.net.train()

    def after() -> None:
        at.done += t.recipe.batch
        between()

    (total,) = t.learning.over(t.parts("train", epoch, t.steps, at.done), after, at.sums)
    return total / t.steps


@torch.no_grad()
def precise_bn(t: Training, epoch: int, between: Callable[[], None] = _nothing) -> None:
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


def evaluate(t: Training, at: Position | None = None, between: Callable[[], None] = _nothing) -> tuple[float, bool]:
    """The task's score over the whole test split, in [0, 1], and whether all outputs were finite.

    Continues from `at`, which is updated after every part, before `between` is called.
    """
    at = at or Position("test")
    t.net.eval()

    def after() -> None:
        at.done = min(at.done + t.recipe.test_batch, len(t.test))
        between()

    counted, count, health, _ = t.judging.over(t.test_parts(at.done), after, at.sums)
    return t.trial.configured_task.score(counted, int(count.item())), math.isfinite(health.item())


class TrainRun:
    """A training as a run of epochs."""

    def __init__(self, t: Training) -> None:
        self.t = t
        self.epochs = t.recipe.epochs
        self._at: Position | None = None  # only within an epoch

    def epoch(self, number: int, between: Callable[[], None] = _nothing) -> Epoch:
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
