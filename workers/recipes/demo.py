"""Small trainings that take a few seconds on one core, so that a complete study takes minutes.

The protocol is that of `unnas` with narrow, shallow networks and few epochs.  The rankings are a demonstration and say
little about full-size networks.  On `scenes` every task is learned in these seconds.  On photographs accuracies of rot
and jig are barely above chance after such a short training, and a ranking of such scores is mostly noise.
"""

import spaces
from workers.recipes._train import Train

# space: (width, depth, epochs for cls, rot, col, jig, seg, rand).  Depth keeps both reductions of a darts network.
_Sizes = dict[str, tuple[int, int, tuple[int, ...]]]
_SMALL: _Sizes = {
    "darts": (4, 3, (2, 1, 1, 2, 2, 4)),
    "nasbench101": (8, 1, (4, 2, 2, 4, 4, 10)),
    "nasbench201": (8, 1, (4, 2, 2, 4, 4, 10)),
    "mobilenet": (4, 1, (2, 1, 1, 2, 2, 4)),
    "chain": (8, 3, (4, 2, 2, 4, 4, 10)),
}
# For `scenes`: task: (epochs, learning rate, training batch).  One epoch of darts takes as long as two of the others,
# and one of mobilenet, with 21 blocks, as long as five.
_DRAWN_DARTS = {"cls": (1, 0.1, 16), "rot": (1, 0.1, 16), "col": (1, 0.1, 16), "jig": (1, 0.02, 8)}
_DRAWN_DARTS["rand"] = (4, 0.1, 16)
_DRAWN_MOBILENET = {"cls": (3, 0.1, 16), "rot": (1, 0.1, 16), "col": (1, 0.1, 16), "jig": (2, 0.05, 16)}
_DRAWN_MOBILENET["rand"] = (4, 0.1, 16)
_DRAWN_OTHERS = {"cls": (5, 0.1, 32), "rot": (1, 0.1, 16), "col": (1, 0.1, 16), "jig": (4, 0.05, 16)}
_DRAWN_OTHERS["rand"] = (10, 0.1, 16)
_DRAWN_SIZES = {"darts": (3, 3), "mobilenet": (4, 1), "nasbench101": (8, 1), "nasbench201": (8, 1), "chain": (8, 3)}
# Large images, for which networks begin with the ImageNet stem.
_LARGE: _Sizes = {
    "darts": (16, 3, (4, 2, 2, 3, 6, 6)),
    "nasbench101": (16, 1, (6, 3, 3, 4, 8, 10)),
    "nasbench201": (16, 1, (6, 3, 3, 4, 8, 10)),
    "mobilenet": (8, 1, (4, 2, 2, 3, 6, 6)),
    "chain": (16, 2, (6, 3, 3, 4, 8, 10)),
}
# task: (learning rate, training batch).  Batches are small because an epoch has few images.
_STEPS = {"cls": (0.1, 32), "rot": (0.1, 16), "col": (0.1, 32), "jig": (0.01, 8), "seg": (0.05, 4)}
_STEPS["rand"] = (0.1, 16)
_LARGE_STEPS = {"cls": (0.05, 8), "rot": (0.05, 4), "col": (0.05, 4), "jig": (0.01, 4), "seg": (0.05, 4)}
_LARGE_STEPS["rand"] = (0.05, 4)
_SMALL_TASKS = ("cls", "rot", "col", "jig", "rand")
_COVERED = dict.fromkeys(("scenes", "photos", "cifar10"), _SMALL_TASKS) | {
    "camvid": ("seg", "rot", "col", "jig", "rand")
}
# Settings for everything else: other datasets by the kind of their images, and spaces and tasks of plug-ins.
LIKE = {"small": "photos", "large": "camvid"}
_LIKE_SPACE, _LIKE_TASK = "nasbench101", "cls"


def cells() -> list[tuple[str, str, str]]:
    """Every (space, dataset, task) with its own demo settings."""
    return [(space, dataset, task) for space in _SMALL for dataset, names in _COVERED.items() for task in names]


def lookup(space: str, dataset: str, task: str) -> Train:
    """The demo recipe of a cell, for any dataset and task; LookupError if there is no such space."""
    if space not in _SMALL and space not in spaces.names():
        raise LookupError(f"recipe 'demo': there is no space {space}")
    if dataset == "scenes":
        return _drawn(space, task)
    large = dataset == LIKE["large"]
    sizes, steps = (_LARGE, _LARGE_STEPS) if large else (_SMALL, _STEPS)
    width, depth, epochs = sizes[space if space in sizes else _LIKE_SPACE]
    known = task if task in steps else _LIKE_TASK
    lr, batch = steps[known]
    return Train(
        name="demo",
        epochs=epochs[list(steps).index(known)],
        lr=lr,
        batch=batch,
        test_batch=1 if task == "seg" else 10 if large else 100,
        weight_decay=5e-4,
        precise_bn=32 if large else 128,
        width=width,
        depth=depth,
    )


def _drawn(space: str, task: str) -> Train:
    """The recipe of a cell of `scenes`."""
    width, depth = _DRAWN_SIZES.get(space, _DRAWN_SIZES[_LIKE_SPACE])
    steps = {"darts": _DRAWN_DARTS, "mobilenet": _DRAWN_MOBILENET}.get(space, _DRAWN_OTHERS)
    epochs, lr, batch = steps.get(task, steps[_LIKE_TASK])
    return Train(
        name="demo",
        epochs=epochs,
        lr=lr,
        batch=batch,
        test_batch=100,
        weight_decay=5e-4,
        precise_bn=128,
        width=width,
        depth=depth,
    )
