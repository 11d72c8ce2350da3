"""Datasets: uint8 images and labels, never a task's transform. The folder is the registry.

A file that defines `DATASET` is a dataset; nothing is imported before it is asked for.
"""

import logging
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, cast

import spaces
from workers.datasets import _arrays
from workers.datasets._arrays import Arrays, Split, Where, cache_folder
from workers.datasets._choice import SIDES, Choice
from workers.datasets._dataset import IGNORED, OUTSIDE, Dataset, Jigsaw, LabelMap, Maps, Pixels, Varied

if TYPE_CHECKING:
    from workers.datasets._photographs import Photographs, Stored

__all__ = [
    "IGNORED",
    "OUTSIDE",
    "SIDES",
    "Arrays",
    "Choice",
    "Dataset",
    "Jigsaw",
    "LabelMap",
    "Maps",
    "Photographs",
    "Pixels",
    "Split",
    "Stored",
    "Varied",
    "cache_folder",
    "get",
    "identify",
    "is_read",
    "names",
    "prepare",
]

log = logging.getLogger(__name__)


def __getattr__(name: str) -> Any:
    """What needs pyarrow is imported when it is first asked for."""
    if name not in ("Photographs", "Stored"):
        raise AttributeError(f"module 'workers.datasets' has no attribute {name!r}")
    return getattr(import_module("workers.datasets._photographs"), name)


def names() -> list[str]:
    """Every dataset that can be asked for, without importing any of them."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def get(name: str) -> Dataset:
    """The dataset of that name; LookupError naming what exists."""
    if name not in names():
        raise LookupError(f"no dataset {spaces.quoted(name)}; have {', '.join(names())}")
    return cast(Dataset, import_module(f"{__name__}.{name}").DATASET)


def identify(name: str, data_root: Where = None, cache_dir: Where = None, choice: Choice | None = None) -> str:
    """`dataset_id` of the data below `data_root`, or of the complete published set where there is none.

    Writes nothing. Files that `prepare` has seen before are not decoded again; others are (CIFAR-10: about
    15 s). Files of many sizes (ImageNet) are only listed. FileNotFoundError where there is neither data nor a published
    set; ValueError where the dataset has no such choice.
    """
    dataset = get(name)
    if dataset.varied is None:
        _check(dataset, choice)
        return _arrays.identify(name, data_root, cache_dir)
    from workers.datasets import _photographs

    return _photographs.identify(dataset, _arrays.path_of(data_root), choice or Choice())


def prepare(
    name: str,
    data_root: Where = None,
    cache_dir: Where = None,
    expect: str | None = None,
    *,
    choice: Choice | None = None,
    check: bool = False,
    note: Callable[[str], None] = log.info,
) -> "Arrays | Stored":
    """The dataset as it is trained on, decoded into `cache_dir` unless it is there already.

    `data_root` holds a folder named like the dataset, or is that folder; it is only read, and not even
    opened where the cache holds `expect` (but by mode exact, for its images). Without `choice` that which `expect`
    spells. Arrays are checked against their digest once a process, stored images with `check`; damaged ones are decoded
    again. `note` is told what a long preparation will take and how far it is.

    ValueError naming both ids where the data is another than `expect`, and naming images that cannot be decoded;
    FileNotFoundError where there is neither data nor a cached copy; OSError where the cache has no room or is not
    writable.
    """
    dataset = get(name)
    if dataset.varied is None:
        _check(dataset, choice)
        return _arrays.prepare(name, data_root, cache_dir, expect)
    from workers.datasets import _photographs

    choice = choice or Choice.of(expect or "")
    return _photographs.prepare(
        dataset, _arrays.path_of(data_root), cache_folder(cache_dir), expect, choice, check, note
    )


def is_read(name: str, dataset_id: str) -> bool:
    """Whether an id is that of files, not a plan's name for ImageNet-sized files that it has not seen."""
    dataset = get(name)
    return dataset.varied is None or (dataset_id != dataset.published_id and not dataset_id.endswith("-unread"))


def _check(dataset: Dataset, choice: Choice | None) -> None:
    if choice not in (None, Choice()):
        raise ValueError(
            f"{dataset.name} has no mode, fraction, short_side or skip_broken: they belong to images of many sizes "
            "(imagenet, cityscapes)"
        )
