"""P-DARTS (Chen et al. 2019) with the published settings of its search on CIFAR-10: three stages of 25 epochs.

The dropout of skip connections is that of the release's command (0.1, 0.4, 0.7).  Other small datasets have the same
settings.  For tasks other than cls, batch and rates follow UnNAS.  The differences from the release are those of the
recipe `darts`.
"""

from workers.recipes._search_tasks import SAMPLES, cells_of, check
from workers.recipes._searches import PDarts

LIKE = {"small": "cifar10", "large": "imagenet"}
_COVERED = {"darts": ("cifar10",)}


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return cells_of(_COVERED)


def lookup(space: str, dataset: str, task: str) -> PDarts:
    """The recipe of one of the settings; LookupError for any other cell."""
    check("p_darts", space, dataset, task, _COVERED)
    samples = SAMPLES[task]
    return PDarts(
        name="p_darts",
        epochs=75,
        lr=0.025 / samples,
        batch=96 // samples,
        test_batch=200 // samples,
        weight_decay=3e-4,
        momentum=0.9,
        nesterov=False,
        precise_bn=0,
        frozen_epochs=10,
        arch_lr=6e-4 / samples,
        width=16,
        depth=5,
    )
