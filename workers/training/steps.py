"""The steps of a training: their images, their captured work, and the sums that they accumulate.

All random draws of an epoch are made at once, before it begins, and sliced per step.  No value is read back from the
device during an epoch, so a whole step, from the selection of its images to the optimiser, can be captured on a GPU and
replayed (workers/cuda_graphs.py).

A *part* is the input of one step: `image`, positions in the split, int64 (B,), and the task's draws for them; or the
images themselves, if they are not resident on the device (workers/data/loader.py).
Shapes: N images of a split, B images of a batch, H, W pixels.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from workers.cuda_graphs import Captured, Part, Recorder
from workers.data.loader import PLACES, Source
from workers.datasets import IGNORED
from workers.group import Group
from workers.recipes import AnyRecipe, Sgd, Train
from workers.streams import stream
from workers.training import fresh
from workers.training.across import sum_gradients
from workers.training.regularised import KEYS, auxiliary_scores, draw_drops, dropping
from workers.training.setup import recipe_of
from workers.trial import Trial


def nothing() -> None:
    """A callback that does nothing."""


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
    group: Group | None = None  # the processes that train together; None: this one alone

    @property
    def recipe(self) -> Sgd:
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
        if self.group is not None:
            return f"eager: {self.group.world} devices train together"
        trained, judged = self.learning.work.mode, self.judging.work.mode
        return trained if judged == trained or trained != "graph" else f"{trained}; evaluation {judged}"

    @property
    def steps(self) -> int:
        """Steps per epoch; the last partial batch is dropped."""
        return len(self.train) // self.recipe.batch

    @property
    def test_batch(self) -> int:
        """Test images per step: those of the recipe, or the next multiple of the number of devices."""
        world = 1 if self.group is None else self.group.world
        return -(-self.recipe.test_batch // world) * world

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
        drops = draw_drops(self.trial, len(order), epoch) if purpose == "train" else {}
        return self._parts(order, generator, size, done, train=True, further=drops)

    def test_parts(self, done: int = 0) -> Iterator[Part]:
        """The test split in order, after the first `done` images; all evaluations of all architectures use the same
        draws."""
        order = torch.arange(len(self.test))
        parts = self._parts(order, self._stream("test", 0), self.test_batch, done, train=False)
        return parts if self.group is None else _padded(parts, -(-(len(order) - done) // self.test_batch))

    def _parts(
        self,
        order: Tensor,
        generator: torch.Generator,
        size: int,
        done: int,
        train: bool,
        further: Part | None = None,
    ) -> Iterator[Part]:
        task, dataset = self.trial.configured_task, self.trial.data
        drawn = {"image": order, **task.draw(len(order), dataset, generator, train=train), **(further or {})}
        if train:
            drawn |= fresh.draw_noise(dataset, len(order), generator)
        left = {name: values[done:] for name, values in drawn.items()}
        if self.group is not None:
            left = {name: self.group.rows(values, size) for name, values in left.items()}
            size //= self.group.world
        return (self.train if train else self.test).parts(left, size)

    def batch(self, split: Source, part: Part) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a part."""
        task, dataset = self.trial.configured_task, self.trial.data
        draws = {name: values for name, values in part.items() if name not in (*PLACES, *KEYS, fresh.NOISE)}
        images, labels = split.look_up(part)
        if fresh.NOISE in part:
            images = fresh.images(part[fresh.NOISE], dataset)
        return task.batch(images, labels, draws, dataset)

    def batches(self, purpose: str, epoch: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """`steps` augmented batches of the training split, in the order of the (purpose, epoch) stream."""
        return (self.batch(self.train, part) for part in self.parts(purpose, epoch, steps))

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The whole test split; the batches are the same in all evaluations of all architectures."""
        return (self.batch(self.test, part) for part in self.test_parts())


def _padded(parts: Iterator[Part], count: int) -> Iterator[Part]:
    """The parts, and empty ones up to a number of `count`: a device may have no image of the last batch."""
    try:
        for _ in range(count):
            yield next(parts, {})
    finally:
        if (close := getattr(parts, "close", None)) is not None:
            close()


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
        self, parts: Iterator[Part], after: Callable[[], None] = nothing, begun: tuple[Tensor, ...] = ()
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
    aux, clip = (recipe.aux, recipe.clip) if isinstance(recipe, Train) else (None, None)
    total = torch.zeros((), dtype=torch.float64, device=t.device)
    parameters, group = list(t.net.parameters()), t.group

    def work(part: Part) -> None:
        inputs, targets = t.batch(t.train, part)
        t.optimizer.zero_grad(set_to_none=True)
        with arithmetic(recipe, t.device), dropping(t.net, part):
            loss = task.training_loss(t.net, inputs, targets)
            if aux is not None:
                loss = loss + aux * task.loss(auxiliary_scores(t.net), targets)
        if group is not None:
            loss = loss * share(targets, task.dense or task.name in _IGNORING, group)
        loss.backward()
        if group is not None:
            sum_gradients(parameters, group)
            loss = group.sum(loss.detach().clone())
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
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


_IGNORING = ("multi",)  # tasks, besides dense ones, some of whose targets may be IGNORED


def share(targets: Tensor, ignoring: bool, group: Group) -> Tensor | float:
    """The weight of this process's mean loss in that of the whole batch: its share of the targets that count."""
    if not ignoring:
        return 1 / group.world  # all parts of a batch have the same size
    own = (targets != IGNORED).sum()
    return own / group.sum(own.clone()).clamp_min(1)


def _judging(t: Training) -> Repeated:
    task, recipe = t.trial.configured_task, t.recipe
    classes = task.classes(t.trial.data)
    shapes = task.tally(t.trial.data), (), (classes + 1,)  # the last counter is for targets without a class
    counted, count, occurrences = (torch.zeros(shape, dtype=torch.int64, device=t.device) for shape in shapes)
    health = torch.zeros((), dtype=torch.float64, device=t.device)

    sums, group = (counted, count, health, occurrences), t.group

    def judge(part: Part, sums: tuple[Tensor, ...]) -> None:
        counted, count, health, occurrences = sums
        inputs, targets = t.batch(t.test, part)
        with torch.no_grad(), arithmetic(recipe, t.device):
            met, total = task.judge(t.net, inputs, targets)
        counted.add_(met)
        count.add_(targets.numel())
        health.add_(total)  # one NaN or infinity anywhere stays in the sum
        of_class = targets.flatten().clamp(max=classes)
        occurrences.scatter_add_(0, of_class, torch.ones_like(of_class))  # `bincount` would wait for the device

    def work(part: Part) -> None:
        if group is None:
            judge(part, sums)
            return
        own = tuple(torch.zeros_like(total) for total in sums)
        if part:
            judge(part, own)
        for total, found in zip(sums, own, strict=True):
            total.add_(group.sum(found))

    return Repeated(Captured(work, lambda: list(sums), t.device, t.record), sums)


def arithmetic(recipe: AnyRecipe | Sgd, device: torch.device) -> AbstractContextManager[object]:
    """The precision of a recipe, for the forward pass.  fp32 means fp32: TF32 is off unless asked for."""
    if recipe.precision == "tf32" and device.type != "cuda":
        raise ValueError(f"precision 'tf32' is a mode of CUDA devices; this training runs on {device.type}")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = recipe.precision == "tf32"
    if recipe.precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
