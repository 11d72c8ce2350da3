"""How far the connected cluster can grow.

Ray tells a driver what is there now, not what its autoscaler may still start; a cluster whose machines come with the
work would look as if it had no GPU.  The autoscaler runs on the head, and so does a driver that was submitted as a job:
its configuration is read here.
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
    """The file that the autoscaler of this cluster was started with; a file without its process may be an old one."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it ended meanwhile
        options = dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
        if options.get("--gcs-address") == gcs_address and (file := options.get("--autoscaling-config")):
            return Path(file).expanduser()
    return None
