"""Small trainings of a few seconds on one core: a whole study in minutes, to see every part of it work.

The protocol is that of `unnas` with narrow, shallow networks and few epochs.  Rankings from it are a
demonstration, not evidence about the full-size networks: after so little training rot and jig lie little above
chance (1/4 and 1/24), and a ranking of such scores is mostly noise.
"""

import spaces
from workers import tasks
from workers.recipes._recipe import Recipe

# space: (width, depth, epochs for cls, rot, col, jig).  Depth keeps both reductions of a darts network.
_SIZES = {
    "darts": (4, 3, (2, 1, 1, 2)),
    "nasbench101": (8, 1, (4, 2, 2, 4)),
    "nasbench201": (8, 1, (4, 2, 2, 4)),
    "chain": (8, 3, (4, 2, 2, 4)),
}
# (learning rate, training batch).  Small batches: so few images leave few steps.
_STEPS = {"cls": (0.1, 32), "rot": (0.1, 16), "col": (0.1, 32), "jig": (0.01, 8)}
_OTHER = (8, 1, (4, 2, 2, 4))  # for spaces of other distributions; tasks of theirs are trained as cls
_DATASETS = ("photos", "cifar10")
LIKE = {"small": "photos", "large": "photos"}


def cells() -> list[tuple[str, str, str]]:
    """Every (space, dataset, task) with a demo recipe."""
    return [(space, dataset, task) for space in _SIZES for dataset in _DATASETS for task in _STEPS]


def lookup(space: str, dataset: str, task: str) -> Recipe:
    """The demo recipe of a cell, whatever the dataset; LookupError where there is no such space or task."""
    if (space not in _SIZES and space not in spaces.names()) or (task not in _STEPS and task not in tasks.names()):
        raise LookupError(f"recipe 'demo': there is no space {space} or no task {task}")
    width, depth, epochs = _SIZES.get(space, _OTHER)
    task = task if task in _STEPS else "cls"
    lr, batch = _STEPS[task]
    return Recipe(
        name="demo",
        epochs=epochs[list(_STEPS).index(task)],
        lr=lr,
        batch=batch,
        test_batch=100,
        weight_decay=5e-4,
        precise_bn=128,
        width=width,
        depth=depth,
    )
