"""Tasks: what becomes of a batch, what sits on the trunk, what is minimised and what is counted.

The folder is the registry: a file that defines `TASK` is a task; installed distributions add theirs as entry points
`archsweep.tasks`. Nothing is imported before it is asked for.
"""

from __future__ import annotations  # `spaces.Registry` is not looked up where another `spaces` is imported

from functools import cache

import spaces
from workers.tasks._task import Task

__all__ = ["Task", "get", "names", "registry"]


@cache
def registry() -> spaces.Registry:
    """Ours and other distributions'.  Made late: beside a foreign `spaces` this package is still imported."""
    return spaces.Registry("task", __name__, __path__, Task)


def names() -> list[str]:
    """Every task that can be asked for, without importing any of them."""
    return registry().names()


def get(name: str) -> Task:
    """The task of that name; LookupError naming what exists."""
    task: Task = registry().get(name)
    return task
