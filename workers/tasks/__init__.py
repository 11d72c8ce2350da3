"""Tasks: how a batch is made, which head the trunk gets, which loss is minimised and which score is computed.

The folder is the registry: a file that defines `TASK` is a task; installed distributions add theirs as entry points
`archsweep.tasks`.  A task is imported when it is first used.
Imports recipes and datasets; trials and everything above them may import it.
"""

from __future__ import annotations  # importable even if another package is named `spaces`

from functools import cache

import spaces
from workers.tasks._task import Task

__all__ = ["Task", "get", "names", "registry"]


@cache
def registry() -> spaces.Registry:
    """The tasks of this package and of other distributions.  Created on first use."""
    return spaces.Registry("task", __name__, __path__, Task)


def names() -> list[str]:
    """The names of all tasks, without importing them."""
    return registry().names()


def get(name: str) -> Task:
    """The task of that name; LookupError naming the existing ones."""
    task: Task = registry().get(name)
    return task
