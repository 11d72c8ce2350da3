"""The number of CPU cores that this process may use, which may be smaller than that of the machine.

A scheduler limits a job on a shared machine by its CPU affinity, a container by the quota of its control group.
"""

import os
from collections.abc import Iterator
from pathlib import Path


def usable() -> int:
    """Cores for this process: those of its CPU affinity, within the quota of its control group; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = quota()
    return cores if limit is None else max(1, min(cores, int(limit)))


def quota(groups: Path = Path("/proc/self/cgroup"), mounts: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores allowed by the control groups of this process, the smallest of all levels; None where there is no limit."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return None
    found = []
    for line in lines:  # `0::/a/b` of version 2, `4:cpu,cpuacct:/a/b` of version 1
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += [_version_2(folder) for folder in _upwards(mounts, path)]
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu"):
                found += [_version_1(folder) for folder in _upwards(mounts / name, path)]
    return min((cores for cores in found if cores is not None), default=None)


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """The folder of a control group and those of its parent groups.

    In a container the path may be a path of the host that is not visible; the group of the container is then the root.
    """
    folder = root / path.lstrip("/")
    yield folder
    while folder != root and root in folder.parents:
        folder = folder.parent
        yield folder


def _version_2(folder: Path) -> float | None:
    return _cores(_words(folder / "cpu.max"))


def _version_1(folder: Path) -> float | None:
    return _cores(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _cores(words: list[str]) -> float | None:
    """Microseconds of CPU time per period and the period; `max` or -1 mean no limit."""
    try:
        granted, period = map(float, words)
    except ValueError:
        return None
    return granted / period if granted > 0 and period > 0 else None
