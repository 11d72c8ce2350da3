"""The training of NAS-Bench-201 (Dong & Yang 2020): 200 epochs; use `override = { epochs = 12 }` for the short runs.

The short runs differ only in the number of epochs: their cosine ends after epoch 12.  Datasets are `cifar10_valid`
(half of CIFAR-10's training images, tested on the other half), `cifar10` (all training images, the test split),
`cifar100` and `imagenet16_120`.  The benchmark reports the last epoch: `score_final` in our rows.

Small differences from the benchmark's training of cls:
- the last partial batch of an epoch is dropped: 97 steps instead of 98 (`cifar10_valid`), 195 instead of 196;
- images are padded with the mean colour instead of black, and crop offsets are those of UnNAS (workers/tasks);
- the two halves of CIFAR-10 are different ones: see workers/datasets/cifar10_valid.py.  For CIFAR-100 and
  ImageNet16-120, all test images are used (10,000 and 6,000), so compare with the benchmark's `ori-test`;
- images of ImageNet16-120 are padded by 4, as those of CIFAR; the benchmark pads by 2;
- initial weights come from our own random streams, so equal seed numbers do not give equal weights.
The benchmark does not have rot, col and jig.  Following UnNAS, their learning rate is proportional to the images per
step, which is a quarter of that of cls where an image gives four samples (rot) or four tiles (jig).
"""

from workers.recipes._train import Train

# task: (learning rate, training batch, test batch)
_STEPS = {
    "cls": (0.1, 256, 250),
    "col": (0.1, 256, 250),
    "rot": (0.025, 64, 50),
    "jig": (0.025, 64, 50),
}
_DATASETS = ("cifar10_valid", "cifar10", "cifar100", "imagenet16_120")


def cells() -> list[tuple[str, str, str]]:
    """The settings as (space, dataset, task)."""
    return [("nasbench201", dataset, task) for dataset in _DATASETS for task in _STEPS]


def lookup(space: str, dataset: str, task: str) -> Train:
    """The recipe of one of the settings; LookupError for any other cell."""
    if (space, dataset, task) not in cells():
        raise LookupError(
            f"recipe 'nasbench201' has no setting for space={space}, dataset={dataset}, task={task}; it covers "
            f"nasbench201 on {' or '.join(_DATASETS)} with {', '.join(_STEPS)}"
        )
    lr, batch, test_batch = _STEPS[task]
    return Train(
        name="nasbench201",
        epochs=200,
        lr=lr,
        batch=batch,
        test_batch=test_batch,
        weight_decay=5e-4,
        precise_bn=0,  # running averages, as the benchmark
        width=16,
        depth=5,
    )
