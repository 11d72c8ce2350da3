"""Datasets: uint8 images and labels, never a task's transform. The folder is the registry.

A file that defines `DATASET` is a dataset; nothing is imported before it is asked for.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import cast

import spaces
from workers.datasets._arrays import Arrays, Split, cache_folder, identify, prepare
from workers.datasets._dataset import Dataset, Jigsaw

__all__ = ["Arrays", "Dataset", "Jigsaw", "Split", "cache_folder", "get", "identify", "names", "prepare"]


def names() -> list[str]:
    """Every dataset that can be asked for, without importing any of them."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def get(name: str) -> Dataset:
    """The dataset of that name; LookupError naming what exists."""
    if name not in names():
        raise LookupError(f"no dataset {spaces.quoted(name)}; have {', '.join(names())}")
    return cast(Dataset, import_module(f"{__name__}.{name}").DATASET)
