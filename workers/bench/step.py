"""`bench step`: training steps per second, against plain modules and loops.

Both sides get the same batches, made beforehand; the time covers everything that a training loop does with them.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import spaces
import workers
from workers import recipes, tasks
from workers.bench import GateFailed
from workers.bench.baseline_step import Library, Plain
from workers.bench.data import DATASET, training
from workers.bench.timing import Ceiling, Paired, conditions, cpu_seconds, cuda_seconds, interleaved
from workers.cuda_graphs import Graphs, Part, on
from workers.data.loader import Source
from workers.recipes import Recipe
from workers.training.epoch import train_epoch
from workers.training.setup import learner
from workers.training.setup import recipe_of as trained
from workers.training.steps import Training

TOLERANCE = 1e-9  # of outputs and gradients in float64, relative to the largest
SPACES = ("darts", "nasbench101")
QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}  # of the multiply-adds in a sample of a space
SAMPLE = 100
# The smallest network of the published DARTS sample (at CIFAR-10 classification size).
MIN_PARAMS = {"darts": 684_858}
Baseline = Plain | Library
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Ready(Training):
    """A training with batches made beforehand: its epoch consists only of the steps."""

    ready: tuple[Batch, ...] = ()

    @property
    def steps(self) -> int:
        return len(self.ready)

    def parts(self, purpose: str, epoch: int, steps: int, done: int = 0) -> Iterator[Part]:
        left = self.ready[done // self.recipe.batch : steps]
        return ({"inputs": inputs, "targets": targets} for inputs, targets in left)

    def batch(self, split: Source, part: Part) -> Batch:
        return part["inputs"], part["targets"]


@dataclass(frozen=True)
class Cell:
    """One line of the table: a trial, its quantile in the space, and the baseline that it is compared with."""

    trial: workers.Trial
    quantile: str
    rival: type[Plain] | type[Library]
    steps: int

    def __str__(self) -> str:
        return f"step, {self.trial.space} {self.trial.task} {self.quantile} against {self.rival.name}"


def recipe_of(space: str, task: str, small: bool) -> Recipe:
    """UnNAS's widths and depths with a batch of 32 network inputs (rot: 8 images in four rotations)."""
    recipe = recipes.training("unnas", space=space, dataset=DATASET, task=task)
    recipe = recipe.replace(batch=8 if task == "rot" else 32)
    if not small:
        return recipe
    width, depth = {"darts": (4, 3), "nasbench101": (8, 1)}[space]
    return recipe.replace(batch=4, width=width, depth=depth)


def cells(names: list[str], of_spaces: list[str], quantiles: list[str], steps: int, small: bool) -> list[Cell]:
    """All cells; architectures are quantiles by multiply-adds in a fixed sample of each space."""
    found = []
    for name in of_spaces:
        sample = spaces.sample(spaces.get(name), SAMPLE, seed=0, min_params=MIN_PARAMS.get(name, 0))
        for task in names:
            recipe = recipe_of(name, task, small)
            trials = [
                workers.Trial(space=name, arch=a, dataset=DATASET, task=task, recipe=recipe, dataset_id="bench")
                for a in sample.archs
            ]
            trials.sort(key=lambda trial: workers.cost(trial)[1])
            rivals = (Plain, Library) if (name, task) == ("nasbench101", "cls") else (Plain,)
            for quantile in quantiles:
                trial = trials[round(QUANTILES[quantile] * (SAMPLE - 1))]
                found += [Cell(trial, quantile, rival, steps) for rival in rivals]
    return found


def sides(cell: Cell, device: torch.device, dtype: torch.dtype, batch: int | None = None) -> tuple[Ready, Baseline]:
    """This package's training and the baseline's, with the same weights and batches."""
    recipe = trained(cell.trial) if batch is None else trained(cell.trial).replace(batch=batch)
    # A captured step reads the rate from the device as float32, so the baseline gets that number too.
    recipe = recipe.replace(lr=float(torch.tensor(recipe.lr, dtype=torch.float32)))
    trial = cell.trial.model_copy(update={"recipe": recipe})
    source = training(trial.task, recipe.batch * cell.steps, recipe.batch, device)
    ready = tuple((inputs.to(dtype), targets) for inputs, targets in source.batches("train", 0, cell.steps))
    net, optimizer = learner(trial, device)
    net.to(dtype)
    rival = cell.rival(trial, device)
    rival.net.to(dtype)
    with torch.no_grad():
        for mine, theirs in zip(net.parameters(), rival.parameters(), strict=True):
            theirs.copy_(mine)
    record = Graphs() if device.type == "cuda" else None  # as a training does it
    return Ready(trial, net, optimizer, source.train, source.test, device, record, ready=ready), rival


