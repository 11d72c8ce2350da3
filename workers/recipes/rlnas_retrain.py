"""The retraining on ImageNet-1K of what RLNAS finds (Zhang et al. 2021), from scratch with true labels.

**darts**: the settings of PC-DARTS: 14 cells of width 48, 250 epochs, auxiliary head, label smoothing, warm-up, a
learning rate that falls linearly and more slowly in the last five epochs, clipping, no drop path.  The published
network of the cell found on CIFAR-10 with at most 600 million multiply-adds has `override = { width = 46 }`.

**mobilenet**: 240 epochs of the network of width 32, a learning rate that falls linearly to 0 after every step, weight
decay of convolutions and the classifier alone, label smoothing, dropout of 0.2 in front of the classifier, clipping.

Differences from the release:
- augmentation is that of our task `cls`; the release trains networks of `darts` on images that are not normalised;
- the factor of the warm-up grows from 0.1, as in UnNAS;
- batch norm sees the whole batch, on any number of GPUs; the release's eight GPUs computed it over an eighth each;
- published scores are those of the best epoch: `score_best` in our rows.
"""

from workers.recipes._train import Train

_CELLS = [("darts", "imagenet", "cls"), ("mobilenet", "imagenet", "cls")]


def cells() -> list[tuple[str, str, str]]:
    """The two settings as (space, dataset, task)."""
    return list(_CELLS)


def lookup(space: str, dataset: str, task: str) -> Train:
    """The recipe of one of the settings; LookupError for any other cell."""
    if (space, dataset, task) not in _CELLS:
        raise LookupError(
            f"recipe 'rlnas_retrain' has no setting for space={space}, dataset={dataset}, task={task}; it covers darts "
            "and mobilenet on imagenet with cls; for darts on small images there is darts_retrain"
        )
    if space == "darts":
        return Train(
            name="rlnas_retrain",
            epochs=250,
            lr=0.5,
            batch=1024,
            test_batch=100,
            weight_decay=3e-5,
            nesterov=False,
            precise_bn=0,
            width=48,
            depth=14,
            smoothing=0.1,
            aux=0.4,
            warmup=5,
            clip=5.0,
            schedule="linear_tail",
        )
    return Train(
        name="rlnas_retrain",
        epochs=240,
        lr=0.5,
        batch=1024,
        test_batch=100,
        weight_decay=4e-5,
        nesterov=False,
        precise_bn=0,
        width=32,
        depth=1,
        smoothing=0.1,
        clip=5.0,
        schedule="linear",
        decayed="kernels_and_classifier",
        dropout=0.2,
    )
