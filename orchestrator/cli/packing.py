"""How many trials one GPU has room for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.store.run_folder import RunStore
from orchestrator.study.plan import trial_of

MOST = 8  # side by side; what more would bring is not known
CONTEXT = 700 * 2**20  # bytes of a CUDA process besides tensors: kernels, libraries
SPARE = 1.2  # allocators leave gaps, algorithms want workspaces
GPUS = (16, 24, 40, 80, 141)  # GB, what GPUs come with; to speak of where none is known


@dataclass(frozen=True)
class Room:
    """Bytes that the largest trial of a study holds of a GPU, and bytes of the GPU where one is known."""

    trial: int
    measured: bool  # by trials that ran on a GPU; else reckoned from the largest network
    gpu: int | None

    @property
    def share(self) -> float | None:
        """The smallest `gpus_per_trial` at which every trial has room, 1/1 to 1/8; None without a known GPU."""
        return None if self.gpu is None else share(self.trial, self.gpu)

    def text(self) -> str:
        """One line for `plan`."""
        how = "as finished trials used" if self.measured else "reckoned from the largest network"
        need = f"GPU memory: at most about {self.trial / 1e9:.1f} GB a trial ({how}); "
        if self.share is not None and self.gpu is not None:
            return need + f"gpus_per_trial = {self.share:g} has room on GPUs of {self.gpu / 1e9:.0f} GB"
        fits = [f"{share(self.trial, size * 10**9):g} on {size} GB" for size in GPUS]
        return need + f"room for gpus_per_trial = {', '.join(fits)}"


def share(trial: int, gpu: int) -> float:
    """1/N for the largest N <= 8 such that N trials of these bytes have room on a GPU of those; rounded down, so that
    N of them do not exceed the GPU."""
    fit = max(1, min(MOST, int(gpu / (trial * SPARE + CONTEXT))))
    return 10_000 // fit / 10_000


def room(store: RunStore, largest: Iterable[Mapping[str, Any]]) -> Room:
    """From rows of trials that ran on GPUs, or else from `largest`, the plan's row with the most work of each cell."""
    from workers.memory import training_bytes  # imports torch

    columns = ["status", "gpu_share", "peak_mem_bytes", "peak_reserved_bytes", "device_mem_bytes"]
    rows = store.attempts(columns).to_pylist()
    ran = [r for r in rows if r["status"] == "ok" and r["gpu_share"] and r["device_mem_bytes"] and _held(r)]
    if ran:
        return Room(max(map(_held, ran)), True, min(r["device_mem_bytes"] for r in ran))
    return Room(max(training_bytes(trial_of(dict(row))) for row in largest), False, _here())


def _held(row: Mapping[str, Any]) -> int:
    """Bytes that a trial held of its GPU, which a share limits; of older rows those of its tensors."""
    return row["peak_reserved_bytes"] or row["peak_mem_bytes"] or 0


def _here() -> int | None:
    """Memory of this machine's first GPU."""
    import torch

    return torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None
