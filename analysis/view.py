"""A table as its readers want it: cells by one name, numbers to the digits that count, identifiers left out."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pandas.api import types

from analysis import text

_PARTS = ("dataset", "dataset_id", "task", "recipe", "recipe_id", "metric")
_COEFFICIENTS = ("rho", "tau", "r")
_HEADS = {"n_dropped": "dropped"}
_NONE = "–"


def view(table: pd.DataFrame, shown: Sequence[str] = ()) -> pd.DataFrame:
    """The table as text: `shown` names columns besides the cells' and their order, by default all but identifiers.

    Columns that name a cell (x_dataset, x_task, ... or dataset, task, ...) become one, as short as still tells all
    cells apart; value, value_low and value_high become a value and its interval.
    """
    sides = [c.removesuffix("dataset") for c in table.columns if c.endswith("dataset") and f"{c[:-7]}task" in table]
    own = {side + part for side in sides for part in _PARTS}
    wanted = [c for c in shown if c in table] or [c for c in table.columns if c not in own and not _is_id(c)]
    found: dict[str, Any] = {"space": table["space"].astype(str)} if "space" in table else {}
    found |= {side.rstrip("_") or "cell": cell for side, cell in zip(sides, _cells(table, sides), strict=True)}
    ends = [name for name in wanted if f"{name}_low" in wanted and f"{name}_high" in wanted]
    joined = {f"{name}_{end}" for name in ends for end in ("low", "high")}
    for name in wanted:
        if name in found or name in joined:
            continue
        found[_HEADS.get(name, name)] = _spelled(table[name])
        if name in ends:
            low, high = (_spelled(table[f"{name}_{end}"], coefficient=".2f") for end in ("low", "high"))
            called = "interval" if len(ends) == 1 else f"{name} interval"
            found[called] = [_NONE if _NONE in both else f"[{', '.join(both)}]" for both in zip(low, high, strict=True)]
    return pd.DataFrame(found)


def _is_id(column: str) -> bool:
    return column.endswith(("_id", "_json"))


def _cells(table: pd.DataFrame, sides: Sequence[str]) -> list[list[str]]:
    """The cells on each side by what tells them apart: dataset, task, recipe; by their tasks where nothing does."""

    def several(part: str) -> bool:
        columns = [table[side + part].astype(str) for side in sides if side + part in table]
        return len(set().union(*columns)) > 1

    parts = [part for part in ("dataset", "task", "recipe") if several(part)] or ["task"]
    found = []
    for side in sides:
        columns = [table[side + part].astype(str) for part in parts if side + part in table]
        found.append([" ".join(names) for names in zip(*columns, strict=True)])
    return found


def _spelled(column: "pd.Series[Any]", coefficient: str = ".3f") -> list[str]:
    """The values of one column, floats all to the same digits: four behind the point for scores in [0, 1], fewer for
    larger numbers and for coefficients of correlation."""
    name = str(column.name)
    if types.is_float_dtype(column):
        if name == "p" or name.startswith("p_") or name.endswith("_p"):
            return [text.chance(float(p)) for p in column.astype(float)]
        most = column.abs().max()
        digits = ".4f" if not most > 1 else ".2f" if most < 1000 else ",.0f"
        if name.partition("_")[0] in _COEFFICIENTS and not most > 1:
            digits = coefficient
        return [_NONE if pd.isna(v) else format(float(v), digits) for v in column]
    if types.is_integer_dtype(column):
        return [_NONE if pd.isna(v) else f"{v:,}" for v in column]
    return [_NONE if _missing(v) else text.spell(v) for v in column]


def _missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))
