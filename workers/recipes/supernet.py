"""Supernets trained one random path at a time (SPOS, Guo et al. 2020), and what architectures inherit from them.

`supernet` trains one, with the settings of RLNAS (Zhang et al. 2021).  `supernet/angle` and `supernet/accuracy` measure
single architectures with its weights, which a study names with `weights = "<sweep>"`.  With random labels (task `rand`)
the angle is RLNAS.

Differences from the release:
- augmentation, and the labels of `rand`, are those of our tasks; on ImageNet images are normalised;
- tasks with four samples per image have a quarter of batch and rates, as in UnNAS;
- convolutions are initialised as PyTorch does.  For ImageNet the release draws them otherwise: `override = { init =
  "kaiming" }` in `darts`, `init = "outputs"` in `mobilenet`;
- `mobilenet` has no published settings for small images: those of `darts`, half the width.
"""

import spaces
from workers.recipes._search_tasks import SAMPLES
from workers.recipes._supernets import OfSupernet, Supernet

LIKE = {"small": "cifar10", "large": "imagenet"}
WITH_PLAIN = True  # `supernet` itself is a recipe, too
_SCORES = ("angle", "accuracy")
_COVERED = {
    ("nasbench201", "cifar10"),
    ("darts", "cifar10"),
    ("darts", "imagenet"),
    ("mobilenet", "cifar10"),
    ("mobilenet", "imagenet"),
}


def cells() -> list[tuple[str, str, str]]:
    """The settings of the supernets as (space, dataset, task)."""
    return [(space, dataset, task) for space, dataset in sorted(_COVERED) for task in SAMPLES]


def variants() -> list[str]:
    """What is measured with the weights of a supernet."""
    return list(_SCORES)


def lookup(space: str, dataset: str, task: str, variant: str = "") -> Supernet | OfSupernet:
    """The recipe of a supernet or, without its base, of a score; LookupError for any other cell or variant."""
    if variant in _SCORES:
        spaces.single_path(space)
        return OfSupernet.model_validate({"name": f"supernet/{variant}", "score": variant})
    if variant:
        raise LookupError(
            f"no {spaces.quoted(f'supernet/{variant}')}; have {', '.join(f'supernet/{s}' for s in _SCORES)}"
        )
    return Supernet.model_validate({"name": "supernet", **settings("supernet", space, dataset, task)})


def settings(name: str, space: str, dataset: str, task: str) -> dict[str, object]:
    """The settings of a supernet; LookupError for a cell without any."""
    if (space, dataset, task) not in cells():
        covered = ", ".join(f"{space} on {dataset}" for space, dataset in sorted(_COVERED))
        raise LookupError(
            f"recipe {name!r} has no setting for space={space}, dataset={dataset}, task={task}; it covers {covered} "
            f"with {', '.join(SAMPLES)}"
        )
    samples = SAMPLES[task]
    mobile, bench = space == "mobilenet", space == "nasbench201"
    if dataset == "imagenet":
        return {
            "epochs": 120 if mobile else 50,
            "lr": (0.25 if mobile else 0.1) / samples,
            "lr_end": 5e-4 / samples,
            "schedule": "linear",
            "batch": 512 // samples,
            "test_batch": 100 // samples,
            "weight_decay": 4e-5,
            "decayed": "kernels_and_classifier" if mobile else "kernels",
            "nesterov": False,
            "clip_value": 5.0,
            "smoothing": 0.1 if task == "cls" else None,
            "affine": True,
            "width": 32 if mobile else 48,
            "depth": 1 if mobile else 14,
        }
    return {
        "epochs": 250,
        "lr": 0.025 / samples,
        "lr_end": 0.001 / samples,
        "batch": 64 // samples,
        "test_batch": 200 // samples,
        "weight_decay": 5e-4 if bench else 3e-4,
        "nesterov": bench,
        "clip": None if bench else 5.0,
        "affine": not bench,
        "width": 16,
        "depth": 5 if bench else 1 if mobile else 8,
    }
