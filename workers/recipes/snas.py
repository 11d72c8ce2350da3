"""SNAS (Xie et al. 2019): one objective for network and architecture, so both are trained on all training images.

Epochs are those of the paper and the other settings those of the recipe `darts`; the temperatures are our choice.  In
the paper a batch updates both at once; here each has a batch of its own.  The paper's penalty on the cost of operations
is not implemented (its setting without one).
"""

from workers.recipes._search_tasks import SAMPLES, missing
from workers.recipes._searches import Snas

LIKE = {"small": "cifar10", "large": "imagenet"}
_COVERED = {"darts": ("cifar10",), "nasbench201": ("cifar10",)}


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return [(space, dataset, task) for space, known in _COVERED.items() for dataset in known for task in SAMPLES]


def lookup(space: str, dataset: str, task: str) -> Snas:
    """The recipe of one of the settings; LookupError for any other cell."""
    if (space, dataset, task) not in cells():
        raise missing("snas", space, dataset, task, _COVERED)
    samples = SAMPLES[task]
    bench = space == "nasbench201"
    return Snas(
        name="snas",
        epochs=150,
        lr=0.025 / samples,
        lr_end=0.001 / samples,
        batch=64 // samples,
        test_batch=200 // samples,
        weight_decay=5e-4 if bench else 3e-4,
        momentum=0.9,
        nesterov=bench,
        precise_bn=0,
        portion=1.0,
        first="network" if bench else "architecture",
        arch_lr=3e-4 / samples,
        width=16,
        depth=5 if bench else 8,
    )
