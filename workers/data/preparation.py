"""Estimates the time and disk space of a preparation before it starts, and reports its progress."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workers.data.chunks import Plan, decode_entry
from workers.data.decode import BrokenImageError
from workers.quantities import duration, size

TRIED = 24  # images decoded for the estimate
EVERY_S = 5.0  # between two progress notes
RESERVE = 1.05  # safety factor of the estimated disk space


@dataclass(frozen=True)
class PreparationEstimate:
    """The estimate for the images that must still be decoded."""

    images: int
    tried: int
    bytes: float
    seconds: float
    threads: int
    free: int
    folder: Path

    def text(self, of: int) -> str:
        """One line for display; `of` is the total number of images."""
        done = f"{of - self.images:,} of {of:,} images are done; " if of > self.images else ""
        disk = f"about {size(self.bytes)} in {self.folder} ({size(self.free)} free)" if self.bytes else "no disk"
        return (
            f"{done}{self.images:,} images to decode: {disk}, about {duration(self.seconds)} "
            f"({self.threads} threads; measured on {self.tried} of them)"
        )


def estimate_preparation(plans: Sequence[Plan], folder: Path, threads: int) -> PreparationEstimate:
    """An estimate from decoding a few images spread over the dataset; OSError if the disk has not enough space.

    For shards only images of the first chunk are used, whose rows are already in memory.
    """
    images = sum(len(plan.entries) for plan in plans)
    if plans[0].data is not None:
        plans = plans[:1]
    share = -(-TRIED // len(plans))  # images per chunk
    sample = [
        (plans[number], place)
        for number in np.unique(np.linspace(0, len(plans) - 1, min(TRIED, len(plans))).astype(int))
        for place in np.unique(np.linspace(0, len(plans[number].entries) - 1, share).astype(int))
    ]
    _stored_bytes(*sample[0])  # not timed: the first call also loads libraries
    began = time.perf_counter()
    total = sum(_stored_bytes(plan, place) for plan, place in sample)
    seconds, tried = time.perf_counter() - began, len(sample)
    free = shutil.disk_usage(folder).free
    need = RESERVE * images * total / tried
    if need > free:
        raise OSError(f"{folder} has {size(free)} free, and about {size(need)} are needed; name another cache_dir")
    return PreparationEstimate(images, tried, need, images * seconds / tried / threads, threads, free, folder)


def _stored_bytes(plan: Plan, place: int) -> int:
    """Decode an image; returns the number of bytes that would be stored."""
    try:
        data, pixels, found = decode_entry(plan, place)
    except BrokenImageError:
        return 0
    return {"pixels": pixels.size + (0 if found is None else found.size), "bytes": len(data), "nothing": 0}[plan.keep]


class ProgressNotes:
    """Reports every few seconds how many images are done and how long the rest will take."""

    def __init__(self, images: int, note: Callable[[str], None]) -> None:
        self._images, self._note, self._done = images, note, 0
        self._began = self._told = time.monotonic()

    def add(self, images: int) -> None:
        """Add to the number of finished images; may report."""
        self._done += images
        now = time.monotonic()
        if now - self._told < EVERY_S and self._done < self._images:
            return
        self._told, rate = now, self._done / max(now - self._began, 1e-9)
        self._note(
            f"{self._done:,} of {self._images:,} images, {rate:,.0f} per second, "
            f"{duration((self._images - self._done) / rate)} left"
        )
