"""The evaluation phase of UnNAS (Liu et al. 2020): training the cells found by search, from scratch, on Cityscapes.

UnNAS chose a width per cell (78 to 86 channels), so that all networks cost about the same.  The default, 80, is that of
the cell found by segmentation; use `override = { width = 82 }` for another cell.  UnNAS trained on eight GPUs, and
batch norm was computed over the 8 images of each GPU; here it is computed over all 64 on one device, which takes at
least 80 GB.  Batch norm uses running averages: precise statistics were not supported on several GPUs.
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
