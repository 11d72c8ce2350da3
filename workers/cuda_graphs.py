"""Captures a training step of fixed shapes as a CUDA graph and replays it.

A step of these networks launches some thousand small kernels, and the GPU waits for Python to launch each of them.  A
graph holds all kernels of a step, from augmentation to optimiser, and is launched at once.  A replay runs the same
kernels on the same memory addresses.  So inputs are copied into static tensors, and everything else that changes
between calls (learning rate, sums, weights) must be stored in tensors too.
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
WARM_UP = 3  # calls before the capture: in the first calls libraries choose algorithms and allocate memory

_failed = False


def capture_failed() -> bool:
    """Whether any capture failed in this process.

    After a failure torch may keep the graph's memory until the process ends, so the process should not train further
    trials.
    """
    return _failed


def on(device: torch.device) -> AbstractContextManager[Any]:
    """Make a CUDA device the current one, for events, captures and allocations that name no device."""
    if device.type != "cuda":
        return nullcontext()
    torch.cuda.init()  # raises a clear error if there is no GPU
    return torch.cuda.device(device)


class Recorder(Protocol):
    """Captures `work`, which was called before, and returns its replay: calling that repeats the work on the device."""

    def __call__(self, work: Replay, device: torch.device) -> Replay: ...


class Graphs:
    """Captures the CUDA graphs of one training; RuntimeError if the work synchronises with the device.

    The graphs share a memory pool, so they must not be replayed at the same time.  Tensors that outlive a replay
    (gradients) keep their memory; activations of training and evaluation use the same memory alternately.
    """

    def __init__(self) -> None:
        self._pool: Any = None  # a pool handle is valid while a graph captured with it exists
        self._alive: WeakSet[torch.cuda.CUDAGraph] = WeakSet()
        self._why: str | None = None  # why a capture failed; the pool may be unusable, so no other capture is tried

    def __call__(self, work: Replay, device: torch.device) -> Replay:
        if self._why is not None:
            raise RuntimeError(f"another capture of this training failed: {self._why}")
        graph = torch.cuda.CUDAGraph()
        with on(device):
            if not self._alive:
                self._pool = torch.cuda.graph_pool_handle()
            try:
                # "thread_local": only this thread is restricted; loader threads pin memory meanwhile.
                with torch.cuda.graph(graph, pool=self._pool, stream=_side(device), capture_error_mode="thread_local"):
                    work()
            except RuntimeError as error:
                self._why = _first_line(error)
                raise
        self._alive.add(graph)
        return graph.replay


class Captured:
    """Calls `work(part)` eagerly for a warm-up, captures it, and replays the capture from then on.

    `state` returns every tensor that `work` changes; their values are restored after the warm-up.  A part of other
    shapes than the first (the last batch of a split) is processed eagerly.  If the capture fails, or its replay does
    not change the same tensors as the work, all parts are processed eagerly and `mode` says why.
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
            self.capture(part, self._record)
        if self._replay is None or not self._fits(part):
            self._work(part)
            return
        for name, tensor in part.items():
            self._inputs[name].copy_(tensor)
        self._replay()

    def _fits(self, part: Part) -> bool:
        return {k: v.shape for k, v in part.items()} == {k: v.shape for k, v in self._inputs.items()}

    def capture(self, part: Part, record: Recorder) -> None:
        """Warm up, capture, check the replay, and restore the state; on failure stay eager."""
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
            # If kernels ran on another device or stream, the graph is incomplete or empty without any error.
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
                    raise cause from None  # an eager step would need as much memory; the caller handles this error
            first = causes[-1]
            self._record = None
            self.mode = f"eager: {_first_line(first)}"
            log.warning("the step cannot be captured, so all steps run eagerly (%s)", first)
        _restore(state, before)


def _changes(state: list[Tensor], before: list[Tensor]) -> list[bool]:
    """Which tensors differ from their earlier values; synchronises with the device."""
    return [not torch.equal(tensor, value) for tensor, value in zip(state, before, strict=True)]


@torch.no_grad()
def _restore(state: list[Tensor], before: list[Tensor]) -> None:
    for tensor, value in zip(state, before, strict=True):
        tensor.copy_(value)


def _causes(error: BaseException) -> list[BaseException]:
    """An error and its causes, the first cause last: ending a failed capture raises another error."""
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return found


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


@cache
def _stream(index: int) -> torch.cuda.Stream:
    """The stream of a device's warm-ups and captures, one per process, since cached memory belongs to one stream."""
    return torch.cuda.Stream(index)


def _side(device: torch.device) -> torch.cuda.Stream:
    return _stream(torch.cuda.current_device() if device.index is None else device.index)


@contextmanager
def _beside(device: torch.device) -> Iterator[None]:
    """Run the warm-up on the side stream, as CUDA requires; does nothing on a CPU."""
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
