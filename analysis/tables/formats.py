"""A table as JSON and CSV, nothing rounded, and as LaTeX."""

import json
import math
import re
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables import text

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    "–": "--",
    "±": r"$\pm$",
    "…": r"\ldots{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{c: f"{{{c}}}" for c in "[]"},  # after \\ a bracket would begin an option
}
_SYMBOLS = {"rho": r"$\rho$", "tau": r"$\tau$", "n": "$n$", "m": "$m$", "p": "$p$", "r": "$r$"}


def to_json(table: pd.DataFrame) -> str:
    """A list with one object per row of the table; null where there is no finite number."""
    lines = [json.dumps(_plain(record), allow_nan=False) for record in table.to_dict("records")]
    return "[" + ",\n ".join(lines) + "]\n"


def json_lines(table: pd.DataFrame) -> str:
    """One object per row of the table, each on a line; null where there is no finite number."""
    return "".join(json.dumps(_plain(record), allow_nan=False) + "\n" for record in table.to_dict("records"))


def to_csv(table: pd.DataFrame) -> str:
    """Columns by name, floats to the last digit, lists as JSON; empty where there is no value."""
    columns = {name: _flat(table.iloc[:, k]) for k, name in enumerate(table.columns)}
    return pd.DataFrame(columns, index=table.index).to_csv(index=False)


def to_latex(table: pd.DataFrame) -> str:
    """A tabular with the rules of booktabs, numbers to the right; text as it stands, nothing of it a command."""
    right = text.right(table)
    head = [_SYMBOLS.get(str(c)) or _escaped(str(c)) for c in table.columns]
    body = [[_number(v) if r else _escaped(v) for v, r in zip(line, right, strict=True)] for line in _texts(table)]
    rows = "\n".join(f"{' & '.join(line)} \\\\" for line in body)
    return (
        f"\\begin{{tabular}}{{{''.join('r' if r else 'l' for r in right)}}}\n\\toprule\n"
        f"{' & '.join(head)} \\\\\n\\midrule\n{rows}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _texts(table: pd.DataFrame) -> list[list[str]]:
    return [[str(v) for v in line] for line in table.itertuples(index=False, name=None)]


def _escaped(words: str) -> str:
    return "".join(_ESCAPED.get(c, c) for c in " ".join(words.split()))


def _number(words: str) -> str:
    return re.sub(r"(?<!\d)-(?=[\d.])", "$-$", _escaped(words))


def _flat(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Lists and mappings of a column as JSON."""
    if column.dtype != object:
        return column
    return column.map(lambda v: json.dumps(_plain(v)) if isinstance(v, list | dict | tuple | np.ndarray) else v)


def _plain(value: Any) -> Any:
    """What JSON can hold: no NaN, no infinity; times in ISO 8601."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return int(value) if hasattr(value, "__int__") and value == int(value) else str(value)
