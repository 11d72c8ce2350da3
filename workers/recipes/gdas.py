"""GDAS (Dong & Yang 2019) with the settings of the benchmark's authors for NAS-Bench-201, in both spaces.

In the DARTS space the batch is the published one of 256 images, and the network that of the recipe `darts` (8 cells);
the release searches a network of its own, with two normal cells per stage.  Operations that a step does not sample keep
their weights; in the release weight decay and momentum go on.  The other differences are those of the recipe `darts`.
Other small datasets have the same settings.  For tasks other than cls, batch and rates follow UnNAS.
"""

from workers.recipes._search_tasks import SAMPLES, cells_of, check
from workers.recipes._searches import Gdas

LIKE = {"small": "cifar10", "large": "imagenet"}
_COVERED = {"darts": ("cifar10",), "nasbench201": ("cifar10",)}


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return cells_of(_COVERED)


def lookup(space: str, dataset: str, task: str) -> Gdas:
    """The recipe of one of the settings; LookupError for any other cell."""
    check("gdas", space, dataset, task, _COVERED)
    samples = SAMPLES[task]
    bench = space == "nasbench201"
    return Gdas(
        name="gdas",
        epochs=250,
        lr=0.025 / samples,
        lr_end=0.001 / samples,
        batch=(64 if bench else 256) // samples,
        test_batch=200 // samples,
        weight_decay=5e-4 if bench else 3e-4,
        momentum=0.9,
        nesterov=True,
        precise_bn=0,
        first="network",
        arch_lr=3e-4 / samples,
        width=16,
        depth=5 if bench else 8,
    )
