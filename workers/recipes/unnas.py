"""The 16 settings of "Are Labels Necessary for Neural Architecture Search?" (Liu et al., ECCV 2020), sample-based part.

2 spaces x 2 datasets x 4 tasks.  Values are those of the authors' public release; all 500 architectures of a setting
share them.  The learning rate is proportional to the batch size: 0.1 per 128 images on CIFAR-10, 0.1 per 256 images
on ImageNet-1K.

Beyond the paper, other datasets use the same values: datasets whose images fit in memory (CIFAR-100, SVHN, STL-10,
Fashion-MNIST, ImageNet16-120, small custom ones) those of CIFAR-10, large ones those of ImageNet-1K.  The space
`mobilenet` has the values of `darts`, with networks of its own size.
"""

from workers.recipes._train import Train

_CIFAR = {
    # task: (learning rate, training batch, test batch)
    "cls": (0.1, 128, 200),
    "col": (0.1, 128, 200),
    "rot": (0.025, 32, 50),  # 4 rotations per image: as many samples per step as cls
    "jig": (0.025, 32, 50),  # 4 tiles per image
}
_IMAGENET = (0.0125, 32, 25)
LIKE = {"small": "cifar10", "large": "imagenet"}
# (space, dataset): (width, depth, epochs, images for precise BN)
_SIZES = {
    ("darts", "cifar10"): (16, 20, 100, 1024),
    ("darts", "imagenet"): (32, 22, 5, 1024),
    ("nasbench101", "cifar10"): (128, 3, 100, 1024),
    # The release disables precise BN in this setting only.
    ("nasbench101", "imagenet"): (128, 4, 10, 0),
}
# Beyond the paper: half the published width on small images.
_FURTHER = {
    ("mobilenet", "cifar10"): (16, 1, 100, 1024),
    ("mobilenet", "imagenet"): (32, 1, 5, 1024),
}


def cells() -> list[tuple[str, str, str]]:
    """The 16 settings as (space, dataset, task)."""
    return [(space, dataset, task) for space, dataset in _SIZES for task in _CIFAR]


def lookup(space: str, dataset: str, task: str) -> Train:
    """The recipe of one of the 16 settings, or of the space `mobilenet`; LookupError for any other cell."""
    known = _SIZES | _FURTHER
    if (space, dataset) not in known or task not in _CIFAR:
        spaces = " or ".join(sorted({s for s, _ in known}))
        datasets = " or ".join(sorted({d for _, d in known}))
        raise LookupError(
            f"recipe 'unnas' has no setting for space={space}, dataset={dataset}, task={task}; it covers "
            f"{spaces} on {datasets} with {', '.join(_CIFAR)}. For a quick look elsewhere: recipe 'demo'"
        )
    width, depth, epochs, precise_bn = known[space, dataset]
    lr, batch, test_batch = _CIFAR[task] if dataset == "cifar10" else _IMAGENET
    return Train(
        name="unnas",
        epochs=epochs,
        lr=lr,
        batch=batch,
        test_batch=test_batch,
        weight_decay=5e-4 if dataset == "cifar10" else 5e-5,
        precise_bn=precise_bn,
        width=width,
        depth=depth,
    )
