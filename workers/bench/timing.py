"""Interleaved measurements: A B A B ... in one process, so that disturbances of the machine affect both sides."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

from workers import provenance

Work = Callable[[], object]
PACKAGES = ("archsweep", "torch", "numpy", "scikit-image", "scikit-learn", "nasbench-pytorch")


@dataclass(frozen=True)
class Paired:
    """Seconds per image of both sides, one value per round; the i-th values were measured one after the other."""

    ours: tuple[float, ...]
    baseline: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Speed-up of this package over the baseline, per round."""
        return [b / o for o, b in zip(self.ours, self.baseline, strict=True)]

    def as_json(self) -> dict[str, Any]:
        """All readings, the median paired ratio with its range, and images per second from the median reading."""
        return {
            "rounds": len(self.ours),
            "ours_s_per_image": list(self.ours),
            "baseline_s_per_image": list(self.baseline),
            "ours_images_per_s": 1 / statistics.median(self.ours),
            "baseline_images_per_s": 1 / statistics.median(self.baseline),
            "ratio": statistics.median(self.ratios),
            "ratio_min": min(self.ratios),
            "ratio_max": max(self.ratios),
        }


def cpu_seconds(work: Work) -> float:
    """CPU seconds of this process, summed over its threads; other processes hardly affect it."""
    start = time.process_time()
    work()
    return time.process_time() - start


def cuda_seconds(work: Work) -> float:
    """Seconds between two CUDA events of the current stream, before and after the work."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000


def wall_seconds(work: Work) -> float:
    """Wall-clock seconds until the device has finished: for work on both CPU and device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def interleaved(
    works: tuple[Work, ...], rounds: int, clock: Callable[[Work], float], warm_up: int = 1
) -> list[list[float]]:
    """Seconds of each work in each round, (works, rounds), after `warm_up` unmeasured rounds."""
    for _ in range(warm_up):
        for work in works:
            work()
    readings = [[clock(work) for work in works] for _ in range(rounds)]
    return [list(column) for column in zip(*readings, strict=True)]


class Ceiling:
    """A large dense 3x3 convolution, forward and backward in fp32: the highest speed to expect on this device."""

    def __init__(self, device: torch.device, batch: int = 32, channels: int = 256, size: int = 16) -> None:
        layout = torch.channels_last
        self._conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(device).to(memory_format=layout)
        shape = (batch, channels, size, size)
        self._x = torch.randn(shape, device=device).to(memory_format=layout).requires_grad_()
        self._gradient = torch.randn(shape, device=device).to(memory_format=layout)
        # Forward, gradient of the input, gradient of the weights; a multiply-add is two operations.
        self.flop = 3 * 2 * batch * channels**2 * 9 * size**2

    def __call__(self) -> None:
        self._x.grad = self._conv.weight.grad = None
        self._conv(self._x).backward(self._gradient)


def conditions(device: torch.device) -> dict[str, Any]:
    """Machine, software and load of a measurement."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": provenance.device_name(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": provenance.build()["python_version"],
        "git_revision": provenance.build()["git_revision"],
        "git_dirty": provenance.build()["git_dirty"],
        **{package: _version(package) for package in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
