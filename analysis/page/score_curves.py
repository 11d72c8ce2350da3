"""The report's section on training: how the scores of each cell grow from epoch to epoch."""

import html

import numpy as np

from analysis import names
from analysis.comparison.cells import Comparison
from analysis.comparison.chance import Levels
from analysis.comparison.units import scale
from analysis.drawing.palette import Look, Looks
from analysis.page.line_charts import Chart, Mark, Series, charts
from analysis.statistics.score_curves import CellCurves, each_cell, score_curves_of

_MOST_LINES = 24  # of single architectures in a panel
_FEWEST_LINES = 4
_ALL_LINES = 360  # in all panels together, at most 700 bytes each, so that the page stays small
_NAME = 40  # characters of an architecture


def score_curves(comparison: Comparison, looks: Looks, chance: Levels) -> str:
    """One chart per cell whose trainings have several epochs; `chance` is the score of guessing, by cell."""
    curves = [one for one in each_cell(comparison) if one.epochs > 1]
    if not curves:
        return ""
    most = max(_FEWEST_LINES, min(_MOST_LINES, _ALL_LINES // len(curves)))
    panels = [_panel(one, most, looks, chance) for one in curves]
    some = any(len(one.archs) > most for one in curves)
    thin = f"{most} architectures at even steps along the final ranking" if some else "single architectures"
    note = (
        "The score on the test split after each epoch. Thick: the mean over the architectures that have a score at the "
        f"epoch (one that diverged has none from then on). Thin: {thin}."
    ) + " Dashed: the score of guessing." * any(panel.marks for panel in panels)
    how = "Point at a thin line, tap it, or step with the arrow keys, to see which architecture it is."
    return f'<p class="note">{html.escape(note)}</p>\n<p class="note screen">{how}</p>\n{charts(panels)}'


def _panel(one: CellCurves, most: int, looks: Looks, chance: Levels) -> Chart:
    """A cell's chart: single architectures, above them the mean."""
    shown = scale(one.scores, str(one.label["metric"]))
    look = Look(looks.cell(one.space, *one.key).hue)
    epochs = np.arange(1, one.epochs + 1)
    count = len(one.archs)
    some = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
    series = [
        Series(names.short(one.archs[k], _NAME), look, epochs, one.scores[k] * shown.factor, thin=True) for k in some
    ]
    mean = score_curves_of([one])["mean"].to_numpy() * shown.factor
    level = chance.get((one.space, *one.key))
    return Chart(
        f"{names.space_name(one.space)}: {one.called}",
        "epoch",
        shown.unit.strip(" ,") or "score",
        [*series, Series("", look, epochs, mean)],
        marks=[] if level is None else [Mark(level * shown.factor, "y", "chance")],
        whole=True,
    )
