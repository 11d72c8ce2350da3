"""The twelve searches of UnNAS (Liu et al. 2020): DARTS of first order, on three datasets with four objectives each.

Values are those of the authors' public release.  The cosine of the learning rate is updated once per epoch, so it is
constant in the searches of one epoch.  On ImageNet-1K the architecture weights wait for one of the two epochs.
Segmentation has an ASPP of 64 channels with one rate, 6.  Test batch sizes are our choice.  The search on ImageNet-22K
used four GPUs with a quarter of the batch each, here one.  `unnas_small` trains single networks with these settings.
"""

from workers.recipes._searches import Darts

# dataset: (epochs, frozen epochs, depth, weight decay); task: (learning rate, that of the architecture, batch)
_Steps = dict[str, tuple[float, float, int]]
_SETTINGS: dict[str, tuple[int, int, int, float, _Steps]] = {
    "imagenet": (
        2,
        1,
        8,
        3e-5,
        {"cls": (0.1, 3e-4, 64), "col": (0.1, 3e-4, 64), "rot": (0.05, 1.5e-4, 32), "jig": (0.05, 1.5e-4, 32)},
    ),
    "imagenet22k": (
        1,
        0,
        8,
        3e-5,
        {"cls": (0.4, 1.2e-3, 256), "col": (0.4, 1.2e-3, 256), "rot": (0.2, 6e-4, 128), "jig": (0.2, 6e-4, 128)},
    ),
    "cityscapes": (
        400,
        0,
        12,
        3e-4,
        {"seg": (0.1, 3e-4, 32), "jig": (0.1, 3e-4, 32), "rot": (0.05, 1.5e-4, 16), "col": (0.05, 1.5e-4, 16)},
    ),
}


def cells() -> list[tuple[str, str, str]]:
    """The twelve searches as (space, dataset, task)."""
    return [("darts", dataset, task) for dataset, (*_, steps) in _SETTINGS.items() for task in steps]


def lookup(space: str, dataset: str, task: str) -> Darts:
    """The recipe of one of the searches; LookupError for any other cell."""
    if (space, dataset, task) not in cells():
        covered = "; ".join(f"{name} with {', '.join(steps)}" for name, (*_, steps) in _SETTINGS.items())
        raise LookupError(
            f"recipe 'unnas_search' has no setting for space={space}, dataset={dataset}, task={task}; it covers "
            f"darts on {covered}"
        )
    epochs, frozen, depth, weight_decay, steps = _SETTINGS[dataset]
    lr, arch_lr, batch = steps[task]
    return Darts(
        name="unnas_search",
        epochs=epochs,
        frozen_epochs=frozen,
        lr=lr,
        arch_lr=arch_lr,
        batch=batch,
        test_batch=1 if task == "seg" else 25,
        weight_decay=weight_decay,
        momentum=0.9,
        nesterov=False,
        precise_bn=0,
        width=16,
        depth=depth,
    )
