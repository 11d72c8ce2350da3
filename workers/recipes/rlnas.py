"""RLNAS (Zhang et al. 2021): a supernet, then an evolution on the angle between initial and final weights.

With the task `rand` no label is used; with `cls` it is the paper's control.  `override = { indicator = "accuracy" }` is
SPOS (Guo et al. 2020).  Supernets as by the recipe `supernet`.  In NAS-Bench-201 the release also searches by
evolution; `override = { exhaustive = true }` scores all 15,625 cells in seconds.

Differences from the release: children are drawn by the mutation and crossover of our spaces, which also change the
reduction cell of DARTS and may introduce `none` in NAS-Bench-201, and every generation scores its whole population.
"""

from workers.recipes import supernet
from workers.recipes._supernets import Rlnas

LIKE = supernet.LIKE


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return supernet.cells()


def lookup(space: str, dataset: str, task: str) -> Rlnas:
    """The recipe of one of the settings; LookupError for any other cell."""
    found = supernet.settings("rlnas", space, dataset, task)
    evolution: dict[str, object] = {}
    if space != "nasbench201":
        evolution = {"population": 50, "parents": 10, "mutated": 25, "crossed": 25}
    if dataset == "imagenet":
        evolution["most_macs"] = 475_000_000 if space == "mobilenet" else 600_000_000
    return Rlnas.model_validate({"name": "rlnas", **found, **evolution})
