"""Work of fixed shapes, recorded once and replayed: a training step as one CUDA graph.

A step of these networks is some thousand small kernels, and a GPU waits for Python to queue each of them.  A graph
holds the whole queue, augmentation to optimiser, and is handed over at once.  What is replayed are the same kernels on
the same addresses; so inputs are copied into tensors that stay, and everything else that changes from call to call (the
learning rate, sums, weights) must live in tensors, too.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Part = dict[str, Tensor]
Replay = Callable[[], None]
WARM_UP = 3  # calls before the recording: libraries choose algorithms and allocate in the first ones


class Recorder(Protocol):
    """Makes a replay of work that was called before; calling the replay does on the device what the work does."""

    def __call__(self, work: Replay, device: torch.device) -> Replay: ...


def cuda_graph(work: Replay, device: torch.device) -> Replay:
    """Record everything that `work` queues on a CUDA device; RuntimeError where it waits for the device."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class Captured:
    """`work(part)`, called step by step when it is first needed, recorded, and from then on replayed.

    `state` gives every tensor that `work` changes: the warm-up changes them and gives them back.  A part of other
    shapes than the first (the last batch of a split) is worked on eagerly.  Where recording is impossible everything
    is, and `mode` says why.
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
        """Warm up, record, and put everything back as it was; on failure stay eager."""
        self._inputs = {name: tensor.clone() for name, tensor in part.items()}
        state = self._state()
        before = [tensor.clone() for tensor in state]
        try:
            with _beside(self._device):
                for _ in range(WARM_UP):
                    self._work(self._inputs)
            self._replay = record(lambda: self._work(self._inputs), self._device)
        except torch.OutOfMemoryError:
            raise  # eager would need as much: this is the placement's concern
        except RuntimeError as error:
            self._record = None
            self.mode = f"eager: {(str(error).splitlines() or [type(error).__name__])[0][:200]}"
            log.warning("this work cannot be captured, so every step is queued by itself (%s)", error)
        with torch.no_grad():
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)


@contextmanager
def _beside(device: torch.device) -> Iterator[None]:
    """CUDA wants the calls before a recording on another stream than the usual one; a CPU has no streams."""
    if device.type != "cuda":
        yield
        return
    side, main = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    side.wait_stream(main)
    try:
        with torch.cuda.stream(side):
            yield
    finally:
        main.wait_stream(side)
