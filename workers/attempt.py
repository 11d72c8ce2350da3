"""Run one attempt at a trial; any exception becomes a row with status="failed"."""

import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import spaces
from workers import memory
from workers.loop import Interrupted
from workers.run import columns, run
from workers.scrub import scrub
from workers.trial import Trial
from workers.weights import NotPublished

# Error messages of libraries that allocate GPU memory directly, without torch's allocator.
_CUDA_FULL = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def error_class(error: BaseException) -> str:
    """`oom_cuda` for a full GPU, `oom_host` for full memory, else `error`."""
    if isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in _CUDA_FULL):
        return "oom_cuda"
    if isinstance(error, MemoryError):
        return "oom_host"
    return "error"


def attempt(trial: Trial, data_root: str | Path | None = None, device: str = "cpu", **options: Any) -> dict[str, Any]:
    """`workers.run`, but an exception gives a row with `status="failed"`; takes the same arguments.

    The trial must have its dataset_id.  Interrupted is raised as it is: a stopped training is neither done nor failed.
    So is NotPublished: the storage failed, not the trial.
    """
    began, clock = datetime.now(UTC), time.perf_counter()
    try:
        return run(trial, data_root, device, **options)
    except (Interrupted, NotPublished):
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and spaces.fault(error) is None:
            raise  # not raised by a plug-in: this process is being ended
        return {
            **columns(trial),
            "status": "failed",
            "attempt": 1,
            "error_class": error_class(error),
            "error_text": scrub(f"{type(error).__name__}: {error}"),
            "traceback": scrub(traceback.format_exc()),
            "diverged": False,
            "device": device,
            "started_at": began,
            "finished_at": datetime.now(UTC),
            "wall_s": time.perf_counter() - clock,
        }
    finally:
        # A process may run many trials, so release the memory now that the frames of a failed one are gone.
        memory.release()
