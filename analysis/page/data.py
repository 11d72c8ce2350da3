"""What the page's linked panels know of every architecture, as compact JSON: columns, rounded to what can be seen."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.cells import Cells, Comparison
from analysis.comparison.chance import Levels, levels
from analysis.comparison.keys import KEY, cell_keys
from analysis.comparison.trials import means
from analysis.comparison.units import scale_of
from analysis.drawing.cells.drawing import operation
from analysis.drawing.palette import Looks
from analysis.page.cell_code import CellBook, counts
from analysis.rows.graph import operations, read
from analysis.tables.text import causes, each

MOST_POINTS = 4000  # architectures that are drawn, all spaces together; more would only lie on top of one another
_MOST_BYTES = 1_800_000  # of the JSON; figures, charts and tables share the rest of three megabytes
_MOST_CELLS = 12  # panels per space
_SHOWN = 300  # steps that a column's spread is divided into where a value is written
_STEPS = 3000  # that a column's spread is divided into: finer than a panel has pixels
_MOST_OPERATIONS = 16  # to colour by

Graphs = Mapping[tuple[str, str], str]


def content(comparison: Comparison, found: pd.DataFrame, graphs: Graphs, looks: Looks) -> dict[str, Any]:
    """The page's data: `found` is what `correlate` gives of the comparison, `graphs` are by space and arch.

    Where there are too many architectures, some are left out evenly along the ranking by the first panel's x.
    """
    most = MOST_POINTS
    df, spaces = comparison.rows, comparison.spaces
    table = means(df, score=comparison.options.score)
    guessed = levels(df, comparison.options.score)
    while True:
        book = CellBook()
        room = most // max(len(spaces), 1)
        shown = [_space(cells, found, df, table, guessed, graphs, book, room, looks) for cells in spaces]
        data = {"spaces": [s for s in shown if s], "cells": book.content(), "ramps": _ramps()}
        if len(text(data)) <= _MOST_BYTES or most < 100:
            return data
        most = int(most * 0.8 * _MOST_BYTES / len(text(data)))


def text(data: Any) -> str:
    """JSON that can stand between the tags of a script, whatever its strings hold."""
    plain = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _space(
    cells: Cells,
    found: pd.DataFrame,
    df: pd.DataFrame,
    table: pd.DataFrame,
    guessed: Levels,
    graphs: Graphs,
    book: CellBook,
    most: int,
    looks: Looks,
) -> dict[str, Any] | None:
    """One space's columns; None where nothing can be drawn yet."""
    values = np.where(cells.usable, cells.values, np.nan)
    there = ~np.isnan(values).all(axis=1)
    if not there.any():
        return None
    columns, first = _drawn(cells, found)
    of, kept = int(there.sum()), _kept(values[:, first], there, most)
    archs = [cells.archs[k] for k in kept]
    inside, mine = df[df["space"] == cells.space], table[table["space"] == cells.space]
    sizes = _sizes(inside, archs, cells.labels.iloc[first])
    drawn = [graphs.get((cells.space, arch), "") for arch in archs]
    same = inside.drop_duplicates("arch").set_index("arch")
    ids = same["arch_id"].reindex(archs) if "arch_id" in same else pd.Series([None] * len(archs))
    return {
        "name": cells.space,
        "title": names.space_name(cells.space) + (f" on {one}" if (one := _one_dataset(cells)) else ""),
        "of": of,
        "archs": archs,
        "ids": ["" if pd.isna(i) else str(i) for i in ids],
        "compared": "".join("1" if cells.groups and _compared(cells)[k] else "0" for k in kept),
        "first": columns.index(first),
        "axes": [_score(cells, c, values[kept, c], mine, guessed, archs, looks) for c in columns] + sizes,
        "left_out": len(cells.labels) - len(columns),
        "rhos": _rhos(cells, found, columns),
        "counts": _counts(drawn),
        "cells": [book.add(graph) for graph in drawn],
    }


