"""The evaluation phase of UnNAS (Liu et al. 2020): training the cells found by search, from scratch.

**ImageNet-1K, cls**: depth 14, auxiliary head, label smoothing, warm-up, no drop path, no gradient clipping.  UnNAS
chose a width for each cell, so that all networks cost about the same.  The budget here, 585 million multiply-adds,
gives the published widths of its twelve cells.  The cell of DARTS (`darts_v2`) has the width 48 of its own paper: use
`override = { width = 48 }`, as the budget allows 50.  The release spreads 0.1 of the target over the other 999 classes;
that is a label smoothing of 0.1 * 1000 / 999 over all classes.

**Cityscapes, seg**: depth 12, no auxiliary head.  No budget of multiply-adds or parameters gives the published widths
(78 to 86), whose networks cost 98 to 108 billion multiply-adds per test image.  The default, 80, is that of the cell
found by segmentation; use `override = { width = 82 }` for another cell (docs/searches.md has the table).

UnNAS trained on eight GPUs, and batch norm was computed over the images of each GPU, an eighth of a batch; here it is
computed over the whole batch, on any number of GPUs of one machine (`gpus_per_trial`).  On one GPU a batch takes at
least 80 GB.  Batch norm uses running averages: precise statistics were not supported on several GPUs.
"""

from workers.recipes._train import Train

MACS = 585_000_000
_CELLS = [("darts", "imagenet", "cls"), ("darts", "cityscapes", "seg")]


def cells() -> list[tuple[str, str, str]]:
    """The two settings as (space, dataset, task)."""
    return list(_CELLS)


def lookup(space: str, dataset: str, task: str) -> Train:
    """The recipe of one of the settings; LookupError for any other cell."""
    if (space, dataset, task) not in _CELLS:
        raise LookupError(
            f"recipe 'unnas_eval' has no setting for space={space}, dataset={dataset}, task={task}; it covers darts on "
            "imagenet with cls and on cityscapes with seg; for small images there is darts_retrain"
        )
    if dataset == "imagenet":
        return Train(
            name="unnas_eval",
            epochs=250,
            lr=0.5,
            batch=1024,
            test_batch=100,
            weight_decay=3e-5,
            precise_bn=0,
            macs=MACS,
            depth=14,
            smoothing=100 / 999,
            aux=0.4,
            warmup=5,
        )
    return Train(
        name="unnas_eval",
        epochs=2700,
        lr=0.1,
        batch=64,
        test_batch=1,
        weight_decay=1e-4,
        precise_bn=0,
        width=80,
        depth=12,
        aspp=256,
        rates=(6, 12, 18),
        crop=769,
        scaled=1024,
    )
