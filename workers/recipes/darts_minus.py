"""DARTS- (Chu et al. 2021) with the settings of the recipe `darts`: only the edges differ.

The factor of the further skip connections is 1 in the first epoch and 0 in the last (`fading`).
"""

from workers.recipes._search_tasks import cells_of, check, darts_settings
from workers.recipes._searches import DartsMinus

LIKE = {"small": "cifar10", "large": "imagenet"}
_COVERED = {"darts": ("cifar10",), "nasbench201": ("cifar10",)}


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return cells_of(_COVERED)


def lookup(space: str, dataset: str, task: str) -> DartsMinus:
    """The recipe of one of the settings; LookupError for any other cell."""
    check("darts_minus", space, dataset, task, _COVERED)
    return DartsMinus(name="darts_minus", epochs=50, **darts_settings(space, task))
