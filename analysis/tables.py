"""Anyone's table of results as rows of our schema, so that the same analysis reads it."""

import hashlib
import json
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.rows import CURVES, SCHEMA, conform, frame

_KEYS = ["space", "arch", "dataset", "task", "recipe", "metric", "seed"]


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
    are no whole numbers, and empty names; a line is named as the table's index names it.
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
    return column.astype(object).map(str).astype(object)


def _seeds(df: pd.DataFrame, source: Hashable) -> pd.Series:
    column = _column(df, source)
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if (wrong := ~(numbers % 1 == 0)).any():
        raise ValueError(
            f"seed (column {source!r}) must be whole numbers; {wrong.sum()} of {len(df)} lines are not, "
            f"first {column[wrong].iloc[0]!r} on {_line(df, wrong)}"
        )
    return numbers.astype(np.int64)


def _numbers(df: pd.DataFrame, source: Hashable) -> pd.Series:
    column = _column(df, source)
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if (wrong := ~numbers.between(-np.inf, np.inf, inclusive="neither")).any():
        raise ValueError(
            f"values (column {source!r}) must be finite numbers; {wrong.sum()} of {len(df)} lines are not, "
            f"first {column[wrong].iloc[0]!r} on {_line(df, wrong)}; drop or repair those lines first"
        )
    return numbers


def _line(df: pd.DataFrame, wrong: pd.Series) -> str:
    """Where the first offending line is: its position from 0 and its label, or what a named index calls it."""
    position = int(np.argmax(wrong.to_numpy()))
    label = df.index[[position]].tolist()[0]
    return f"line {position} (index {label!r})" if df.index.name is None else f"{df.index.name} {label}"
