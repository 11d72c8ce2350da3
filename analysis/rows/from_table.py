"""Anyone's table of results as rows of our schema, so that the same analysis reads it."""

import hashlib
import json
import re
import reprlib
from collections.abc import Callable, Hashable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.rows.schema import CURVES, SCHEMA, conform, frame

_KEYS = ["space", "arch", "dataset", "task", "recipe", "metric", "seed"]
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NO_NAME = (list, tuple, dict, set, frozenset, np.ndarray)  # of several things


def from_table(
    df: pd.DataFrame,
    *,
    space: Hashable,
    arch: Hashable,
    dataset: Hashable,
    task: Hashable,
    value: Hashable,
    seed: Hashable | None = None,
    metric: Hashable | None = None,
    recipe: Hashable | None = None,
    scale: float = 1.0,
) -> pd.DataFrame:
    """A long table (one line per measurement) as rows that `correlate`, `means`, `query` and `report` read.

    Each argument names a column of `df`, or is a constant where no column has that name; `value` must be a
    column. Names may be any text; values any finite numbers of which higher is better, taken as they are but
    for the factor `scale` (-1 for losses and errors). Lines that agree in everything but the value are
    averaged and counted in column `repeats`; without `seed` that holds for all repeats, and the seed is 1.
    Without `metric` it is the name of the value's column. `recipe` tells trainings of one task apart, 12
    epochs from 200, say: they are cells of their own and never averaged.
    Raises LookupError without a value column and ValueError for values that are no finite numbers, seeds that
    are not whole numbers of 64 bits, and names that are empty, lists or bytes that are not UTF-8; a line is named as
    the table's index names it. True, False and dates are no numbers.
    """
    if not np.isfinite(scale) or scale == 0:
        raise ValueError(f"scale must be a finite number other than 0, not {scale!r}")
    if value not in df.columns:
        raise LookupError(f"no column {value!r} to take values from; have {', '.join(map(repr, df.columns))}")
    given = {"space": space, "arch": arch, "dataset": dataset, "task": task}
    columns: dict[str, Any] = {name: _texts(df, name, source) for name, source in given.items()}
    columns["metric"] = str(value) if metric is None else _texts(df, "metric", metric)
    columns["recipe"] = "table" if recipe is None else _texts(df, "recipe", recipe)
    columns["seed"] = _seeds(df, 1 if seed is None else seed)
    columns["value"] = _numbers(df, value) * scale
    long = pd.DataFrame(columns)
    once = long.groupby(_KEYS, sort=False, as_index=False).agg(value=("value", "mean"), repeats=("value", "size"))
    return _rows(once)


def _rows(once: pd.DataFrame) -> pd.DataFrame:
    """Fills the columns that a plain table has no word about."""
    n = len(once)
    known: dict[str, Any] = {name: once[name] for name in _KEYS}
    known |= {
        "trial_id": [_trial_id(line) for line in once[_KEYS].itertuples(index=False)],
        "launch": ["table"] * n,
        "attempt": np.ones(n, np.int32),
        "status": ["ok"] * n,
        "dataset_id": once["dataset"],
        "recipe_id": once["recipe"],
        "score_best": once["value"],
        "score_final": once["value"],
        "diverged": np.zeros(n, bool),
        "repeats": once["repeats"],
    }
    table = pa.table({f.name: pa.array(known[f.name], f.type) for f in SCHEMA if f.name in known})
    df = frame(conform(table).drop_columns(list(CURVES)))
    df["run"] = pd.Series("table", index=df.index, dtype="str" if df["arch"].dtype == "str" else object)
    return df


def _trial_id(line: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps([str(part) for part in line]).encode()).hexdigest()[:16]


def _column(df: pd.DataFrame, source: Hashable) -> pd.Series:
    """The column of that name, or the constant on every line."""
    if source in df.columns:
        if (same := int((df.columns == source).sum())) > 1:
            raise ValueError(f"the table has {same} columns named {source!r}; rename all but one")
        return df[source].reset_index(drop=True)
    return pd.Series([source] * len(df), dtype=object)


def _texts(df: pd.DataFrame, name: str, source: Hashable) -> pd.Series:
    column = _column(df, source)
    if (empty := column.isna()).any():
        raise ValueError(
            f"{name} (column {source!r}) is empty on {empty.sum()} of {len(df)} lines, first on {_line(df, empty)}"
        )
    rule = f"{name} (column {source!r}) must be text or numbers, bytes UTF-8"
    return _each(df, column, _text, rule).astype(object)


def _text(value: object) -> str | None:
    """A name as text; None for what is none."""
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return None
    return None if isinstance(value, _NO_NAME) else str(value)


def _seeds(df: pd.DataFrame, source: Hashable) -> pd.Series:
    rule = f"seed (column {source!r}) must be whole numbers from -2^63 to 2^63 - 1, floats up to 2^53"
    return _each(df, _column(df, source), _whole, rule).astype(np.int64)


def _whole(value: object) -> int | None:
    """The integer of 64 bits that a value is exactly; None for all else, as floats beyond 2^53, which lost digits."""
    value = _number(value)
    if isinstance(value, float):
        found = int(value) if abs(value) <= 2**53 and value.is_integer() else None
    elif isinstance(value, Decimal):
        found = int(value) if value.is_finite() and value.adjusted() < 20 and value == int(value) else None
    else:
        found = value
    return found if found is not None and -(2**63) <= found < 2**63 else None


def _numbers(df: pd.DataFrame, source: Hashable) -> pd.Series:
    rule, then = f"values (column {source!r}) must be finite numbers", "; drop or repair those lines first"
    return _each(df, _column(df, source), _finite, rule, then).astype(float)


def _finite(value: object) -> float | None:
    """The nearest float, None where there is no finite one."""
    number = _number(value)
    try:
        found = None if number is None else float(number)
    except OverflowError:
        return None
    return found if found is not None and np.isfinite(found) else None


def _number(value: object) -> int | float | Decimal | None:
    """The number that a value is or spells, every digit of it; None for anything else."""
    if isinstance(value, str | bytes):
        text = (_text(value) or "").strip()
        return Decimal(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool | np.bool_ | np.datetime64 | np.timedelta64):
        return None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    return value if isinstance(value, int | float | Decimal) else None


def _each(
    df: pd.DataFrame, column: pd.Series, read: Callable[[object], Any], rule: str, then: str = ""
) -> "pd.Series[Any]":
    """Every value of a column as `read` takes it; ValueError with the rule where that is None."""
    found = pd.Series([read(value) for value in column.tolist()], dtype=object)
    if (wrong := found.isna()).any():
        raise ValueError(
            f"{rule}; {wrong.sum()} of {len(df)} lines are not, "
            f"first {_shown(column[wrong].iloc[0])} on {_line(df, wrong)}{then}"
        )
    return found


def _shown(value: object) -> str:
    """`repr`, short whatever the value is: Python does not even write integers of more than 4,300 digits."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length():,} bits"
    return reprlib.repr(value)


def _line(df: pd.DataFrame, wrong: pd.Series) -> str:
    """Where the first offending line is: its position from 0 and its label, or what a named index calls it."""
    position = int(np.argmax(wrong.to_numpy()))
    label = df.index[[position]].tolist()[0]
    return f"line {position} (index {label!r})" if df.index.name is None else f"{df.index.name} {label}"
