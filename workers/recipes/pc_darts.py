"""PC-DARTS (Xu et al. 2020) with the published settings of its search on CIFAR-10.

In NAS-Bench-201 (which the paper does not search) the same settings are used with the size of the benchmark's networks.
Other small datasets have the same settings.  For tasks other than cls, batch and rates follow UnNAS.  The differences
from the release are those of the recipe `darts`.
"""

from workers.recipes._search_tasks import SAMPLES, cells_of, check
from workers.recipes._searches import PcDarts

LIKE = {"small": "cifar10", "large": "imagenet"}
_COVERED = {"darts": ("cifar10",), "nasbench201": ("cifar10",)}


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return cells_of(_COVERED)


def lookup(space: str, dataset: str, task: str) -> PcDarts:
    """The recipe of one of the settings; LookupError for any other cell."""
    check("pc_darts", space, dataset, task, _COVERED)
    samples = SAMPLES[task]
    return PcDarts(
        name="pc_darts",
        epochs=50,
        lr=0.1 / samples,
        batch=256 // samples,
        test_batch=200 // samples,
        weight_decay=3e-4,
        momentum=0.9,
        nesterov=False,
        precise_bn=0,
        frozen_epochs=15,
        arch_lr=6e-4 / samples,
        width=16,
        depth=5 if space == "nasbench201" else 8,
    )
