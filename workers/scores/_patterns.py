"""Activation patterns: which units of the ReLUs are positive, for every input of a batch.

Published networks have a ReLU module in front of (or behind) each convolution, and published code counts the units of
each module.  Networks of this project apply one functional ReLU to a map that several operations read.  A functional
ReLU therefore counts once for each convolution that reads it, and at least once; a module `nn.ReLU` once.  Of a ReLU6
a unit is positive as of a ReLU, also beyond 6.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_RELUS: tuple[Callable[..., Any], ...] = (
    F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6
)  # fmt: skip


@dataclass
class _Shared:
    """A map after a functional ReLU, its kernel, and how many convolutions have read it."""

    map: "weakref.ref[Tensor]"  # ids are used again: this tells whether it is still the same map
    kernel: Tensor
    readers: int = 0


class _Recorder(TorchFunctionMode):
    """Adds the kernel of each ReLU while a network is applied."""

    def __init__(self, inputs: int, shared: bool) -> None:
        super().__init__()
        self.inputs, self.shared = inputs, shared
        self.total: Tensor | None = None
        self.waiting: dict[int, _Shared] = {}  # by the id of the map
        self.within = False  # a module nn.ReLU or nn.ReLU6

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in _RELUS and not (func is F.hardtanh and self.within):  # which the module nn.ReLU6 calls
            return func(*args, **(kwargs or {}))
        found = self._kernel(args[0] if args else (kwargs or {})["input"])
        self.add(found)
        out = func(*args, **(kwargs or {}))
        if self.shared and not self.within:
            self.waiting[id(out)] = _Shared(weakref.ref(out), found)
        return out

    def read(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Before a convolution: count its map again if another convolution has read it."""
        known = self.waiting.get(id(inputs[0]))
        if known is not None and known.map() is inputs[0]:
            known.readers += 1
            if known.readers > 1:
                self.add(known.kernel)

    def add(self, found: Tensor) -> None:
        """Add a kernel to the total."""
        self.total = found if self.total is None else self.total + found

    def _kernel(self, before: Tensor) -> Tensor:
        """Units on which two inputs agree, float64 (B, B): all, less those that either has, and twice those of both.

        Exact, as counts of a map are below 2^24.
        """
        bits = (before > 0).reshape(self.inputs, -1).to(torch.float32)
        both, each = (bits @ bits.T).double(), bits.sum(1).double()
        return bits.shape[1] - each[:, None] - each + 2 * both


@torch.no_grad()
def kernel(net: nn.Module, inputs: Tensor, shared: bool = True) -> Tensor:
    """The sum of the kernels of all ReLUs, float64 (B, B), for inputs (B, ...).

    `shared`: functional ReLUs count once per convolution that reads them; else once.
    """
    recorder = _Recorder(len(inputs), shared)

    def enter(module: nn.Module, values: Any) -> None:
        recorder.within = True

    def leave(module: nn.Module, values: Any, output: Any) -> None:
        recorder.within = False

    handles = []
    for module in net.modules():
        if isinstance(module, nn.ReLU | nn.ReLU6):
            handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
        elif isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_pre_hook(recorder.read))
    try:
        with recorder:
            net(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if recorder.total is None:
        return torch.zeros(len(inputs), len(inputs), dtype=torch.float64, device=inputs.device)
    return recorder.total
