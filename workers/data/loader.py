"""The data loaders of a training: all images resident on the device, or crops made on the CPU and streamed to it.

A *part* is the input of one step: a dictionary of tensors on the device, of the same shapes in every step, so that a
step can be captured as a CUDA graph with either loader.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from workers.cuda_graphs import Part
from workers.data.arrays import Split
from workers.data.image_types import OUTSIDE
from workers.data.resize import crop, crop_map

if TYPE_CHECKING:
    from workers.data.large import LargeSplit

AHEAD = 2  # batches prefetched per loader thread
AHEAD_BYTES = 4 * 2**30  # upper limit of the prefetched batches together
MOST_THREADS = 8
SENT_AHEAD = 2  # parts copied to the GPU before it starts to process them
CropBoxes = Callable[[Tensor, Part], Tensor]  # sizes (B, 2) and draws -> crop boxes (B, 8)
PLACES = ("image", "pixels", "label")  # keys of a part; all its other keys are draws


class Source(Protocol):
    """The images of one split, as a training uses them."""

    def __len__(self) -> int: ...

    def parts(self, drawn: Part, size: int) -> Iterator[Part]:
        """Parts of `size` images in order; `drawn` holds their indices `image` (n,) and their draws, on the CPU."""

    def look_up(self, part: Part) -> tuple[Tensor, Tensor]:
        """Pixels (B, H, W, 3) and labels (B,) or label maps (B, H, W) of a part; runs on the device, fixed shapes."""


def slices(drawn: Part, size: int) -> Iterator[Part]:
    """The draws, `size` images at a time."""
    for start in range(0, len(drawn["image"]), size):
        yield {name: values[start : start + size] for name, values in drawn.items()}


@dataclass(frozen=True)
class Resident:
    """A split that is resident on the device of the training: uint8 (N, H, W, 3) and int64 (N,)."""

    pixels: Tensor
    labels: Tensor

    @classmethod
    def of(cls, split: Split, device: torch.device) -> "Resident":
        """On the CPU the memory-mapped array of the cache, shared by all trials; else a copy on the device."""
        return cls(torch.from_numpy(split.images).to(device), torch.from_numpy(split.labels).to(device))

    def __len__(self) -> int:
        return len(self.pixels)

    def parts(self, drawn: Part, size: int) -> Iterator[Part]:
        """Parts of indices: the draws of the whole epoch are copied to the device at once."""
        return slices({name: values.to(self.pixels.device) for name, values in drawn.items()}, size)

    def look_up(self, part: Part) -> tuple[Tensor, Tensor]:
        """The images at a part's indices."""
        # index_select copies whole images, advanced indexing copies element by element.
        return self.pixels.index_select(0, part["image"]), self.labels[part["image"]]


