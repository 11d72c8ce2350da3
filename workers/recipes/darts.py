"""DARTS (Liu et al. 2019) with its published settings, in the DARTS space and in NAS-Bench-201.

First order; `override = { order = 2 }` for the second.  In the DARTS space the settings are those of the search on
CIFAR-10; in NAS-Bench-201 those of the benchmark's authors (Dong & Yang 2020), who update the network first.

Small differences from the releases:
- each pass over the images of the architecture weights is a permutation of them; the release of DARTS draws a batch
  of a new permutation in every step;
- the halves are drawn with the seed, and no cutout is used;
- batch norm keeps running averages, with which the supernet is evaluated; in the benchmark's searches it uses those of
  each batch.
Other small datasets have the same settings.  For tasks other than cls, batch and rates follow UnNAS.
"""

from workers.recipes._search_tasks import cells_of, check, darts_settings
from workers.recipes._searches import Darts

LIKE = {"small": "cifar10", "large": "imagenet"}
_COVERED = {"darts": ("cifar10",), "nasbench201": ("cifar10",)}


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return cells_of(_COVERED)


def lookup(space: str, dataset: str, task: str) -> Darts:
    """The recipe of one of the settings; LookupError for any other cell."""
    check("darts", space, dataset, task, _COVERED)
    return Darts(name="darts", epochs=50, **darts_settings(space, task))
