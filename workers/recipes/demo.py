"""Small trainings of a few seconds on one core: a whole study in minutes, to see every part of it work.

The protocol is that of `unnas` with narrow, shallow networks and few epochs.  Rankings from it are a
demonstration, not evidence about the full-size networks.
"""

from workers.recipes._recipe import Recipe

# space: (width, depth).  Depth keeps both reductions of a darts network.
_SIZES = {"darts": (4, 4), "nasbench101": (8, 1), "chain": (8, 1)}
# (learning rate, training batch); rot and jig see four samples an image.
_STEPS = {"cls": (0.1, 64), "col": (0.1, 64), "rot": (0.05, 32), "jig": (0.05, 32)}
_EPOCHS = {"photos": 4, "cifar10": 2}


def cells() -> list[tuple[str, str, str]]:
    """Every (space, dataset, task) with a demo recipe."""
    return [(space, dataset, task) for space in _SIZES for dataset in _EPOCHS for task in _STEPS]


def lookup(space: str, dataset: str, task: str) -> Recipe:
    """The demo recipe of a cell; LookupError says what it covers."""
    if (space, dataset, task) not in cells():
        raise LookupError(
            f"recipe 'demo' has no setting for space={space}, dataset={dataset}, task={task}; it covers "
            f"{', '.join(_SIZES)} on {' and '.join(_EPOCHS)} with {', '.join(_STEPS)}"
        )
    width, depth = _SIZES[space]
    lr, batch = _STEPS[task]
    return Recipe(
        name="demo",
        epochs=_EPOCHS[dataset],
        lr=lr,
        batch=batch,
        test_batch=100,
        weight_decay=5e-4,
        precise_bn=256,
        width=width,
        depth=depth,
    )
