"""A table as its readers want it: cells by one name, numbers to the digits that count, identifiers left out."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pandas.api import types

from analysis import names
from analysis.comparison.keys import NAMES
from analysis.comparison.trials import expect_frame
from analysis.tables import text

_COEFFICIENTS = ("rho", "tau", "r", "difference", "agreement")
_HEADS = {
    "n_dropped": "dropped",
    "difference_params": "difference",
    "rho_given_params": "given params",
    "rho_with_labels": "with labels",
    "p_params_holm": "p_holm",
    "agreement_random": "random",
    "agreement_p": "p_value",
    "edits_random": "random edits",
}
# What says nothing where a cell has no signal; a value in parentheses is no finding.
_FINDINGS = frozenset(
    {
        "rho",
        "interval",
        "rho interval",
        "given params",
        "rho_given_macs",
        "rho_given_both",
        "rho_fixed",
        "rho_fixed interval",
        "a_rho",
        "b_rho",
        "ab_rho",
    }
    | {"difference", "difference interval", "overlap", "precision", "regret", "percentile"}
)
_SMALL = 10.0  # below it a number without decimals says little
_LARGE = 1e9  # from here on a column of numbers is written with exponents


def for_display(table: pd.DataFrame, *, shown: Sequence[str] = ()) -> pd.DataFrame:
    """The table as text: `shown` names columns besides the cells' and their order, by default all but identifiers.

    Columns that name a cell (x_dataset, x_task, ... or dataset, task, ...) become one, as short as still tells all
    cells apart; value, value_low and value_high become a value and its interval.  What is found stands in parentheses
    where the column `no_signal` says why it is no finding.
    """
    expect_frame(table)
    sides = [c.removesuffix("dataset") for c in table.columns if c.endswith("dataset") and f"{c[:-7]}task" in table]
    own = {side + part for side in sides for part in NAMES}
    wanted = [c for c in shown if c in table] or [c for c in table.columns if c not in own and not _is_id(c)]
    found: dict[str, Any] = {"space": table["space"].astype(str)} if "space" in table else {}
    found |= _cells(table, sides)
    ends = [name for name in wanted if f"{name}_low" in wanted and f"{name}_high" in wanted]
    joined = {f"{name}_{end}" for name in ends for end in ("low", "high")}
    for name in wanted:
        if name in found or name in joined:
            continue
        digits = _digits(table[name])
        if name in ends:
            bounds = (table[f"{name}_low"], table[f"{name}_high"])
            fine = _of_intervals(table[name], bounds[0], bounds[1], digits)
            digits = max(digits, fine)
        found[_HEADS.get(name, name)] = _spelled(table[name], digits)
        if name in ends:
            low, high = (_spelled(one, fine) for one in bounds)
            called = "interval" if len(ends) == 1 and "interval" not in wanted else f"{name} interval"
            found[called] = [names.bounds(*both) for both in zip(low, high, strict=True)]
    if "no_signal" in table:
        for name in found.keys() & _FINDINGS:
            both = zip(found[name], table["no_signal"] != "", strict=True)
            found[name] = [f"({value})" if absent and value != names.NONE else value for value, absent in both]
    return pd.DataFrame(found)


def _is_id(column: str) -> bool:
    return column.endswith(("_id", "_json"))


def _cells(table: pd.DataFrame, sides: Sequence[str]) -> dict[str, list[str]]:
    """One column of names for each side: "x", "target", ..., or "cell"."""
    if not sides:
        return {}
    wanted = ("dataset", "task", "recipe", "metric", "method")
    parts = [part for part in wanted if all(side + part in table for side in sides)]
    cells = pd.concat([table[[side + part for part in parts]].set_axis(parts, axis=1) for side in sides])
    called, many = names.plain_labels(cells), len(table)
    return {side.rstrip("_") or "cell": called[k * many : (k + 1) * many] for k, side in enumerate(sides)}


def _digits(column: "pd.Series[Any]") -> int:
    """Digits behind the point of a column of floats: four for scores in [0, 1], fewer for larger numbers and for
    coefficients of correlation."""
    if not types.is_float_dtype(column):
        return 0
    most = column.abs().max()
    if str(column.name) == "percentile":
        return 1
    coefficient = str(column.name).partition("_")[0] in _COEFFICIENTS
    return 3 if coefficient and not most > 1 else 4 if not most > 1 else 2 if most < 1000 else 0


def _of_intervals(value: "pd.Series[Any]", low: "pd.Series[Any]", high: "pd.Series[Any]", digits: int) -> int:
    """Digits for the bounds of intervals, the same in a whole column.

    Two are enough for coefficients where the narrowest interval still has a width, and where each holds its value as
    that is printed to `digits`.
    """
    coefficient = digits == 3
    both = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    most = max((names.digits(a, b, 2 if coefficient else digits) for a, b in both), default=digits)
    if most >= digits:
        return most
    held = [
        round(a, most) <= round(float(v), digits) <= round(b, most) or not a <= float(v) <= b
        for v, (a, b) in zip(value, both, strict=True)
    ]
    return most if all(held) else digits


def _spelled(column: "pd.Series[Any]", digits: int) -> list[str]:
    """The values of one column, floats all to the same digits behind the point."""
    name = str(column.name)
    if types.is_float_dtype(column):
        if name == "p" or name.startswith("p_") or name.endswith("_p"):
            return [text.p_value(float(p)) for p in column.astype(float)]
        if name == "seconds" or name.endswith("_seconds") or column.abs().max() >= _LARGE:
            return [names.significant(float("nan") if pd.isna(v) else float(v)) for v in column]
        if digits == 0 and (column.abs() < _SMALL).any():  # of several units, as accuracies beside scores
            return [names.NONE if pd.isna(v) else _four(float(v)) for v in column]
        return [names.NONE if pd.isna(v) else format(float(v), f",.{digits}f") for v in column]
    if types.is_integer_dtype(column):
        return [names.NONE if pd.isna(v) else f"{v:,}" for v in column]
    return [names.NONE if _missing(v) else text.spell(v) for v in column]


def _four(value: float) -> str:
    """Four significant digits, no exponent for large numbers."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))
