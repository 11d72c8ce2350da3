"""How NAS-Bench-201 trained its cells (Dong & Yang 2020): 200 epochs; `override = { epochs = 12 }` for the short runs.

The short runs of the benchmark differ in nothing else: their cosine ends after 12 epochs.  On `cifar10_valid`, half of
CIFAR-10's training images and the other half for testing, on `cifar10`, all of them and the test split, on `cifar100`
and on `imagenet16_120`.  The benchmark reports the last epoch, in our rows `score_final`.

Departures, all small, from the benchmark's training of cls:
- the last partial batch of an epoch is dropped: 97 steps instead of 98 (`cifar10_valid`), 195 instead of 196;
- a crop's border is the mean colour instead of black, and offsets are those of UnNAS's crops (workers/tasks);
- half of the images is another half: see workers/datasets/cifar10_valid.py. Of CIFAR-100 and ImageNet16-120 all test
  images are used, as in the benchmark's `ori-test` (10,000 and 6,000), not its halves of them: compare with `ori-test`;
- crops of ImageNet16-120 are of images padded by 4, as those of CIFAR, where the benchmark pads by 2;
- weights are initialised from our own streams, so a seed is not the benchmark's seed of that number.
The benchmark has no rot, col and jig.  As UnNAS does, they take the learning rate in proportion to the images a step,
a quarter of those of cls where an image is four samples (rot) or four tiles (jig).
"""

from workers.recipes._models import Train

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
