"""Datasets: uint8 images and labels, never a task's transform. The folder is the registry.

A file that defines `DATASET` is a dataset; installed distributions add theirs as entry points `archsweep.datasets`.
Nothing is imported before it is asked for.  A study may describe one of its own (`describe`), without any code.
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
    "Jigsaw",
    "LabelMap",
    "LargeDataset",
    "LargeImages",
    "LargeSplit",
    "Maps",
    "Pixels",
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

# Pillow warns of damaged EXIF, which changes no pixel.  Set once: images are decoded in many threads, and each
# `catch_warnings` would exchange the filters of the whole process.
warnings.filterwarnings("ignore", module=r"PIL\.")

_HOME = {
    "CustomDataset": "custom",
    "LargeSplit": "large",
    "Small": "small",
    "Source": "custom_source",
    "LargeDataset": "large",
}


def __getattr__(name: str) -> Any:
    """What needs pyarrow is imported when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'workers.datasets' has no attribute {name!r}")
    return getattr(import_module(f"workers.data.{_HOME[name]}"), name)


def names() -> list[str]:
    """Every dataset that can be asked for, without importing any of them."""
    return registry().names()


def get(name: str) -> Dataset:
    """The dataset of that name; LookupError naming what exists."""
    dataset: Dataset = registry().get(name)
    return dataset


def describe(
    name: str, source: Source, data_root: Where, cache_dir: Where = None, form: Form | None = None
) -> tuple[CustomDataset, str]:
    """The facts and the `dataset_id` of a dataset of one's own, whose files lie below `data_root`.

    Writes nothing.  Reads every small image (once: after `prepare` not again), of large ones some.  FileNotFoundError
    and ValueError say what is missing or wrong there.
    """
    from workers.data import custom, large
    from workers.data.dataset import content_id

    root, cache = path_of(data_root), cache_folder(cache_dir)
    if name in names():
        raise ValueError(f"there is a dataset {spaces.quoted(name)} already; give yours another name")
    listing, _ = source.listing(name, root)
    known = custom.recall(name, source, listing, cache)
    if known is None:
        own, content = custom.CustomDataset.of(name, source, root)
        known = own, content_id(own.prefix, content) if content else ""
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
    """What lies below `data_root`, or what is known of the complete published set where there is nothing.

    Writes nothing. Files that `prepare` has seen before are not decoded again; others are (CIFAR-10: about
    15 s). Files of many sizes (ImageNet) are only listed. Where there is neither data nor a published set, an id that
    `is_read` tells from others; ValueError where the dataset has no such form.
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
    """The dataset as it is trained on, decoded into `cache_dir` unless it is there already.

    `name` is a dataset of the registry, or one that `describe` gave. `data_root` holds a folder named like the dataset,
    or is that folder (of a described one: is that folder); it is only read. Small sets are not even opened where the
    cache holds `expect`; files of many sizes are listed, and what was prepared of others is made anew (where listing
    them takes long, `recent` lets the listing of another process of this machine serve for a while). Without any files
    the cache serves as it is, but not in mode exact. Without `form` that which `expect` spells. Arrays are checked
    against their digest once a process, stored images with `check`; damaged ones are decoded again. `note` is told what
    a long preparation will take and how far it is.

    ValueError naming both ids where the data is another than `expect`, and naming images that cannot be decoded;
    FileNotFoundError where there is neither data nor a cached copy; OSError where the cache has no room or is not
    writable.
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
                custom.remember(name, root, cache, found.dataset_id)
            except OSError as error:  # a cache that may only be read; the note only spares time
                log.info("what was learned of %s is not noted in %s (%s)", name.name, cache, error)
    return found


def is_read(name: str, dataset_id: str) -> bool:
    """Whether an id is that of files, not a plan's name for files that it has not seen."""
    if name not in names():
        return True  # one of the study's own, which is always read
    dataset = get(name)
    return not dataset_id.endswith(f"-{UNREAD}") and (dataset.large is None or dataset_id != dataset.published_id)


def _check(dataset: Dataset, form: Form | None) -> None:
    if form not in (None, Form()):
        raise ValueError(
            f"{dataset.name} has no mode, fraction, short_side or skip_broken: they belong to images of many sizes "
            "(imagenet, cityscapes)"
        )
