"""How UnNAS trained the cells that it had found, from scratch, on Cityscapes (Liu et al. 2020, evaluation phase).

Widths were chosen for each cell (78 to 86 channels), so that networks cost about the same; 80 is the one of the cell
found by segmentation: `override = { width = 82 }` for another.  On eight GPUs each normalised its own 8 images; here
one device normalises all 64, and needs at least 80 GB for it.  Batch norm keeps running averages: precise ones were not
supported on several GPUs.
"""

from workers.recipes._models import Train


def cells() -> list[tuple[str, str, str]]:
    """The one setting as (space, dataset, task)."""
    return [("darts", "cityscapes", "seg")]


def lookup(space: str, dataset: str, task: str) -> Train:
    """The recipe of that setting; LookupError for any other cell."""
    if (space, dataset, task) not in cells():
        raise LookupError(
            f"recipe 'unnas_eval' has no setting for space={space}, dataset={dataset}, task={task}; it covers darts on "
            "cityscapes with seg"
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
