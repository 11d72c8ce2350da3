"""The training of found cells on CIFAR-10 by DARTS (Liu et al. 2019): 600 epochs of networks of 20 cells.

Cutout, drop path, an auxiliary head and gradient clipping, as published; other small datasets have the same settings.
For images below 29 px the auxiliary head does not fit: `override = { aux = 0 }`.  For tasks other than cls there is no
auxiliary head, and batch and learning rate follow UnNAS; jig and col have no cutout.

Small differences from the release:
- the last partial batch of an epoch is dropped: 520 steps instead of 521;
- images are padded with the mean colour instead of black, and crop offsets are those of UnNAS (workers/tasks);
- the published score is that of the last epoch: `score_final` in our rows.
Cells of NAS-Bench-201 are trained by the recipe `nasbench201`, its authors' protocol; cells on ImageNet by
`unnas_eval`.
"""

from workers.recipes._search_tasks import SAMPLES
from workers.recipes._train import Train

LIKE = {"small": "cifar10", "large": "imagenet"}


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return [("darts", "cifar10", task) for task in SAMPLES]


def lookup(space: str, dataset: str, task: str) -> Train:
    """The recipe of one of the settings; LookupError for any other cell."""
    if (space, dataset, task) not in cells():
        raise LookupError(
            f"recipe 'darts_retrain' has no setting for space={space}, dataset={dataset}, task={task}; it covers darts "
            f"on small images with {', '.join(SAMPLES)}; cells of nasbench201 are trained by the recipe nasbench201, "
            "cells of darts on imagenet and cityscapes by unnas_eval"
        )
    samples = SAMPLES[task]
    return Train(
        name="darts_retrain",
        epochs=600,
        lr=0.025 / samples,
        batch=96 // samples,
        test_batch=200 // samples,
        weight_decay=3e-4,
        nesterov=False,
        precise_bn=0,
        width=36,
        depth=20,
        aux=0.4 if task == "cls" else None,
        drop_path=0.2,
        cutout=16 if task in ("cls", "rot") else None,
        clip=5.0,
    )
