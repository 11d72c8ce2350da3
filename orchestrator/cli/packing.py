"""The number of trials that fit on one GPU."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.store.run_folder import RunStore
from orchestrator.study.plan import trial_of

MOST = 8  # trials per GPU; more were not measured
CONTEXT = 700 * 2**20  # bytes of a CUDA process besides tensors: kernels, libraries
SPARE = 1.2  # factor for gaps of the allocator and workspaces of algorithms
GPUS = (16, 24, 40, 80, 141)  # GB, common sizes, for the message where no GPU is known


@dataclass(frozen=True)
class Room:
    """GPU memory in bytes of the largest trial of a study, and of the GPU where one is known."""

    trial: int
    measured: bool  # from trials that ran on a GPU; else estimated from the largest network
    gpu: int | None

    @property
    def share(self) -> float | None:
        """The smallest `gpus_per_trial` at which every trial fits, 1/1 to 1/8; None without a known GPU."""
        return None if self.gpu is None else share(self.trial, self.gpu)

    def text(self) -> str:
        """One line for `plan`."""
        how = "measured in finished trials" if self.measured else "estimated from the largest network"
        need = f"GPU memory: at most about {self.trial / 1e9:.1f} GB per trial ({how}); "
        if self.share is not None and self.gpu is not None:
            if not _enough(self.trial, self.gpu):
                return need + f"a GPU of {self.gpu / 1e9:.0f} GB is too small"
            return need + f"gpus_per_trial = {self.share:g} fits on GPUs of {self.gpu / 1e9:.0f} GB"
        enough = [size for size in GPUS if _enough(self.trial, size * 10**9)]
        fits = [f"{share(self.trial, size * 10**9):g} on {size} GB" for size in enough]
        if not fits:
            return need + f"a GPU of {GPUS[-1]} GB is too small"
        return need + f"gpus_per_trial that fits: {', '.join(fits)}"


def share(trial: int, gpu: int) -> float:
    """1/N for the largest N <= 8 such that N trials of `trial` bytes fit on a GPU of `gpu` bytes; rounded down, so that
    N shares do not exceed the GPU."""
    fit = max(1, min(MOST, int(gpu / _used(trial))))
    return 10_000 // fit / 10_000


def _used(trial: int) -> float:
    """Bytes of a GPU that a trial of `trial` bytes takes."""
    return trial * SPARE + CONTEXT


def _enough(trial: int, gpu: int) -> bool:
    return _used(trial) <= gpu


def room(store: RunStore, largest: Iterable[Mapping[str, Any]]) -> Room:
    """From rows of trials that ran on GPUs, else estimated from `largest`, the row with the most MACs of each cell."""
    from workers.memory import training_bytes  # imports torch

    columns = ["status", "gpu_share", "peak_mem_bytes", "peak_reserved_bytes", "device_mem_bytes"]
    rows = store.attempts(columns).to_pylist()
    ran = [r for r in rows if r["status"] == "ok" and r["gpu_share"] and r["device_mem_bytes"] and _held(r)]
    if ran:
        return Room(max(map(_held, ran)), True, min(r["device_mem_bytes"] for r in ran))
    return Room(max(training_bytes(trial_of(dict(row))) for row in largest), False, _here())


def _held(row: Mapping[str, Any]) -> int:
    """Bytes of GPU memory that a trial reserved, which its share limits; in older rows those of its tensors."""
    return row["peak_reserved_bytes"] or row["peak_mem_bytes"] or 0


def _here() -> int | None:
    """Memory of this machine's first GPU."""
    import torch

    return torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None
