"""DARTS- (Chu et al. 2021) with the settings of the recipe `darts`: only the edges differ.

The factor of the further skip connections is 1 in the first epoch and 0 in the last (`fading`).
"""

from workers.recipes._search_tasks import SAMPLES, missing
from workers.recipes._searches import DartsMinus

LIKE = {"small": "cifar10", "large": "imagenet"}
_COVERED = {"darts": ("cifar10",), "nasbench201": ("cifar10",)}


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return [(space, dataset, task) for space, known in _COVERED.items() for dataset in known for task in SAMPLES]


def lookup(space: str, dataset: str, task: str) -> DartsMinus:
    """The recipe of one of the settings; LookupError for any other cell."""
    if (space, dataset, task) not in cells():
        raise missing("darts_minus", space, dataset, task, _COVERED)
    samples = SAMPLES[task]
    bench = space == "nasbench201"
    return DartsMinus(
        name="darts_minus",
        epochs=50,
        lr=0.025 / samples,
        lr_end=0.001 / samples,
        batch=64 // samples,
        test_batch=200 // samples,
        weight_decay=5e-4 if bench else 3e-4,
        momentum=0.9,
        nesterov=bench,
        precise_bn=0,
        first="network" if bench else "architecture",
        arch_lr=3e-4 / samples,
        width=16,
        depth=5 if bench else 8,
    )
