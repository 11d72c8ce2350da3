"""The score that guessing would give in each cell."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.keys import CELL
from analysis.comparison.trials import gather

Levels = dict[tuple[str, str, str, str], float]  # by space, dataset_id, task, recipe_id

_SCORES = ("score_best", "score_final")  # the columns that chance is a level of


def levels(df: pd.DataFrame, score: str = "score_best") -> Levels:
    """The score of guessing in each cell whose rows know it, by (space, dataset_id, task, recipe_id).

    The value of the cell's successful rows where they agree, else the mean of those that have one. Empty for rows
    without column `chance` and for a `score` that is not a score on the test split.
    """
    if "chance" not in df or score not in _SCORES:
        return {}
    trials = gather(df, "chance")
    known = trials[trials["ok"] & np.isfinite(trials["value"])]
    found: Levels = {}
    for (space, dataset_id, task, recipe_id), values in known.groupby(CELL, sort=False)["value"]:
        found[str(space), str(dataset_id), str(task), str(recipe_id)] = level(values.to_numpy(float))
    return found


def level(values: Any) -> float:
    """(n,) what the rows of a cell say of chance: the value where they agree, else the mean; NaN where none says it."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.nan
    return float(known[0] if (known == known[0]).all() else known.mean())


def widened(low: float, high: float, chance: float) -> tuple[float, float]:
    """The limits of an axis, extended to hold `chance` where what they held keeps two thirds of the axis or more."""
    reach = 0.02 * (high - low)
    wide = min(low, chance - reach), max(high, chance + reach)
    return wide if (high - low) >= 2 / 3 * (wide[1] - wide[0]) else (low, high)
