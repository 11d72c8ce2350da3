"""`bench modes`: ImageNet's mode array against mode exact, over the same images and draws."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from workers import datasets
from workers.bench import bare
from workers.bench.timing import Paired, conditions, cpu_seconds, interleaved
from workers.datasets import Form, LargeDataset
from workers.methods._setup import source_of
from workers.methods.train import Training

BATCH = 16
CPU = torch.device("cpu")
Note = Callable[[str], None]


def training(task: str, stored: LargeDataset, batch: int = BATCH) -> Training:
    """A training on these photographs, without a network."""
    trial = bare.trial(task, "imagenet", batch)
    train, test = (source_of(split, trial, CPU, split is stored.train) for split in (stored.train, stored.test))
    return bare.training(trial, train, test, CPU)


def measure(array: Training, exact: Training, rounds: int, images: int) -> dict[str, Paired]:
    """CPU seconds per image of two parts: `cut`, decoded, cut and resized, which is what a GPU is sent; `batch`,
    augmented as well."""
    steps = max(1, min(images, len(array.train)) // array.recipe.batch)
    epochs = iter(range(1, 10**9))

    def cut(t: Training) -> None:
        for _ in t.parts("bench", next(epochs), steps):
            pass

    def batched(t: Training) -> None:
        for _ in t.batches("bench", next(epochs), steps):
            pass

    found = {}
    for name, work in (("cut", cut), ("batch", batched)):
        sides = (lambda w=work: w(array), lambda w=work: w(exact))
        # After four rounds the table of colours is made, which is part of no ratio.
        seconds = interleaved(sides, rounds, cpu_seconds, warm_up=4)
        found[name] = Paired(*(tuple(s / (steps * array.recipe.batch) for s in side) for side in seconds))
    return found


def run(names: list[str], root: Path, cache: Path, rounds: int, note: Note, images: int = 512) -> dict[str, Any]:
    """Both parts of all tasks, as JSON can hold them; `images` of the training split a round at most.

    ValueError where the training split has not one batch of images.
    """
    before = conditions(CPU)
    stored: dict[str, LargeDataset] = {}
    for mode in ("array", "exact"):
        found = datasets.prepare("imagenet", root, cache, form=Form(mode), note=note)
        if not isinstance(found, LargeDataset):
            raise TypeError("imagenet is a dataset of images of many sizes")
        if len(found.train) < BATCH:
            raise ValueError(f"{root} holds {len(found.train)} training images; one batch has {BATCH}")
        stored[mode] = found
    cells = []
    for name in names:
        note(f"modes, {name}: {rounds} rounds")
        array, exact = (training(name, stored[mode]) for mode in ("array", "exact"))
        for part, paired in measure(array, exact, rounds, images).items():
            cells.append({"task": name, "part": part, "batch": BATCH, **paired.as_json()})
    return {"bench": "modes", "conditions": before, "load_after": conditions(CPU)["load"], "cells": cells}
