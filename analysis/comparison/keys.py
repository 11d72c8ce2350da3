"""What identifies a cell, what it is called by, and the columns of both in tables of cells and of pairs."""

from typing import NamedTuple

import pandas as pd

KEY = ("dataset_id", "task", "recipe_id")  # a cell within its space
CELL = ["space", *KEY]
NAMES = ("dataset", "task", "recipe", "dataset_id", "recipe_id", "metric", "method")  # by which a cell can be chosen

PAIR = ["space", "x_dataset", "x_task", "y_dataset", "y_task"]
IDS = [f"{side}_{name}" for name in NAMES[2:] for side in "xy"]
SCORE = "score"  # the method of a score that is computed without training
TRAIN = "train"  # the method of rows that name none
LAST = dict.fromkeys(["interval_method", "reason", "rule"], "str")  # `reason`: why a number is missing


class CellKey(NamedTuple):
    """A cell within its space."""

    dataset_id: str
    task: str
    recipe_id: str


def columns(side: str) -> list[str]:
    """The columns that identify the cells on a side of a table of pairs: "x", "target", ..."""
    return [f"{side}_{part}" for part in KEY]


def cell_keys(table: pd.DataFrame, side: str = "") -> list[CellKey]:
    """The cell of each line of a table of cells, or on one side of a table of pairs."""
    found = table[columns(side) if side else list(KEY)]
    return [CellKey(*map(str, line)) for line in found.itertuples(index=False, name=None)]
