"""Searches of a second, for the tests of searches: import the fixtures `search` and `places`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import spaces
import workers
from workers import datasets, methods
from workers.methods._bilevel import SearchRun
from workers.run import setting

METHODS: dict[str, dict[str, Any]] = {
    "darts": {"order": 2},
    "pc_darts": {"frozen_epochs": 1},
    "gdas": {"first": "architecture"},
    "snas": {"tau": (3.0, 1.0)},
    "darts_minus": {"fading": "cosine"},
    "p_darts": {"space": "darts", "deeper": (1,), "kept": (3,), "dropout": (0.3, 0.5), "frozen_epochs": 0},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


Make = Callable[..., workers.Trial]
Places = dict[str, Path]


@pytest.fixture
def places(pictures: Path, cache: Path) -> Places:
    """Where images are read and kept."""
    return {"data_root": pictures, "cache_dir": cache}


@pytest.fixture
def search(pictures: Path, cache: Path) -> Make:
    """Makes searches of 64 images: two steps of 16 images for the network, two for the architecture, per epoch."""
    source = datasets.Source(kind="parquet", size=16)
    own, dataset_id = datasets.describe("pictures", source, pictures, cache)

    def make(
        method: str = "darts", space: str = "nasbench201", task: str = "cls", seed: int = 1, **changes: Any
    ) -> workers.Trial:
        sizes = {"epochs": 2, "width": 4, "depth": 1, "batch": 16, "test_batch": 32, "arch_lr": 0.02}
        recipe = workers.recipe(method, space=space, dataset="pictures", task=task, size=16)
        where: dict[str, Any] = {"dataset": "pictures", "dataset_id": dataset_id, "own": own}
        return workers.Trial(
            space=space, arch=spaces.WHOLE, task=task, seed=seed, recipe=recipe.replace(**sizes | changes), **where
        )

    return make


def started(trial: workers.Trial, places: Places) -> SearchRun:
    run = methods.get(trial.recipe.method).start(setting(trial, torch.device("cpu"), **places))
    assert isinstance(run, SearchRun)
    return run
