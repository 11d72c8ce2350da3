"""`bench data`: augmented batches of CIFAR-sized images per second, against the baseline's per-image data path."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from workers import datasets, tasks
from workers.bench import GateFailed, bare, baseline_data
from workers.bench.timing import Paired, conditions, cpu_seconds, interleaved, wall_seconds
from workers.data.loader import Resident
from workers.methods.train import Training
from workers.tasks._cielab import centres

TOLERANCE = 1e-5  # of the inputs, which have a standard deviation of about 1
DATASET = "cifar10"
Draws = dict[str, Tensor]
Note = Callable[[str], None]


def photographs(count: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.int64]]]:
    """`count` natural images uint8 (N, 32, 32, 3) with labels: the patches of `photos`, repeated."""
    images, labels = datasets.get("photos").read("train", None)
    chosen = np.arange(count) % len(images)
    return images[chosen], labels[chosen]


def training(task: str, count: int, batch: int | None, device: torch.device) -> Training:
    """A training without a network on these patches, treated as CIFAR-10; `batch` overrides UnNAS's batch size."""
    images, labels = photographs(count)
    split = Resident(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device))
    return bare.training(bare.trial(task, DATASET, batch), split, split, device)


def plain(t: Training) -> baseline_data.Images:
    """The baseline data path over the images of a training."""
    dataset = t.trial.data
    how = baseline_data.transforms(dataset.mean, dataset.std, centres())
    images = resident(t)
    return baseline_data.Images(images.pixels.cpu().numpy(), images.labels.cpu().numpy(), t.trial.task, how)


def resident(t: Training) -> Resident:
    """The training images of a benchmark, resident on the device."""
    if not isinstance(t.train, Resident):
        raise TypeError(
            f"the benchmark needs images resident on the device; {t.trial.dataset} is streamed from the CPU"
        )
    return t.train


def gate(t: Training, baseline: baseline_data.Images, count: int = 128) -> dict[str, Any]:
    """Compare both data paths on the same images with the same draws; GateFailed unless they agree."""
    task, dataset = tasks.get(t.trial.task), t.trial.data
    count = min(count, len(baseline))
    draws = task.draw(count, dataset, torch.Generator().manual_seed(1), train=True)
    moved = {name: drawn.to(t.device) for name, drawn in draws.items()}
    images = resident(t)
    inputs, targets = task.batch(images.pixels[:count], images.labels[:count], moved, dataset)
    items = [baseline.item(i, {name: _plain(drawn[i]) for name, drawn in draws.items()}) for i in range(count)]
    expected, wanted = baseline_data.flattened(task.name, *default_collate(items))
    found = {
        "images": count,
        "labels_equal": bool(torch.equal(targets.cpu(), wanted)),
        "max_abs_dx": float((inputs.cpu() - expected).abs().max()) if inputs.shape == expected.shape else np.inf,
    }
    if not found["labels_equal"] or not found["max_abs_dx"] <= TOLERANCE:
        raise GateFailed(
            f"data, {task.name}: labels {'equal' if found['labels_equal'] else 'differ'}, inputs differ by "
            f"{found['max_abs_dx']:.1e} for equal draws; expected equal labels and at most {TOLERANCE:.0e}"
        )
    return found


def _plain(drawn: Tensor) -> Any:
    """The draw of one image as a Python value."""
    return drawn.tolist()


def measure(
    t: Training, baseline: baseline_data.Images, rounds: int, shares: tuple[int, int], workers: int = 0
) -> Paired:
    """Seconds per image of both data paths; `shares` are the images per round of this package and of the baseline.

    CPU seconds; wall-clock seconds if CPU time of this process would miss work: for images on a GPU, or if the baseline
    makes them in `workers` processes.  This package always makes them in this process.
    """
    batch = t.recipe.batch
    ours, theirs = (max(1, share // batch) for share in shares)
    epochs = iter(range(1, 10**9))
    loader = baseline_data.loader(baseline, batch, theirs, workers)

    def batched() -> None:
        for _ in t.batches("bench", next(epochs), ours):
            pass

    def one_by_one() -> None:
        for collated in loader:
            inputs, targets = baseline_data.flattened(baseline.task, *collated)
            inputs.to(t.device), targets.to(t.device)

    clock = cpu_seconds if t.device.type == "cpu" and not workers else wall_seconds
    # Two warm-up rounds, in which workers start and the colour table is built; neither counts in a ratio.
    seconds = interleaved((batched, one_by_one), rounds, clock, warm_up=2)
    return Paired(
        tuple(s / (ours * batch) for s in seconds[0]),
        tuple(s / (theirs * batch) for s in seconds[1]),
    )


def run(
    names: list[str],
    rounds: int,
    device: torch.device,
    note: Note,
    batch: int | None = None,
    workers: int = 0,
    small: bool = False,
) -> dict[str, Any]:
    """All gates, then all measurements, as JSON-compatible data; GateFailed before any time is measured.

    With `workers`, each task is also compared with a baseline of that many worker processes.
    """
    count = 256 if small else 12_288
    before = conditions(device)
    pairs = {}
    for name in names:
        t = training(name, count, min(batch or 32, 32) if small else batch, device)
        baseline = plain(t)
        note(f"data, {name}: comparing the batches")
        pairs[name] = t, baseline, gate(t, baseline)
    cells = []
    for name, (t, baseline, passed) in pairs.items():
        # The number of images is chosen so that a round takes some tenths of a second on both sides.
        theirs = 64 if small else {"col": 512}.get(name, 4096)
        for processes in sorted({0, workers}):
            note(f"data, {name}, {processes} workers: {rounds} rounds")
            paired = measure(t, baseline, rounds, (count, theirs * max(1, processes)), processes)
            about = {"task": name, "batch": t.recipe.batch, "workers": processes, "gate": passed}
            cells.append({**about, **paired.as_json()})
    return {"bench": "data", "conditions": before, "load_after": conditions(device)["load"], "cells": cells}
