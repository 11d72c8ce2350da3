"""A training before its first epoch, without the loop around it; and a stop at the end of an epoch."""

from pathlib import Path
from typing import Any

import torch

import workers
from workers.cuda_graphs import Recorder
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


def stop_after(epochs: int = 1) -> dict[str, Any]:
    """Options of `workers.run` that stop it after this many epochs of the call.

    Needs `workers.loop.STOP_CHECK_S = 0`, so that `stop` is called after every epoch.
    """
    ended: list[dict[str, float]] = []
    return {"on_epoch": ended.append, "stop": lambda: len(ended) >= epochs}