def differences(t: Ready, rival: Baseline) -> dict[str, float]:
    """Largest relative differences of outputs before, gradients in, and weights after the last step."""
    inputs, _ = t.ready[0]
    t.net.train(), rival.net.train()
    with torch.no_grad():
        outputs = _apart([t.net(inputs)], [rival.net(inputs)])
    losses = [float(train_epoch(t, 0)), rival.epoch(t.ready)]
    mine, theirs = list(t.net.parameters()), rival.parameters()
    # Layers that are only inputs of a `none` have no influence: in the baseline their gradients are zero and their
    # weights decay; this package does not change them.
    used = [i for i, p in enumerate(mine) if p.grad is not None]
    gradients = [[torch.zeros_like(p) if p.grad is None else p.grad for p in side] for side in (mine, theirs)]
    return {
        "outputs": outputs,
        "gradients": _apart(*gradients),
        "weights": _apart(*([side[i].detach() for i in used] for side in (mine, theirs))),
        "loss": abs(losses[0] - losses[1]) / abs(losses[1]),
    }


def _apart(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Largest difference of two entries relative to the largest entry; infinite for different shapes or NaN."""
    if any(a.shape != b.shape for a, b in zip(ours, theirs, strict=True)):
        return float("inf")
    largest = max(float(b.abs().max()) for b in theirs)
    apart = max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)) / largest
    return apart if apart == apart else float("inf")


def gate(t: Ready, rival: Baseline, what: str) -> dict[str, float]:
    """The differences of both sides in float64; GateFailed unless they are rounding errors."""
    try:
        found = differences(t, rival)
    finally:
        t.close()
    if not all(found[key] <= TOLERANCE for key in ("outputs", "gradients", "weights")):
        sizes = ", ".join(f"{key} by {found[key]:.1e}" for key in ("outputs", "gradients", "weights"))
        raise GateFailed(
            f"{what}: in float64 the sides differ, {sizes} of the largest; expected at most {TOLERANCE:.0e}"
        )
    return found


def measure(cell: Cell, device: torch.device, rounds: int, small: bool = False) -> dict[str, Any]:
    """Times of both sides and of the ceiling, and derived speeds."""
    t, rival = sides(cell, device, torch.float32)
    # Real fp32 on both sides; this package's loop sets this itself.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    ceiling = Ceiling(device, channels=32) if small else Ceiling(device)
    clock = cpu_seconds if device.type == "cpu" else cuda_seconds
    works = lambda: train_epoch(t, 0), lambda: rival.epoch(t.ready), ceiling
    ours, theirs, dense = interleaved(works, rounds, clock)
    t.close()  # frees the device for the next cell
    images = t.recipe.batch * t.steps
    paired = Paired(tuple(s / images for s in ours), tuple(s / images for s in theirs)).as_json()
    params, macs = workers.cost(t.trial)
    # A backward pass counts as two forward passes; a multiply-add is two operations.
    flop = 3 * 2 * macs * tasks.get(t.trial.task).views
    gflops = {side: paired[f"{side}_images_per_s"] * flop / 1e9 for side in ("ours", "baseline")}
    top = ceiling.flop / statistics.median(dense) / 1e9
    return {
        **paired,
        "params": params,
        "macs": macs,
        "ours_gflops": gflops["ours"],
        "baseline_gflops": gflops["baseline"],
        "ceiling_gflops": top,
        "ours_share": gflops["ours"] / top,
        "baseline_share": gflops["baseline"] / top,
    }


def run(
    names: list[str],
    of_spaces: list[str],
    quantiles: list[str],
    rounds: int,
    device: torch.device,
    note: Callable[[str], None],
    steps: int = 1,
    small: bool = False,
) -> dict[str, Any]:
    """All gates, then all measurements, as JSON-compatible data; GateFailed before any time is measured."""
    with on(device):
        return _run(cells(names, of_spaces, quantiles, steps, small), rounds, device, note, small)


def _run(
    todo: list[Cell], rounds: int, device: torch.device, note: Callable[[str], None], small: bool
) -> dict[str, Any]:
    before = conditions(device)
    passed = []
    for cell in todo:
        note(f"{cell}: comparing outputs and gradients")
        passed.append(gate(*sides(cell, device, torch.float64, batch=4), str(cell)))
    found = []
    for cell, differ in zip(todo, passed, strict=True):
        note(f"{cell}: {rounds} rounds")
        trial = cell.trial
        found.append(
            {
                "space": trial.space,
                "task": trial.task,
                "quantile": cell.quantile,
                "baseline": cell.rival.name,
                "arch": trial.arch,
                "batch": trained(trial).batch,
                "steps": cell.steps,
                "width": trial.recipe.given_width,
                "depth": trial.recipe.depth,
                "gate": differ,
                **measure(cell, device, rounds, small),
            }
        )
    return {"bench": "step", "conditions": before, "load_after": conditions(device)["load"], "cells": found}
