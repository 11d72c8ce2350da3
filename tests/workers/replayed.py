"""A CUDA graph emulated on the CPU: operations are recorded with their tensors and repeated on the same tensors."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from workers.cuda_graphs import Replay


def _tensors(values: Any) -> list[Tensor]:
    return [v for v in tree_flatten(values)[0] if isinstance(v, Tensor)]


def _places(values: Any) -> set[int]:
    return {t.untyped_storage().data_ptr() for t in _tensors(values)}


class _Tape(TorchDispatchMode):
    """Every operation below autograd, in order.  As on a GPU, none may ask the device for a number."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out


def tape(work: Replay, device: torch.device) -> Replay:
    """A recorder for `workers.cuda_graphs.Captured` that needs no GPU."""
    with _Tape() as recorded:
        work()

    @torch.no_grad()
    def replay() -> None:
        for func, args, kwargs, out in recorded.calls:
            again = func(*args, **kwargs)
            inputs = _places((args, kwargs))
            for old, new in zip(_tensors(out), _tensors(again), strict=True):
                if old.untyped_storage().data_ptr() not in inputs:  # neither in place nor a view: fresh memory
                    old.copy_(new)

    return replay
