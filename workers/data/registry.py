"""Which datasets there are, by name, without importing any of them."""

from functools import cache
from pathlib import Path

import spaces
from workers.data.dataset import Dataset

_FOLDER = Path(__file__).resolve().parents[1] / "datasets"


@cache
def registry() -> spaces.Registry:
    """Ours, one per file of `workers/datasets`, and those of other distributions.

    Made when it is first asked for: beside a foreign package `spaces` this one can still be imported.
    """
    return spaces.Registry("dataset", "workers.datasets", [str(_FOLDER)], Dataset)
