"""The registry of datasets: their names, without importing any of them."""

from functools import cache
from pathlib import Path

import spaces
from workers.data.dataset import Dataset

_FOLDER = Path(__file__).resolve().parents[1] / "datasets"


@cache
def registry() -> "spaces.Registry":
    """The datasets of this package, one per file of `workers/datasets`, and those of other distributions.

    Created on first use, so that this module can be imported even if another package is named `spaces`.
    """
    return spaces.Registry("dataset", "workers.datasets", [str(_FOLDER)], Dataset)
