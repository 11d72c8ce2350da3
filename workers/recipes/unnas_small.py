"""The settings of UnNAS's search phase (Liu et al. 2020), for training single networks of the DARTS space.

On ImageNet-22K and Cityscapes UnNAS has no sample-based experiments, only supernets.  The values here are those of the
supernets, width and depth included.  Settings that only apply to supernets are omitted: the split of the data between
weights and architecture parameters (here all training images train the weights), gradient clipping, warm-up.  SGD uses
momentum without Nesterov; batch norm uses running averages.  The search on ImageNet-22K used four GPUs with a quarter
of the batch each.  Segmentation uses an ASPP with 64 channels and one rate, 6.  Test batch sizes are our choice.
"""

from workers.recipes._train import Train

# dataset: (epochs, depth, weight decay); task: (learning rate, training batch)
_SETTINGS: dict[str, tuple[int, int, float, dict[str, tuple[float, int]]]] = {
    "imagenet": (2, 8, 3e-5, {"cls": (0.1, 64), "col": (0.1, 64), "rot": (0.05, 32), "jig": (0.05, 32)}),
    "imagenet22k": (1, 8, 3e-5, {"cls": (0.4, 256), "col": (0.4, 256), "rot": (0.2, 128), "jig": (0.2, 128)}),
    "cityscapes": (400, 12, 3e-4, {"seg": (0.1, 32), "jig": (0.1, 32), "rot": (0.05, 16), "col": (0.05, 16)}),
}
_WIDTH = 16


def cells() -> list[tuple[str, str, str]]:
    """The twelve settings as (space, dataset, task)."""
    return [("darts", dataset, task) for dataset, (*_, steps) in _SETTINGS.items() for task in steps]


def lookup(space: str, dataset: str, task: str) -> Train:
    """The recipe of one of the settings; LookupError for any other cell."""
    if (space, dataset, task) not in cells():
        covered = "; ".join(f"{name} with {', '.join(steps)}" for name, (*_, steps) in _SETTINGS.items())
        raise LookupError(
            f"recipe 'unnas_small' has no setting for space={space}, dataset={dataset}, task={task}; it covers darts "
            f"on {covered}"
        )
    epochs, depth, weight_decay, steps = _SETTINGS[dataset]
    lr, batch = steps[task]
    return Train(
        name="unnas_small",
        epochs=epochs,
        lr=lr,
        batch=batch,
        test_batch=1 if task == "seg" else 25,
        weight_decay=weight_decay,
        nesterov=False,
        precise_bn=0,
        width=_WIDTH,
        depth=depth,
    )
