"""What the results of a cell cost, seconds and multiply-adds for each architecture, and why some are missing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import names

_WORDS = 60  # characters of a reason


@dataclass(frozen=True)
class Costs:
    """Columns of the rows, NaN and None where unknown."""

    seconds: Any  # train_s
    macs: Any
    text: Any  # why a score is not finite

    def of_cells(self, rows: Any, missing: Any) -> dict[str, list[Any]]:
        """By cell, of positions of rows (A, C, S), -1 for none, and which of them have no finite score:

        `seconds`: train_s of an architecture, all its seeds: the mean over the cell's successful rows times its seeds.
        `macs`: of one forward pass of one element, the mean over architectures. `why_missing`: the most frequent text
        of the rows without a finite score.
        """
        found: dict[str, list[Any]] = {"seconds": [], "macs": [], "why_missing": []}
        for c in range(rows.shape[1]):
            there = rows[:, c] >= 0
            seeds = int(there.any(axis=0).sum())
            found["seconds"].append(_mean(self.seconds[rows[:, c][there]]) * seeds)
            found["macs"].append(_mean(self.macs[rows[:, c][there]]))
            texts = [str(text) for text in self.text[rows[:, c][missing[:, c]]] if isinstance(text, str) and text]
            most = max(dict.fromkeys(texts), key=texts.count, default="")
            found["why_missing"].append(names.short(most.replace(";", ","), _WORDS))
        return found


def costs(df: pd.DataFrame) -> Costs:
    """The costs that the rows know."""
    none = np.full(len(df), np.nan)
    seconds, macs = (
        pd.to_numeric(df[name], errors="coerce").to_numpy(float, na_value=np.nan) if name in df else none
        for name in ("train_s", "macs")
    )
    text = df["error_text"].to_numpy(object) if "error_text" in df else np.full(len(df), None)
    return Costs(seconds, macs, text)


def _mean(values: Any) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan
