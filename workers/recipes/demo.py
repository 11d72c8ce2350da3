"""Small trainings of a few seconds on one core: a whole study in minutes, to see every part of it work.

The protocol is that of `unnas` with narrow, shallow networks and few epochs.  Rankings from it are a
demonstration, not evidence about the full-size networks: after so little training rot and jig lie little above
chance (1/4 and 1/24), and a ranking of such scores is mostly noise.
"""

from workers.recipes._recipe import Recipe

# space: (width, depth, epochs for cls, rot, col, jig).  Depth keeps both reductions of a darts network.
_SIZES = {
    "darts": (4, 3, (2, 1, 1, 2)),
    "nasbench101": (8, 1, (4, 2, 2, 4)),
    "nasbench201": (8, 1, (4, 2, 2, 4)),
    "chain": (8, 3, (4, 2, 2, 4)),
}
# On photographs, whose networks begin with the ImageNet stem: epochs for seg, rot, col, jig.
_PHOTOGRAPHS = {
    "darts": (16, 3, (6, 2, 2, 3)),
    "nasbench101": (16, 1, (8, 3, 3, 4)),
    "nasbench201": (16, 1, (8, 3, 3, 4)),
    "chain": (16, 2, (8, 3, 3, 4)),
}
# (learning rate, training batch).  Small batches: so few images leave few steps.
_STEPS = {"cls": (0.1, 32), "rot": (0.1, 16), "col": (0.1, 32), "jig": (0.01, 8)}
_STEPS_OF_PHOTOGRAPHS = {"seg": (0.05, 4), "rot": (0.05, 4), "col": (0.05, 4), "jig": (0.01, 4)}
_DATASETS = ("photos", "cifar10")


def cells() -> list[tuple[str, str, str]]:
    """Every (space, dataset, task) with a demo recipe."""
    small = [(space, dataset, task) for space in _SIZES for dataset in _DATASETS for task in _STEPS]
    return small + [(space, "camvid", task) for space in _PHOTOGRAPHS for task in _STEPS_OF_PHOTOGRAPHS]


def lookup(space: str, dataset: str, task: str) -> Recipe:
    """The demo recipe of a cell; LookupError says what it covers."""
    if (space, dataset, task) not in cells():
        raise LookupError(
            f"recipe 'demo' has no setting for space={space}, dataset={dataset}, task={task}; it covers "
            f"{', '.join(_SIZES)} on {' and '.join(_DATASETS)} with {', '.join(_STEPS)}, and on camvid with "
            f"{', '.join(_STEPS_OF_PHOTOGRAPHS)}"
        )
    photographs = dataset == "camvid"
    steps = _STEPS_OF_PHOTOGRAPHS if photographs else _STEPS
    width, depth, epochs = (_PHOTOGRAPHS if photographs else _SIZES)[space]
    lr, batch = steps[task]
    return Recipe(
        name="demo",
        epochs=epochs[list(steps).index(task)],
        lr=lr,
        batch=batch,
        test_batch=1 if task == "seg" else 10 if photographs else 100,
        weight_decay=5e-4,
        precise_bn=32 if photographs else 128,
        width=width,
        depth=depth,
    )
