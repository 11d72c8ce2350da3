"""In which unit scores are shown: percent for fractions such as accuracies, otherwise as they are."""

from dataclasses import dataclass
from typing import Any

import numpy as np

_FRACTIONS = {"top1": "accuracy", "top5": "top-5 accuracy", "miou": "mIoU"}
_PERCENT = "_percent"  # ends the name of a metric in percent, as others' results often are


@dataclass(frozen=True)
class Scale:
    """How scores are shown: fractions as percent, anything else as it is."""

    factor: float
    unit: str  # behind the name of a cell on x
    brief: str  # the same on y, where there is less room


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
