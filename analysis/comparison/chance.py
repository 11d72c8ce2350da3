"""The score that guessing would give in each cell."""

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
        one = float(values.iloc[0])
        found[str(space), str(dataset_id), str(task), str(recipe_id)] = (
            one if (values == one).all() else float(values.mean())
        )
    return found


def widened(low: float, high: float, chance: float) -> tuple[float, float]:
    """The limits of an axis, extended to hold `chance` where what they held keeps two thirds of the axis or more."""
    reach = 0.02 * (high - low)
    wide = min(low, chance - reach), max(high, chance + reach)
    return wide if (high - low) >= 2 / 3 * (wide[1] - wide[0]) else (low, high)
