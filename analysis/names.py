"""How spaces, datasets, tasks and cells are called in figures and reports."""

import math
import textwrap

import pandas as pd

_SPACES = {"darts": "DARTS", "nasbench101": "NAS-Bench-101", "nasbench201": "NAS-Bench-201", "chain": "Chain"}
_DATASETS = {
    "cifar10": "CIFAR-10",
    "cifar10_valid": "CIFAR-10 valid",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
    "imagenet16_120": "ImageNet16-120",
    "imagenet22k": "ImageNet-22K",
    "cityscapes": "Cityscapes",
    "photos": "Photos",
}
_TASKS = {
    "cls": "classification",
    "rot": "rotation",
    "col": "colorization",
    "jig": "jigsaw",
    "seg": "segmentation",
    "rand": "random labels",
}


def short(text: str, width: int = 26) -> str:
    """The text, its middle left out if it is longer than `width` characters; on one line."""
    text = " ".join(text.split())
    if len(text) <= width:
        return text
    keep = (width - 1) // 2
    return f"{text[: width - 1 - keep]}…{text[-keep:]}"


def wrapped(text: str, width: int) -> str:
    """The text on at most two lines of `width` characters."""
    return textwrap.fill(short(text, 2 * width - 4), width)


def space_name(name: str) -> str:
    return _SPACES.get(name, name)


def dataset_name(name: str) -> str:
    return _DATASETS.get(name, name)


def task_name(name: str) -> str:
    return _TASKS.get(name, name)


def labels(cells: pd.DataFrame) -> list[str]:
    """A name for each cell of a table with dataset, dataset_id, task, recipe and recipe_id, in its order.

    Dataset and task; where that leaves cells alike, also the recipe's name, then the ends of the ids.
    """
    base = [f"{dataset_name(str(c.dataset))} {task_name(str(c.task))}" for c in cells.itertuples()]
    for more in ("recipe", "dataset_id", "recipe_id"):
        extra = cells[more].astype(str).tolist()
        extra = [value[-6:] if more.endswith("_id") else value for value in extra]
        base = [
            f"{name} ({value})" if _differ(base, extra, name) and value else name
            for name, value in zip(base, extra, strict=True)
        ]
    return base


def _differ(names: list[str], extra: list[str], name: str) -> bool:
    """Whether several cells have this name and the extra word tells some of them apart."""
    return len({value for other, value in zip(names, extra, strict=True) if other == name}) > 1


def fixed(value: float) -> str:
    """Two digits, a real minus and no negative zero; a dash where there is no number."""
    return "–" if math.isnan(value) else f"{value:z.2f}".replace("-", "−")