@dataclass(frozen=True)
class Streamed:
    """A split of images of many sizes: crops are made on the CPU and copied to the device, part by part.

    On a CPU each part is made on demand in the training thread; for a GPU, worker threads prefetch parts.
    The content of the parts is the same.
    """

    images: "LargeSplit"
    crops: CropBoxes
    frame: tuple[int, int]  # rows and columns of a crop
    dtype: torch.dtype  # of the pixels: uint8, or float32 without rounding after resizing
    device: torch.device
    dense: bool = False  # with label maps
    cpus: int | None = None  # cores for the worker threads; None: all cores of this process

    def __len__(self) -> int:
        return len(self.images)

    def parts(self, drawn: Part, size: int) -> Iterator[Part]:
        """Parts with `pixels` (B, rows, columns, 3) and `label` (B,), or (B, rows, columns) for dense tasks."""
        if self.device.type == "cpu":
            return map(self.collate, slices(drawn, size))
        return self.prefetch(slices(drawn, size))

    def look_up(self, part: Part) -> tuple[Tensor, Tensor]:
        """The pixels and labels that the part holds."""
        return part["pixels"], part["label"]

    def collate(self, part: Part) -> Part:
        """A part with pixels in place of indices, on the CPU."""
        numbers = part["image"].numpy()
        draws = {name: values for name, values in part.items() if name != "image"}
        boxes = self.crops(torch.from_numpy(self.images.sizes(numbers)), draws).tolist()
        pixels = torch.zeros(len(numbers), *self.frame, 3, dtype=self.dtype)
        labels = torch.from_numpy(self.images.labels[numbers])
        if self.dense:
            labels = torch.full((len(numbers), *self.frame), OUTSIDE, dtype=torch.uint8)
        for place, number in enumerate(numbers):
            cropped = crop(self.images.pixels(int(number)), boxes[place], self.frame, self.dtype)
            rows, columns = cropped.shape[:2]
            pixels[place, :rows, :columns] = cropped
            if self.dense:
                found = crop_map(self.images.label_map(int(number)), boxes[place], self.frame)
                labels[place, :rows, :columns] = found
        return {"pixels": pixels, "label": labels, **draws}

    def prefetch(self, parts: Iterator[Part]) -> Iterator[Part]:
        """Parts on the device, in order, made by worker threads while the device computes."""
        threads = min(MOST_THREADS, bound(), self.cpus or cores())
        waiting: deque[Future[Part]] = deque()
        send: Callable[[Part], Part] = Sender(self.device) if self.device.type == "cuda" else dict
        own = torch.get_num_threads()
        # One intra-op thread per worker thread: resizing a single image is too small to parallelise.
        pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        try:
            for part in parts:
                waiting.append(pool.submit(self._pin, part))
                room = AHEAD_BYTES // (len(part["image"]) * self._bytes)
                if len(waiting) > min(AHEAD * threads, max(1, room)):
                    yield send(waiting.popleft().result())
            while waiting:
                yield send(waiting.popleft().result())
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(own)  # the setting of the pool's threads partly applies to the whole process

    @property
    def _bytes(self) -> int:
        """Bytes of one crop with its label map."""
        return self.frame[0] * self.frame[1] * (3 * self.dtype.itemsize + self.dense)

    def _pin(self, part: Part) -> Part:
        collated = self.collate(part)
        # Only copies from pinned memory can overlap with computation.
        return {k: v.pin_memory() for k, v in collated.items()} if self.device.type == "cuda" else collated


@dataclass(frozen=True)
class Subset:
    """Some images of a split, as a split of its own."""

    of: Source
    positions: Tensor  # int64 (n,), on the CPU

    def __len__(self) -> int:
        return len(self.positions)

    def parts(self, drawn: Part, size: int) -> Iterator[Part]:
        """Parts of the whole split."""
        return self.of.parts({**drawn, "image": self.positions[drawn["image"]]}, size)

    def look_up(self, part: Part) -> tuple[Tensor, Tensor]:
        """The images of a part."""
        return self.of.look_up(part)


class Sender:
    """Copies parts to a GPU on a separate stream, so that a copy overlaps with the previous step.

    It waits while more than `SENT_AHEAD` parts are ahead of the computation, to limit memory.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _copies(torch.cuda.current_device() if device.index is None else device.index)
        self._used: deque[torch.cuda.Event] = deque()

    def __call__(self, part: Part) -> Part:
        """The part on the device, ready for the current stream."""
        main = torch.cuda.current_stream(self._device)
        # The work queued by now uses all parts sent before.
        self._used.append(main.record_event(torch.cuda.Event(blocking=True)))
        if len(self._used) > SENT_AHEAD:
            self._used.popleft().synchronize()
        with torch.cuda.stream(self._stream):
            sent = {name: values.to(self._device, non_blocking=True) for name, values in part.items()}
        main.wait_stream(self._stream)
        for values in sent.values():
            values.record_stream(main)
        return sent


@cache
def _copies(index: int) -> torch.cuda.Stream:
    """The stream of a device's copies, one per process, since cached memory belongs to one stream."""
    return torch.cuda.Stream(index)


def cores() -> int:
    """Number of cores that this process should use: those it is bound to, or OMP_NUM_THREADS if that is less."""
    setting = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(bound(), int(setting)) if setting.isdecimal() and int(setting) else bound()


def bound() -> int:
    """Number of cores that this process is bound to."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
