"""SNAS (Xie et al. 2019): one objective for network and architecture, so both are trained on all training images.

Epochs are those of the paper and the other settings those of the recipe `darts`; the temperatures are our choice.  In
the paper a batch updates both at once; here each has a batch of its own.  The paper's penalty on the cost of operations
is not implemented (its setting without one).
"""

from workers.recipes._search_tasks import cells_of, check, darts_settings
from workers.recipes._searches import Snas

LIKE = {"small": "cifar10", "large": "imagenet"}
_COVERED = {"darts": ("cifar10",), "nasbench201": ("cifar10",)}


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return cells_of(_COVERED)


def lookup(space: str, dataset: str, task: str) -> Snas:
    """The recipe of one of the settings; LookupError for any other cell."""
    check("snas", space, dataset, task, _COVERED)
    return Snas(name="snas", epochs=150, portion=1.0, **darts_settings(space, task))
