"""How spaces, datasets, tasks and cells are called in figures and reports."""

import math
import textwrap
from typing import Any

import pandas as pd

NONE = "–"  # where there is no number
_SPACES = {
    "darts": "DARTS",
    "nasbench101": "NAS-Bench-101",
    "nasbench201": "NAS-Bench-201",
    "mobilenet": "MobileNet",
    "chain": "Chain",
}
_DATASETS = {
    "cifar10": "CIFAR-10",
    "cifar10_valid": "CIFAR-10 valid",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
    "imagenet16_120": "ImageNet16-120",
    "imagenet22k": "ImageNet-22K",
    "cityscapes": "Cityscapes",
    "photos": "Photos",
    "scenes": "Scenes",
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


def labels(cells: pd.DataFrame, *, dataset: bool = True) -> list[str]:
    """A name for each cell of a table with dataset, dataset_id, task, recipe and recipe_id, in its order.

    Dataset (unless `dataset` is false) and task; of a score without training its name, and the task if scores of
    several are there. If that is the same for several cells, also the recipe's name, then the ends of the ids.
    """
    scores = untrained(cells)
    several = cells["task"][scores].nunique() > 1
    base = [
        (f"{dataset_name(str(c.dataset))} " if dataset else "")
        + (_score_name(c, several) if score else task_name(str(c.task)))
        for c, score in zip(cells.itertuples(), scores, strict=True)
    ]
    for more in ("recipe", "dataset_id", "recipe_id"):
        extra = cells[more].astype(str).tolist()
        extra = [value[-6:] if more.endswith("_id") else value for value in extra]
        base = [
            _joined(name, value) if _differ(base, extra, name) and value else name
            for name, value in zip(base, extra, strict=True)
        ]
    return base


def plain_labels(cells: pd.DataFrame) -> list[str]:
    """A name for each cell as users type it: those of dataset, task and recipe that differ within the table.

    Of a score without training the name of the score stands for the recipe's, where no two recipes share it.
    """
    scores = untrained(cells)
    if any(scores) and "recipe" in cells:
        both = cells.loc[scores, ["metric", "recipe"]].drop_duplicates()
        if not both["metric"].duplicated().any():
            both_names = zip(cells["metric"], cells["recipe"], scores, strict=True)
            cells = cells.assign(recipe=[metric if score else recipe for metric, recipe, score in both_names])
    there = cells[cells["task"] != ""]  # a line without a cell tells none apart
    parts = [part for part in ("dataset", "task", "recipe") if part in cells and there[part].nunique() > 1] or ["task"]
    return [" ".join(map(str, line)).strip() for line in cells[parts].itertuples(index=False, name=None)]


def untrained(cells: pd.DataFrame) -> list[bool]:
    """Which cells of a table are scores without training."""
    if "method" not in cells or "metric" not in cells:
        return [False] * len(cells)
    return [bool(method == "score") for method in cells["method"]]


def _score_name(cell: Any, with_task: bool) -> str:
    name = str(cell.metric) or str(cell.recipe)
    return f"{name} ({task_name(str(cell.task))})" if with_task else name


def _joined(name: str, more: str) -> str:
    """ "rotation (unnas)", and "rotation, unnas (epochs=2)"."""
    return f"{name}, {more}" if more.endswith(")") else f"{name} ({more})"


def _differ(names: list[str], extra: list[str], name: str) -> bool:
    """Whether several cells have this name and the extra word tells some of them apart."""
    return len({value for other, value in zip(names, extra, strict=True) if other == name}) > 1


def many(n: int, what: str) -> str:
    """ "1 architecture", "12 architectures", "no architectures"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}" if n else f"no {what}s"


def fixed(value: float, digits: int = 2) -> str:
    """Two digits, a real minus and no negative zero; a dash where there is no number."""
    return NONE if math.isnan(value) else f"{value:z.{digits}f}".replace("-", "−")


def significant(value: float) -> str:
    """Three significant digits without an exponent up to a billion: 0.0113, 1.25, 36.5, 1,250; a dash for NaN."""
    if math.isnan(value):
        return NONE
    size = abs(value)
    return f"{value:.3g}" if size < 99.95 or size >= 1e9 else f"{value:,.0f}"


def digits(low: float, high: float, least: int = 2) -> int:
    """Decimal digits for an interval and what it is of: `least`, and more where it is narrower than three such steps.

    Value and bounds to the same digits, so that an interval that holds the value does so as it is printed.
    """
    wide = high - low
    return max(least, min(math.ceil(-math.log10(wide / 3) - 1e-9), 12)) if wide > 0 else least


def with_interval(value: float, low: float, high: float) -> tuple[str, str]:
    """A value and its interval, "0.87" and "[0.84, 0.90]", to the digits that the interval allows; dashes for NaN."""
    many = digits(low, high) if not math.isnan(value) else 2
    return fixed(value, many), bounds(fixed(low, many), fixed(high, many))


def bounds(low: str, high: str) -> str:
    """ "[0.84, 0.90]" of two spelled numbers; a dash where one is missing."""
    return NONE if NONE in (low, high) else f"[{low}, {high}]"
