"""A training before its first epoch, without the loop around it; and a stop at the end of an epoch."""

from pathlib import Path
from typing import Any

import torch

import spaces
import workers
from workers import datasets
from workers.cuda_graphs import Recorder
from workers.datasets import Source
from workers.methods.train import training
from workers.run import setting
from workers.training.steps import Training


def prepare(
    trial: workers.Trial,
    device: torch.device,
    data_root: Path | None,
    cache_dir: Path | None,
    record: Recorder | None = None,
    cpus: int | None = None,
) -> Training:
    """Network, optimiser and images of a trial."""
    return training(setting(trial, device, data_root, cache_dir, record, cpus=cpus))


def small(pictures: Path, cache: Path, task: str, space: str = "chain", **changes: Any) -> workers.Trial:
    """A training of two steps per epoch, on the images of tests/pictures.py."""
    own, dataset_id = datasets.describe("pictures", Source(kind="parquet", size=16), pictures, cache)
    recipe = workers.recipe("demo", space=space, dataset="pictures", task=task, size=16)
    recipe = recipe.replace(**{"epochs": 1, "width": 4, "batch": 32, "test_batch": 32, "precise_bn": 64, **changes})
    arch = spaces.sample(spaces.get(space), 1, 0).archs[0]
    return workers.Trial(
        space=space, arch=arch, dataset="pictures", task=task, recipe=recipe, dataset_id=dataset_id, own=own
    )


def stop_after(epochs: int = 1) -> dict[str, Any]:
    """Options of `workers.run` that stop it after this many epochs of the call.

    Needs `workers.loop.STOP_CHECK_S = 0`, so that `stop` is called after every epoch.
    """
    ended: list[dict[str, float]] = []
    return {"on_epoch": ended.append, "stop": lambda: len(ended) >= epochs}
