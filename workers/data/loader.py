"""Where the images of a split are while it is trained on: all on the device, or cut one by one on the way there.

A *part* is what one step is made of.  It leaves here with all that the step's work needs, in tensors on the device and
of the same shapes every time, so that a step can be recorded whichever way its images come.
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

AHEAD = 2  # batches that wait for the device, for each thread that makes them
AHEAD_BYTES = 4 * 2**30  # fewer where they would be larger than so much together
MOST_THREADS = 8
SENT_AHEAD = 2  # parts on a GPU that it has not begun to work on
CropBoxes = Callable[[Tensor, Part], Tensor]  # sizes (B, 2) and draws -> crops (B, 8)
PLACES = ("image", "pixels", "label")  # of a part; what else it holds are draws


class Source(Protocol):
    """The images of one split, as a training asks for them."""

    def __len__(self) -> int: ...

    def parts(self, drawn: Part, size: int) -> Iterator[Part]:
        """Parts of `size` images in order; `drawn` has their positions `image` (n,) and their draws, on the CPU."""

    def look_up(self, part: Part) -> tuple[Tensor, Tensor]:
        """Pixels (B, H, W, 3) and labels (B,), or label maps (B, H, W), of a part; device work of fixed shapes."""


def slices(drawn: Part, size: int) -> Iterator[Part]:
    """What was drawn, `size` images at a time."""
    for start in range(0, len(drawn["image"]), size):
        yield {name: values[start : start + size] for name, values in drawn.items()}


@dataclass(frozen=True)
class Resident:
    """One split on the device of the training: uint8 (N, H, W, 3) and int64 (N,)."""

    pixels: Tensor
    labels: Tensor

    @classmethod
    def of(cls, split: Split, device: torch.device) -> "Resident":
        """On the CPU the pages of the node's prepared array, shared by all trials; else a copy on the device."""
        return cls(torch.from_numpy(split.images).to(device), torch.from_numpy(split.labels).to(device))

    def __len__(self) -> int:
        return len(self.pixels)

    def parts(self, drawn: Part, size: int) -> Iterator[Part]:
        """Parts of positions: all that was drawn goes to the device at once."""
        return slices({name: values.to(self.pixels.device) for name, values in drawn.items()}, size)

    def look_up(self, part: Part) -> tuple[Tensor, Tensor]:
        """The images at a part's positions."""
        # index_select copies whole images, which indexing does not.
        return self.pixels.index_select(0, part["image"]), self.labels[part["image"]]


@dataclass(frozen=True)
class Streamed:
    """Images of many sizes: frames are cut out of them on the CPU and sent to the device, part by part.

    On a CPU every part is made when it is asked for, in the thread of the training; for a GPU other threads make parts
    ahead.  Which part holds what does not depend on it.
    """

    images: "LargeSplit"
    crops: CropBoxes
    frame: tuple[int, int]  # rows and columns of what is cut out
    dtype: torch.dtype  # of the pixels: bytes, or float32 where nothing is to be rounded
    device: torch.device
    dense: bool = False  # with their label maps
    cpus: int | None = None  # cores for the threads that make parts; None: all that this process may use

    def __len__(self) -> int:
        return len(self.images)

    def parts(self, drawn: Part, size: int) -> Iterator[Part]:
        """Parts with `pixels` (B, rows, columns, 3) and `label` (B,), of dense tasks (B, rows, columns)."""
        if self.device.type == "cpu":
            return map(self.collate, slices(drawn, size))
        return self._prefetch(slices(drawn, size))

    def look_up(self, part: Part) -> tuple[Tensor, Tensor]:
        """They came with the part."""
        return part["pixels"], part["label"]

    def collate(self, part: Part) -> Part:
        """A part with its pixels in place of their positions, on the CPU."""
        numbers = part["image"].numpy()
        draws = {name: values for name, values in part.items() if name != "image"}
        how = self.crops(torch.from_numpy(self.images.sizes(numbers)), draws).tolist()
        pixels = torch.zeros(len(numbers), *self.frame, 3, dtype=self.dtype)
        labels = torch.from_numpy(self.images.labels[numbers])
        if self.dense:
            labels = torch.full((len(numbers), *self.frame), OUTSIDE, dtype=torch.uint8)
        for place, number in enumerate(numbers):
            seen = crop(self.images.pixels(int(number)), how[place], self.frame, self.dtype)
            rows, columns = seen.shape[:2]
            pixels[place, :rows, :columns] = seen
            if self.dense:
                found = crop_map(self.images.label_map(int(number)), how[place], self.frame)
                labels[place, :rows, :columns] = found
        return {"pixels": pixels, "label": labels, **draws}

    def _prefetch(self, parts: Iterator[Part]) -> Iterator[Part]:
        """Parts on the device, in order, made by threads while the device works."""
        threads = min(MOST_THREADS, bound(), self.cpus or cores())
        waiting: deque[Future[Part]] = deque()
        send: Callable[[Part], Part] = Sender(self.device) if self.device.type == "cuda" else dict
        own = torch.get_num_threads()
        # One torch thread each: resizing a single image is too small a work to be divided.
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
            torch.set_num_threads(own)  # what the pool's threads set is in part of the whole process

    @property
    def _bytes(self) -> int:
        """Of one image as it is cut out, with its label map."""
        return self.frame[0] * self.frame[1] * (3 * self.dtype.itemsize + self.dense)

    def _pin(self, part: Part) -> Part:
        made = self.collate(part)
        # Only from pinned memory a copy can run beside the device's work.
        return {k: v.pin_memory() for k, v in made.items()} if self.device.type == "cuda" else made


class Sender:
    """Copies parts to a GPU on a stream of its own: a copy runs beside the step before instead of waiting for it.

    It waits while more than `SENT_AHEAD` parts are ahead of the device, which would fill memory on both sides.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _copies(torch.cuda.current_device() if device.index is None else device.index)
        self._used: deque[torch.cuda.Event] = deque()

    def __call__(self, part: Part) -> Part:
        """The part on the device, ready for the current stream."""
        main = torch.cuda.current_stream(self._device)
        # All parts sent before are used by what is queued by now.
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
    """The stream of a device's copies, one for the process: memory cached for one stream is no use to another."""
    return torch.cuda.Stream(index)


def cores() -> int:
    """Cores that this process should use: those it is bound to, or OMP_NUM_THREADS where that is less."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(bound(), int(said)) if said.isdecimal() and int(said) else bound()


def bound() -> int:
    """Cores that this process is bound to."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
