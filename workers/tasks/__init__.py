"""Tasks: what becomes of a batch, what sits on the trunk, what is minimised and what is counted.

The folder is the registry: a file that defines `TASK` is a task; nothing is imported before it is asked for.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import cast

import spaces
from workers.tasks._task import Task

__all__ = ["Task", "get", "names"]


def names() -> list[str]:
    """Every task that can be asked for, without importing any of them."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def get(name: str) -> Task:
    """The task of that name; LookupError naming what exists."""
    if name not in names():
        raise LookupError(f"no task {spaces.quoted(name)}; have {', '.join(names())}")
    return cast(Task, import_module(f"{__name__}.{name}").TASK)
