"""In which unit scores are shown: percent for fractions such as accuracies, otherwise as they are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.keys import SCORE

_WIDE = 100.0  # times the middle size: from there on up the largest value of a score hides all others on a plain axis
_FRACTIONS = {"top1": "accuracy", "top5": "top-5 accuracy", "miou": "mIoU"}
_PERCENT = "_percent"  # ends the name of a metric in percent, as others' results often are


@dataclass(frozen=True)
class Scale:
    """How scores are shown: fractions as percent, scores of many orders of magnitude by their logarithm, anything else
    as it is."""

    factor: float
    unit: str  # behind the name of a cell on x
    brief: str  # the same on y, where there is less room
    log: str = ""  # "log10", or "signed" for sign(x) log10(1 + |x|)

    def apply(self, values: Any) -> Any:
        """The values as they are drawn; their order stays, -inf and NaN too."""
        if not self.log:
            return values * self.factor
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log10(values) if self.log == "log10" else np.sign(values) * np.log10(1 + np.abs(values))
        return np.where(np.isfinite(values), logs, values)


def scale(values: Any, metric: str) -> Scale:
    """Percent for accuracies and IoU, be they fractions or in percent; otherwise the metric's name and no change."""
    finite = values[np.isfinite(values)]
    kind = _FRACTIONS.get(metric)
    if kind and (len(finite) == 0 or (finite.min() >= 0 and finite.max() <= 1)):
        return Scale(100.0, f" {kind} (%)", " (%)")
    if kind := _FRACTIONS.get(metric.removesuffix(_PERCENT)) if metric.endswith(_PERCENT) else None:
        return Scale(1.0, f" {kind} (%)", " (%)")
    named = f", {' '.join(metric.split())[:24]}" if metric else ""
    return Scale(1.0, named, named)


def scale_of(values: Any, label: "pd.Series[Any]") -> Scale:
    """How the scores of a cell are drawn, by its metric and method.

    A score without training has no unit, and its name is the cell's; where the largest is far beyond the others, its
    logarithm is drawn.
    """
    if label["method"] != SCORE:
        return scale(values, str(label["metric"]))
    size = np.abs(values[np.isfinite(values)])
    if len(size) == 0 or size.max() <= _WIDE * max(float(np.median(size)), 1e-300):
        return Scale(1.0, "", "")
    if values[np.isfinite(values)].min() > 0:
        return Scale(1.0, ", log10", ", log10", "log10")
    return Scale(1.0, ", signed log10(1 + |x|)", ", signed log10", "signed")
