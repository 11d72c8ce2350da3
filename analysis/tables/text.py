"""Tables as text: one set of spellings for numbers, written as Markdown or HTML."""

import html
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.keys import CELL, cell_keys

_LABELS = ["dataset", "dataset_id", "task", "recipe", "recipe_id", "metric", "method"]


def to_markdown(table: pd.DataFrame) -> str:
    """The table as GitHub Markdown, numbers to the right; floats with 4 digits, nothing where there is no
    value."""
    numbers = right(table)
    lines = [
        [_flat(c) for c in table.columns],
        ["---:" if r else "---" for r in numbers],
        *([_flat(spell(value)) for value in line] for line in table.itertuples(index=False, name=None)),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def html_table(table: pd.DataFrame) -> str:
    """The table as HTML in a box that scrolls sideways where the page is narrow."""
    numbers = right(table)
    kinds = [' class="number"' if r else "" for r in numbers]
    head = "".join(f"<th{k}>{html.escape(str(c))}</th>" for c, k in zip(table.columns, kinds, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{k}>{html.escape(spell(v))}</td>" for v, k in zip(line, kinds, strict=True)) + "</tr>"
        for line in table.itertuples(index=False, name=None)
    )
    return f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def correlations(table: pd.DataFrame) -> pd.DataFrame:
    """What `correlate` found, in the columns and spellings of a paper."""
    sides = [cell_names(table, side) for side in "xy"]
    both = [names.with_interval(*line) for line in zip(table["rho"], table["rho_low"], table["rho_high"], strict=True)]
    return pd.DataFrame(
        {
            "space": table["space"].map(names.space_name),
            "x": sides[0],
            "y": sides[1],
            "n": table["n"],
            "dropped": table["n_dropped"],
            "ρ": [value for value, _ in both],
            "interval": [interval for _, interval in both],
            "τ": table["tau"].map(names.fixed),
            "p": table["p"].map(p_value),
        }
        | ({"no signal": table["no_signal"]} if (table["no_signal"] != "").any() else {})
    )


def cell_names(table: pd.DataFrame, side: str) -> list[str]:
    """Names of the cells on one side of a table of pairs, unique among the cells of both sides of the space."""
    return _names(table, side)[0]


def _names(table: pd.DataFrame, *sides: str, dataset: bool = True) -> list[list[str]]:
    """The names of the cells on each of these sides."""
    both = [table[[f"{s}_{p}" for p in _LABELS]].set_axis(_LABELS, axis=1).assign(space=table["space"]) for s in "xy"]
    cells = pd.concat(both).drop_duplicates(CELL)
    called: dict[Any, str] = {}
    for space, inside in cells.groupby("space"):
        labels = names.labels(inside, dataset=dataset)
        called |= {(space, *key): name for key, name in zip(cell_keys(inside), labels, strict=True)}
    return [
        [called[space, *key] for space, key in zip(table["space"], cell_keys(table, side), strict=True)]
        for side in sides
    ]


def each(table: pd.DataFrame) -> Iterator[Any]:
    """The lines of a table, as untyped as their columns."""
    yield from table.itertuples()


def as_pairs(table: pd.DataFrame, x: str = "proxy", y: str = "target") -> pd.DataFrame:
    """A table whose sides have other names, as one of pairs x and y."""
    return table.rename(columns={f"{a}_{p}": f"{b}_{p}" for a, b in ((x, "x"), (y, "y")) for p in _LABELS})


def brief_names(table: pd.DataFrame) -> tuple[list[str], list[str], str]:
    """Names of the cells on x and on y, and the dataset's name if all have the same; it is then left out of theirs."""
    one = len({*table["x_dataset_id"], *table["y_dataset_id"]}) == 1
    x, y = _names(table, "x", "y", dataset=not one)
    return x, y, names.dataset_name(str(table["x_dataset"].iloc[0])) if one else ""


def causes(reason: str) -> list[tuple[str, str, str]]:
    """Side, colon and cause of each part of a column of reasons, "x: why; y: why"; the side alone without a colon."""
    return [part.partition(": ") for part in reason.split("; ") if part]


def spell(value: Any) -> str:
    """A value as people write it."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def p_value(p: float) -> str:
    """A p-value."""
    return "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def right(table: pd.DataFrame) -> list[bool]:
    """Which columns hold numbers or intervals, spelled or not: they belong to the right."""
    return [
        pd.api.types.is_numeric_dtype(table[c]) or (len(table) > 0 and all(map(_number, table[c])))
        for c in table.columns
    ]


def _number(value: Any) -> bool:
    return spell(value).strip("–−-±[]()<%, .0123456789e+") == ""


def _flat(value: Any) -> str:
    # Markdown lets HTML through, so what could begin a tag is spelled as an entity.
    return html.escape(" ".join(str(value).split()), quote=False).replace("|", "\\|")
