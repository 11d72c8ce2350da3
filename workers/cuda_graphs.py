"""Work of fixed shapes, recorded once and replayed: a training step as one CUDA graph.

A step of these networks is some thousand small kernels, and a GPU waits for Python to queue each of them.  A graph
holds the whole queue, augmentation to optimiser, and is handed over at once.  What is replayed are the same kernels on
the same addresses; so inputs are copied into tensors that stay, and everything else that changes from call to call (the
learning rate, sums, weights) must live in tensors, too.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Protocol
from weakref import WeakSet

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Part = dict[str, Tensor]
Replay = Callable[[], None]
WARM_UP = 3  # calls before the recording: libraries choose algorithms and allocate in the first ones

_failed = False


def capture_failed() -> bool:
    """Whether any capture failed in this process.

    After one torch may keep the graph's memory until the process ends, so it should not go on to other trainings.
    """
    return _failed


def on(device: torch.device) -> AbstractContextManager[Any]:
    """Make a CUDA device the current one: whatever names no device (events, captures, allocations) means it."""
    if device.type != "cuda":
        return nullcontext()
    torch.cuda.init()  # tells what is wrong where there is no GPU
    return torch.cuda.device(device)


class Recorder(Protocol):
    """Makes a replay of work that was called before; calling the replay does on the device what the work does."""

    def __call__(self, work: Replay, device: torch.device) -> Replay: ...


class Graphs:
    """Records the CUDA graphs of one training; RuntimeError where the work waits for the device.

    They share their memory, so they must not be replayed at the same time.  What outlives a graph's replay (gradients)
    keeps its place in it; activations of training and evaluation take turns.
    """

    def __init__(self) -> None:
        self._pool: Any = None  # a handle is of use while a graph lives that was captured with it
        self._alive: WeakSet[torch.cuda.CUDAGraph] = WeakSet()
        self._why: str | None = None  # a capture failed: its memory may be unusable, so there is no other one

    def __call__(self, work: Replay, device: torch.device) -> Replay:
        if self._why is not None:
            raise RuntimeError(f"another capture of this training failed: {self._why}")
        graph = torch.cuda.CUDAGraph()
        with on(device):
            if not self._alive:
                self._pool = torch.cuda.graph_pool_handle()
            try:
                # Errors of this thread alone: feeding threads pin memory meanwhile.
                with torch.cuda.graph(graph, pool=self._pool, stream=_side(device), capture_error_mode="thread_local"):
                    work()
            except RuntimeError as error:
                self._why = _first_line(error)
                raise
        self._alive.add(graph)
        return graph.replay


class Captured:
    """`work(part)`, called step by step when it is first needed, recorded, and from then on replayed.

    `state` gives every tensor that `work` changes: the warm-up changes them and gives them back.  A part of other
    shapes than the first (the last batch of a split) is worked on eagerly.  Where recording is impossible, or a replay
    does not change what the work changes, everything is, and `mode` says why.
    """

    def __init__(
        self,
        work: Callable[[Part], None],
        state: Callable[[], list[Tensor]],
        device: torch.device,
        record: Recorder | None,
    ) -> None:
        self._work, self._state, self._device, self._record = work, state, device, record
        self._inputs: Part = {}
        self._replay: Replay | None = None
        self.mode = "graph" if record else "eager"

    def __call__(self, part: Part) -> None:
        if self._record is not None and self._replay is None:
            self._capture(part, self._record)
        if self._replay is None or not self._fits(part):
            self._work(part)
            return
        for name, tensor in part.items():
            self._inputs[name].copy_(tensor)
        self._replay()

    def _fits(self, part: Part) -> bool:
        return {k: v.shape for k, v in part.items()} == {k: v.shape for k, v in self._inputs.items()}

    def _capture(self, part: Part, record: Recorder) -> None:
        """Warm up, record, try the replay, and put everything back as it was; on failure stay eager."""
        global _failed
        self._inputs = {name: tensor.clone() for name, tensor in part.items()}
        state = self._state()
        before = [tensor.clone() for tensor in state]
        with _beside(self._device):
            self._work(self._inputs)
            changes = _changes(state, before)
            for _ in range(WARM_UP - 1):
                self._work(self._inputs)
        try:
            replay = record(lambda: self._work(self._inputs), self._device)
            _restore(state, before)
            replay()
            # A graph may be empty or lack a part without any error, when work went to another device or stream.
            if missing := sum(w and not r for w, r in zip(changes, _changes(state, before), strict=True)):
                raise RuntimeError(
                    f"the recorded step is not the whole step: {missing} of the {sum(changes)} tensors that the step "
                    "changes stay as they were"
                )
            self._replay = replay
        except RuntimeError as error:
            _failed = True
            causes = [cause for cause in _causes(error) if isinstance(cause, RuntimeError)]
            for cause in causes:
                if isinstance(cause, torch.OutOfMemoryError):
                    raise cause from None  # eager would need as much: this is the placement's concern
            first = causes[-1]
            self._record = None
            self.mode = f"eager: {_first_line(first)}"
            log.warning("this work cannot be captured, so every step is queued by itself (%s)", first)
        _restore(state, before)


def _changes(state: list[Tensor], before: list[Tensor]) -> list[bool]:
    """Which tensors are not what they were; waits for the device."""
    return [not torch.equal(tensor, value) for tensor, value in zip(state, before, strict=True)]


@torch.no_grad()
def _restore(state: list[Tensor], before: list[Tensor]) -> None:
    for tensor, value in zip(state, before, strict=True):
        tensor.copy_(value)


def _causes(error: BaseException) -> list[BaseException]:
    """An error and those it was raised over, the first of all last: ending a broken capture raises again."""
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return found


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


@cache
def _stream(index: int) -> torch.cuda.Stream:
    """The stream of a device's warm-ups and captures, one for the process: memory cached for one stream is no use to
    another."""
    return torch.cuda.Stream(index)


def _side(device: torch.device) -> torch.cuda.Stream:
    return _stream(torch.cuda.current_device() if device.index is None else device.index)


@contextmanager
def _beside(device: torch.device) -> Iterator[None]:
    """CUDA wants the calls before a recording on another stream than the usual one; a CPU has no streams."""
    if device.type != "cuda":
        yield
        return
    side, main = _side(device), torch.cuda.current_stream(device)
    side.wait_stream(main)
    try:
        with torch.cuda.stream(side):
            yield
    finally:
        main.wait_stream(side)