def _drawn(cells: Cells, found: pd.DataFrame) -> tuple[list[int], int]:
    """The cells that have a panel, in their order, and the one that is on x at first: trainings, then the scores
    without training that agree best with that one."""
    scores = names.untrained(cells.labels)
    trained = [c for c, score in enumerate(scores) if not score][-_MOST_CELLS:]
    if not trained:
        last = list(range(len(scores)))[-_MOST_CELLS:]
        return last, next((c for c in last if cells.labels["task"].iloc[c] == "cls"), last[-1])
    first = next((c for c in trained if cells.labels["task"].iloc[c] == "cls"), trained[-1])
    keys = cell_keys(cells.labels)
    inside = found[found["space"] == cells.space]
    of_first = inside[np.array([y == keys[first] for y in cell_keys(inside, "y")], bool)]
    rho = dict(zip(cell_keys(of_first, "x"), of_first["rho"].abs().fillna(-1.0), strict=True))
    best = sorted((c for c, score in enumerate(scores) if score), key=lambda c: -rho.get(keys[c], -1.0))
    return sorted(trained + best[: _MOST_CELLS - len(trained)]), first


def _kept(x: Any, there: Any, most: int) -> list[int]:
    """Positions of the architectures to draw, in their order: all, or evenly along the ranking by x."""
    known = np.flatnonzero(there)
    if len(known) > most:
        ranked = known[np.argsort(np.nan_to_num(x[known], nan=-np.inf), kind="stable")]
        known = ranked[np.linspace(0, len(ranked) - 1, max(most, 1)).round().astype(int)]
    return sorted(map(int, known))


def _compared(cells: Cells) -> Any:
    """(A,) whether any pair of cells compares an architecture."""
    return np.any([np.frombuffer(mask, bool) for mask in cells.groups], axis=0)


def _score(
    cells: Cells, c: int, values: Any, means: pd.DataFrame, guessed: Levels, archs: list[str], looks: Looks
) -> dict[str, Any]:
    """A cell as an axis: its names, the score of guessing where it is known, and one score per architecture; null for
    none, false for a diverged one."""
    label = cells.labels.iloc[c]
    shown = scale_of(values, label)
    of_cell = np.all([(means[part] == label[part]).to_numpy() for part in KEY], axis=0)
    drawn = shown.apply(values)
    spread = means[of_cell].set_index("arch")["std"].reindex(archs).to_numpy(float) * shown.factor
    spread = np.full(len(spread), np.nan) if shown.log else spread
    axis = {
        "name": _names(cells)[c] + (shown.unit if shown.log else ""),
        "task": str(label["task"]),
        "dataset": str(label["dataset_id"]),
        "unit": "" if shown.log else shown.unit.strip(" ,"),
        "hue": looks.task(label["task"]).hue,
        "seeds": int(label["n_seeds"]),
        "digits": _digits(drawn, _SHOWN),
        "values": _rounded(drawn),
    }
    if (level := guessed.get((cells.space, *cell_keys(cells.labels)[c]))) is not None:
        axis["chance"] = _plain(float(f"{level * shown.factor:.6g}"))
    return axis | (
        {"sd": [None if math.isnan(v) else _plain(float(f"{v:.2g}")) for v in spread]}
        if np.isfinite(spread).any()
        else {}
    )


def _names(cells: Cells) -> list[str]:
    """The cells' names, without the dataset where there is only one."""
    return names.labels(cells.labels, dataset=not _one_dataset(cells))


def _one_dataset(cells: Cells) -> str:
    """The dataset's name where a space has only one."""
    datasets = cells.labels["dataset"]
    return names.dataset_name(str(datasets.iloc[0])) if cells.labels["dataset_id"].nunique() == 1 else ""


