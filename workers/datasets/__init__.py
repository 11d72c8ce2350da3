"""Datasets: uint8 images and labels, without any transform of a task.  The folder is the registry.

A file that defines `DATASET` is a dataset; installed distributions add theirs as entry points `archsweep.datasets`.
A dataset is imported when it is first used.  A study may describe a custom dataset (`describe`), without any code.
Imports `workers.data`; recipes, tasks and everything above them may import it.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import spaces
from workers.data import arrays
from workers.data.arrays import Arrays, Split, Where, cache_folder, path_of
from workers.data.dataset import Dataset, DatasetInfo, Jigsaw, LargeImages, Maps
from workers.data.form import SIDES, UNREAD, Form
from workers.data.image_types import IGNORED, OUTSIDE, LabelMap, Pixels
from workers.data.registry import registry

if TYPE_CHECKING:
    from workers.data.custom import CustomDataset
    from workers.data.custom_source import Source
    from workers.data.generated import AnyGenerated, Fractals, Generated, Gratings, Leaves, Noise, Scenes
    from workers.data.large import LargeDataset, LargeSplit
    from workers.data.small import Small

__all__ = [
    "IGNORED",
    "OUTSIDE",
    "SIDES",
    "Arrays",
    "CustomDataset",
    "Dataset",
    "DatasetInfo",
    "Form",
    "Fractals",
    "Generated",
    "Gratings",
    "Jigsaw",
    "LabelMap",
    "LargeDataset",
    "LargeImages",
    "LargeSplit",
    "Leaves",
    "Maps",
    "Noise",
    "Pixels",
    "Scenes",
    "Small",
    "Source",
    "Split",
    "cache_folder",
    "describe",
    "get",
    "identify",
    "is_read",
    "look",
    "names",
    "prepare",
    "registry",
]

log = logging.getLogger(__name__)

# Pillow warns of damaged EXIF data, which does not affect pixels.  Set once for the process: images are decoded in many
# threads, and `catch_warnings` is not thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.")

_HOME = {
    "CustomDataset": "custom",
    **dict.fromkeys(("Fractals", "Generated", "Gratings", "Leaves", "Noise", "Scenes"), "generated"),
    "LargeSplit": "large",
    "Small": "small",
    "Source": "custom_source",
    "LargeDataset": "large",
}


def __getattr__(name: str) -> Any:
    """Classes that need pyarrow are imported on first access."""
    if name not in _HOME:
        raise AttributeError(f"module 'workers.datasets' has no attribute {name!r}")
    return getattr(import_module(f"workers.data.{_HOME[name]}"), name)


def names() -> list[str]:
    """The names of all datasets, without importing them."""
    return registry().names()


def get(name: str) -> Dataset:
    """The dataset of that name; LookupError naming the existing ones."""
    dataset: Dataset = registry().get(name)
    return dataset


def describe(
    name: str, source: Source | AnyGenerated, data_root: Where, cache_dir: Where = None, form: Form | None = None
) -> tuple[CustomDataset, str]:
    """The facts and the `dataset_id` of a custom dataset with its files below `data_root`, or with generated images.

    Writes nothing.  Reads or draws all images of small datasets (not again after `prepare`), and some images of large
    ones.
    FileNotFoundError and ValueError say what is missing or wrong.
    """
    from workers.data import custom, large
    from workers.data.generated import Generated

    root, cache = path_of(data_root), cache_folder(cache_dir)
    if name in names():
        raise ValueError(f"there is a dataset {spaces.quoted(name)} already; choose another name")
    listing, _ = source.listing(name, root)
    known = custom.load_facts(name, source, listing, cache)
    if known is None:
        drawn = isinstance(source, Generated)
        known = custom.drawn_facts(name, source) if drawn else custom.read_facts(name, source, root)
    own, dataset_id = known
    if own.large is None:
        _check(own, form)
        return own, dataset_id
    return own, large.look(own, root, form or Form()).dataset_id


def identify(name: str | Dataset, data_root: Where = None, cache_dir: Where = None, form: Form | None = None) -> str:
    """`dataset_id` of the data below `data_root`; see `look`."""
    return look(name, data_root, cache_dir, form).dataset_id


def look(
    name: str | Dataset, data_root: Where = None, cache_dir: Where = None, form: Form | None = None
) -> DatasetInfo:
    """The id and the numbers of images of the data below `data_root`, or of the complete published set without data.

    Writes nothing.  Files that `prepare` has already decoded are not decoded again; others are (CIFAR-10: about 15 s).
    Images of many sizes (ImageNet) are only listed.  If there is neither data nor a published set, the id is a
    placeholder (see `is_read`).  ValueError if the dataset has only one form.
    """
    dataset = get(name) if isinstance(name, str) else name
    if dataset.large is None:
        _check(dataset, form)
        return arrays.look(dataset, data_root, cache_dir)
    from workers.data import large

    return large.look(dataset, arrays.path_of(data_root), form or Form())


def prepare(
    name: str | Dataset,
    data_root: Where = None,
    cache_dir: Where = None,
    expect: str | None = None,
    *,
    form: Form | None = None,
    check: bool = False,
    note: Callable[[str], None] = log.info,
    recent: bool = False,
) -> Arrays | LargeDataset:
    """The dataset in the form that is trained on, decoded into `cache_dir` unless the cache holds it.

    `name` is a dataset of the registry, or one returned by `describe`.  `data_root` contains a folder named like the
    dataset, or is that folder (for a custom dataset: is that folder); it is only read.  Without `form`, the form is
    taken from `expect`.

    Small datasets are not opened if the cache holds `expect`.  Images of many sizes are always listed, and prepared
    again if the files have changed; with `recent`, a slow listing by another process of this machine is reused for a
    while.  Without any files the cache is used as it is, except in mode exact.

    Arrays are verified against their digest once per process, images of large datasets only with `check`; damaged ones
    are decoded again.  `note` is called with the estimate and the progress of a long preparation.

    ValueError naming both ids if the data is not `expect`, or naming broken images; FileNotFoundError if
    there is neither data nor a cached copy; OSError if the cache is full or not writable.
    """
    dataset, root, cache = get(name) if isinstance(name, str) else name, path_of(data_root), cache_folder(cache_dir)
    new = not (
        expect and any(os.path.exists(cache / place) for place in (f"arrays/{expect}", f"photographs/{expect}.arrow"))
    )
    found: Arrays | LargeDataset
    if dataset.large is None:
        _check(dataset, form)
        found = arrays.prepare(dataset, root, cache, expect)
    else:
        from workers.data import large

        form = form or Form.of(expect or "")
        found = large.prepare(dataset, root, cache, expect, form, check, note, recent)
    if new and not isinstance(name, str):
        from workers.data import custom

        if isinstance(name, custom.CustomDataset):
            try:
                custom.store_facts(name, root, cache, found.dataset_id)
            except OSError as error:  # the cache may be read-only; the facts are stored only to save time
                log.info("the facts of %s cannot be stored in %s (%s)", name.name, cache, error)
    return found


def is_read(name: str, dataset_id: str) -> bool:
    """Whether an id comes from files; else it is the placeholder of a plan that was made without the files."""
    if name not in names():
        return True  # a custom dataset, which is always read
    dataset = get(name)
    return not dataset_id.endswith(f"-{UNREAD}") and (dataset.large is None or dataset_id != dataset.published_id)


def _check(dataset: Dataset, form: Form | None) -> None:
    if form not in (None, Form()):
        raise ValueError(
            f"{dataset.name} has no mode, fraction, short_side or skip_broken: they belong to images of many sizes "
            "(imagenet, cityscapes)"
        )
