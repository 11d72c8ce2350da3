"""The code version and the machine, as rows record them."""

import os
import platform
import resource
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _git() -> tuple[str | None, bool | None]:
    """Git revision of the checkout that this code runs from, and whether it has changes; (None, None) for a wheel."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None, None
    try:
        revision, changes = (
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    return revision, bool(changes)


@cache
def build() -> dict[str, Any]:
    """The columns of a row that hold versions and the revision; constant within a process."""
    revision, dirty = _git()
    return {
        "project_version": _version("archsweep"),
        "git_revision": revision,
        "git_dirty": dirty,
        "torch_version": torch.__version__,
        "ray_version": _version("ray"),
        "python_version": platform.python_version(),
        "host": platform.node(),
    }


def device_name(device: torch.device) -> str:
    """The model name of the GPU or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor()


def device_memory(device: torch.device) -> int | None:
    """Total memory of a GPU in bytes; None for a CPU."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"cpu {models[0] if models else platform.machine()}"


def forget_peak_memory(device: torch.device) -> None:
    """Start a new measurement of peak memory, so that the peak of an earlier trial in this process does not count."""
    if device.type == "cuda":
        torch.cuda.init()  # without it, a device given by its index is not known yet
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark of resident memory
    except OSError:
        return  # the peak is then that of the whole process: an upper bound


def peak_memory(device: torch.device) -> int:
    """Peak bytes since `forget_peak_memory`: allocated on the GPU, or resident memory of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def peak_reserved(device: torch.device) -> int | None:
    """Peak bytes that torch reserved on a GPU since `forget_peak_memory`; None for a CPU.

    This is more than the allocated bytes: it includes CUDA graphs and cached blocks.  A memory limit applies to it.
    """
    return int(torch.cuda.max_memory_reserved(device)) if device.type == "cuda" else None
