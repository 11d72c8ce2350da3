"""The loop: one epoch of training, the statistics of batch norm, one evaluation.

It never asks which task it is.  All random draws of an epoch are made at once, before it begins, and sliced by the
step; nothing here reads a number back from the device, so an epoch is one uninterrupted queue of work.

Shapes: N images of a split, B images of a batch, H, W pixels.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers import datasets, tasks
from workers.datasets import Split
from workers.recipes import Recipe
from workers.seeds import stream
from workers.trial import Trial


@dataclass(frozen=True)
class Images:
    """One split on the device of the training: uint8 (N, H, W, 3) and int64 (N,)."""

    pixels: Tensor
    labels: Tensor

    @classmethod
    def of(cls, split: Split, device: torch.device) -> "Images":
        """On the CPU the pages of the node's prepared array, shared by all trials; else a copy on the device."""
        return cls(torch.from_numpy(split.images).to(device), torch.from_numpy(split.labels).to(device))


@dataclass(frozen=True)
class Training:
    """What stays the same from the first epoch of a training to the last."""

    trial: Trial
    net: nn.Module
    optimizer: torch.optim.Optimizer
    train: Images
    test: Images
    device: torch.device

    @property
    def steps(self) -> int:
        """Steps an epoch; the last partial batch is dropped."""
        return len(self.train.pixels) // self.trial.recipe.batch

    def _stream(self, purpose: str, epoch: int) -> torch.Generator:
        t = self.trial
        return stream(t.dataset_id, t.task, t.seed, purpose, epoch)

    def batches(self, purpose: str, epoch: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """`steps` augmented batches of the training split, in the order of the (purpose, epoch) stream."""
        task, dataset = tasks.get(self.trial.task), datasets.get(self.trial.dataset)
        size, generator = self.trial.recipe.batch, self._stream(purpose, epoch)
        order = torch.randperm(len(self.train.pixels), generator=generator)[: steps * size].to(self.device)
        draws = task.draw(len(order), dataset, generator, train=True)
        draws = {name: drawn.to(self.device) for name, drawn in draws.items()}
        for start in range(0, len(order), size):
            part = slice(start, start + size)
            chosen = order[part]
            yield task.batch(
                self.train.pixels.index_select(0, chosen),  # copies whole images, which indexing does not
                self.train.labels[chosen],
                {name: drawn[part] for name, drawn in draws.items()},
                dataset,
            )

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The whole test split, the same batches at every evaluation of every architecture."""
        task, dataset = tasks.get(self.trial.task), datasets.get(self.trial.dataset)
        draws = task.draw(len(self.test.pixels), dataset, self._stream("test", 0), train=False)
        draws = {name: drawn.to(self.device) for name, drawn in draws.items()}
        for start in range(0, len(self.test.pixels), self.trial.recipe.test_batch):
            part = slice(start, start + self.trial.recipe.test_batch)
            yield task.batch(
                self.test.pixels[part],
                self.test.labels[part],
                {name: drawn[part] for name, drawn in draws.items()},
                dataset,
            )


def arithmetic(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    """The precision of a recipe, for the forward pass.  fp32 means fp32: TF32 is off unless asked for."""
    if recipe.precision == "tf32" and device.type != "cuda":
        raise ValueError(f"precision 'tf32' is a mode of CUDA devices; this training runs on {device.type}")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = recipe.precision == "tf32"
    if recipe.precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Cosine, updated once an epoch (epoch = 0..E-1): begins at the peak, never reaches zero."""
    return 0.5 * recipe.lr * (1 + math.cos(math.pi * epoch / recipe.epochs))


def train_epoch(t: Training, epoch: int) -> Tensor:
    """One pass over the training split (epoch counts from 0); the mean loss as a float64 scalar on the device."""
    task, recipe = tasks.get(t.trial.task), t.trial.recipe
    for group in t.optimizer.param_groups:
        group["lr"] = learning_rate(recipe, epoch)
    t.net.train()
    total = torch.zeros((), dtype=torch.float64, device=t.device)
    for inputs, targets in t.batches("train", epoch, t.steps):
        with arithmetic(recipe, t.device):
            loss = task.training_loss(t.net, inputs, targets)
        t.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        t.optimizer.step()
        total += loss.detach()
    return total / t.steps


@torch.no_grad()
def precise_bn(t: Training, epoch: int) -> None:
    """Replace the running averages of batch norm by statistics of the network as it is now.

    `precise_bn // batch` augmented training batches pass through the network in training mode; with means m_i and
    unbiased variances v_i of batch i: mean = avg(m_i), var = avg(v_i + m_i^2) - mean^2 (Liu et al. 2020, release).
    """
    recipe = t.trial.recipe
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
        norm.momentum = 1.0  # a batch's own statistics become readable as the running ones
    task = tasks.get(t.trial.task)
    for inputs, targets in t.batches("precise_bn", epoch, steps):
        with arithmetic(recipe, t.device):
            task.judge(t.net, inputs, targets)
        for (mean, var), total, square in zip(running, means, squares, strict=True):
            m = mean.double()
            total += m
            square += var.double() + m * m
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for (mean, var), total, square in zip(running, means, squares, strict=True):
        mean.copy_(total / steps)
        var.copy_(square / steps - (total / steps) ** 2)


def _running(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The running mean and variance of a norm, the tensors themselves."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError(
            "a batch norm without running statistics cannot be evaluated; build it with track_running_stats"
        )
    return norm.running_mean, norm.running_var


@torch.no_grad()
def evaluate(t: Training) -> tuple[float, bool]:
    """Top-1 over the whole test split as a fraction in [0, 1], and whether all outputs were finite."""
    task, recipe = tasks.get(t.trial.task), t.trial.recipe
    t.net.eval()
    correct = torch.zeros((), dtype=torch.int64, device=t.device)
    health = torch.zeros((), dtype=torch.float64, device=t.device)
    count = 0
    for inputs, targets in t.test_batches():
        with arithmetic(recipe, t.device):
            met, total = task.judge(t.net, inputs, targets)
        correct += met
        health += total  # one NaN or infinity anywhere stays in the sum
        count += targets.numel()
    return correct.item() / count, math.isfinite(health.item())
