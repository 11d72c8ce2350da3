"""Zero-cost proxies: scores of networks that are not trained, `zero_cost/synflow` and others (docs/proxies.md).

They are computed for any space, dataset and task.  Networks have the size of the trainings that they are compared with:
those of UnNAS (Liu et al. 2020), or of the benchmark (NAS-Bench-201); use `override = { width = 8, depth = 1 }` for
others.  A batch has 64 elements of the network's batch, as in the publications: 16 images for rot, each of which is
used in four rotations.
"""

import spaces
from workers.recipes._scores import ALIASES, PROXIES, canonical
from workers.recipes._untrained import Score

BATCH = 64
_BATCHES = {"rot": 16}  # four rotations of each image
LIKE = {"small": "cifar10", "large": "imagenet"}
# (space, dataset): (width, depth).  nasbench201 is of 32 px; on large images it keeps its size.
_SIZES = {
    ("darts", "cifar10"): (16, 20),
    ("darts", "imagenet"): (32, 22),
    ("nasbench101", "cifar10"): (128, 3),
    ("nasbench101", "imagenet"): (128, 4),
    ("nasbench201", "cifar10"): (16, 5),
    ("nasbench201", "imagenet"): (16, 5),
    ("mobilenet", "cifar10"): (16, 1),
    ("mobilenet", "imagenet"): (32, 1),
    ("chain", "cifar10"): (16, 2),
    ("chain", "imagenet"): (16, 2),
}


def cells() -> list[tuple[str, str, str]]:
    """None: the settings are the same everywhere, except for the size of the networks."""
    return []


def variants() -> list[str]:
    """The names of the proxies."""
    return list(PROXIES)


def lookup(space: str, dataset: str, task: str, variant: str) -> Score:
    """The recipe of a proxy, for any task; LookupError if there is no such proxy or space."""
    score = canonical(variant)
    if score is None:
        others = ", ".join(f"{alias} for {name}" for alias, name in ALIASES.items())
        raise LookupError(
            f"no proxy {spaces.quoted(variant)} in the recipes zero_cost; have {', '.join(PROXIES)} ({others})"
        )
    if (space, dataset) in _SIZES:
        width, depth = _SIZES[space, dataset]
    else:
        width, depth = spaces.get(space).cifar_size
    return Score(name=f"zero_cost/{score}", score=score, batch=_BATCHES.get(task, BATCH), width=width, depth=depth)