def _sizes(df: pd.DataFrame, archs: list[str], cell: pd.Series) -> list[dict[str, Any]]:
    """Parameters and multiply-adds as axes, of the networks of one cell, where they are known."""
    of_cell = np.all([(df[c] == cell[c]).to_numpy() for c in KEY if c in df], axis=0)
    done = (df["status"] == "ok").to_numpy(bool) if "status" in df else np.ones(len(df), bool)
    one = df[of_cell & done].drop_duplicates("arch")
    found = []
    for column, name in (("params", "parameters"), ("macs", "multiply-adds")):
        if column not in one or not one[column].notna().any():
            continue
        millions = one.set_index("arch")[column].reindex(archs).to_numpy(float, na_value=math.nan) / 1e6
        found.append({"name": name, "size": True, "unit": "(million)", "hue": -1, "values": _significant(millions)})
    return found


def _rhos(cells: Cells, found: pd.DataFrame, columns: list[int]) -> list[list[Any]]:
    """[axis, axis, rho and its interval or why there is none, n] of the pairs that are drawn: as text, so that a number
    is rounded once, and to the same digits as in the tables."""
    inside = found[found["space"] == cells.space]
    called = [_names(cells)[c] for c in columns]
    place = {key: k for k, key in enumerate(cell_keys(cells.labels.iloc[columns]))}
    return [
        [place[x], place[y], _told(line, called[place[x]], called[place[y]]), int(line.n)]
        for x, y, line in zip(cell_keys(inside, "x"), cell_keys(inside, "y"), each(inside), strict=True)
        if x in place and y in place
    ]


def _told(line: Any, x: str, y: str) -> str:
    """ "ρ = 0.87 [0.84, 0.90]", or why there is none, by the names of the two cells."""
    if math.isnan(line.rho):
        named = {"x": x, "y": y}
        whys = causes(line.reason)
        reasons = "; ".join(f"{named.get(side, side)}{colon}{why}" for side, colon, why in whys)
        return f"ρ not defined ({reasons})" if reasons else "ρ not defined"
    value, bounds = names.with_interval(line.rho, line.rho_low, line.rho_high)
    if line.no_signal:
        return f"no signal (ρ = {value})"
    return f"ρ = {value}" + ("" if math.isnan(line.rho_low) else f" {bounds}")


def _counts(graphs: Sequence[str]) -> list[dict[str, Any]]:
    """How often each operation occurs in an architecture, for those that occur in some and not in all equally."""
    named = [[operation(op).label for op in operations(read(graph))] for graph in graphs]
    labels = sorted({label for ops in named for label in ops})
    found = [(label, [ops.count(label) for ops in named]) for label in labels]
    varied = [(label, many) for label, many in found if len(set(many)) > 1][:_MOST_OPERATIONS]
    return [{"name": label, "values": counts(many)} for label, many in varied]


def _rounded(values: Any) -> list[Any]:
    """As many decimal digits as can be seen; null for NaN, false for -inf.

    The page rounds once more to the digits it shows. Where that would give another number than rounding once, more
    digits are kept.
    """
    digits, shown = _digits(values, _STEPS), _digits(values, _SHOWN)

    def one(value: float) -> float:
        short = round(value, digits)
        return short if round(short, shown) == round(value, shown) else value

    return [None if math.isnan(v) else False if math.isinf(v) else _plain(one(float(v))) for v in values]


def _digits(values: Any, steps: int) -> int:
    """Decimal digits that divide the distance of the quartiles into at least so many steps."""
    finite = values[np.isfinite(values)]
    spread = float(np.subtract(*np.quantile(finite, [0.75, 0.25])) or np.ptp(finite)) if len(finite) else 0.0
    return min(max(math.ceil(math.log10(steps / spread)), 0), 15) if spread > 0 else 6


def _significant(values: Any) -> list[Any]:
    return [_plain(float(f"{v:.4g}")) if math.isfinite(v) else None for v in values]


def _plain(value: float) -> float | int:
    """Integers without a point."""
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _ramps() -> dict[str, list[str]]:
    """Colours from few to many, each ramp without the end that its background swallows."""
    viridis = mpl.colormaps["viridis"]
    ends = {"light": np.linspace(0.0, 0.9, 9), "dark": np.linspace(0.25, 1.0, 9)}
    return {name: [mpl.colors.to_hex(viridis(v)) for v in at] for name, at in ends.items()}
