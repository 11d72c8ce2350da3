"""The resources to which the connected cluster can grow.

Ray reports the present resources, not those that its autoscaler may start: a cluster that starts machines on demand
would seem to have no GPU.  The autoscaler runs on the head node, as does a driver that was submitted as a job, so its
configuration can be read here.
"""

from pathlib import Path
from typing import Any

import ray
import yaml


def autoscaled() -> dict[str, float]:
    """Resources by name that the autoscaler on this machine may start for the connected cluster; empty without one."""
    file = _config_of(ray.get_runtime_context().gcs_address)
    if file is None:
        return {}
    try:
        config: dict[str, Any] = yaml.safe_load(file.read_text())
    except OSError:
        return {}
    most: dict[str, float] = {}
    for name, kind in config.get("available_node_types", {}).items():
        count = 0 if name == config.get("head_node_type") else kind.get("max_workers", 0)
        for resource, amount in kind.get("resources", {}).items():
            most[resource] = most.get(resource, 0.0) + amount * min(count, config.get("max_workers", count))
    return most


def _config_of(gcs_address: str) -> Path | None:
    """The configuration file of the running autoscaler of this cluster; a file without a process may be outdated."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # the process has ended
        options = dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
        if options.get("--gcs-address") == gcs_address and (file := options.get("--autoscaling-config")):
            return Path(file).expanduser()
    return None
