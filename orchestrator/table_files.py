"""Files that hold a long table, one line a measurement: CSV, Parquet, JSON and JSON Lines, read as they are.

Text stays text: an architecture called `000907`, `nan` or `1e5` keeps its name.  Every frame's index says where a line
is in its file, so that whoever refuses one can name it.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from spaces import quoted

ENDINGS = (".csv", ".parquet", ".json", ".jsonl")


def read(path: Path, data: bytes, names: Iterable[str], value: str) -> pd.DataFrame:
    """A table with at least those of its columns that have one of the names; the path's ending says the format.

    Raises ValueError naming the file, and the line or record, for what is no such table; it has the column `value`.
    """
    if path.suffix not in ENDINGS:
        raise ValueError(f"{path}: the ending says the format of a table; known are {', '.join(ENDINGS)}")
    try:
        if path.suffix == ".parquet":
            return _parquet(data, set(names), value)
        text = data.decode("utf-8-sig")
        if path.suffix == ".csv":
            table = _csv(text)
        else:
            table = _records(_json(text) if path.suffix == ".json" else _json_lines(text))
        _check(value, [str(name) for name in table])
        return table
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from None
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no readable Parquet file: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _parquet(data: bytes, names: set[str], value: str) -> pd.DataFrame:
    file = pq.ParquetFile(pa.BufferReader(data))
    have = list(file.schema_arrow.names)
    _check(value, have)
    wanted = [name for name in have if name in names]
    return _indexed(file.read(columns=wanted).to_pandas(ignore_metadata=True), "record")


def _csv(text: str) -> pd.DataFrame:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    places, fields = [], []
    try:
        head = next(lines, None)
        if not head:
            raise ValueError("line 1 should name the columns, and is empty")
        for line in lines:
            if len(line) != len(head) and line:
                raise ValueError(f"line {lines.line_num} has {len(line)} fields, the header {len(head)}")
            if line:
                places.append(lines.line_num)
                fields.append(line)
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num}: {error}") from None
    table = pd.DataFrame(fields, columns=head, dtype=object)
    return table.set_axis(pd.Index(places, dtype="int64", name="line"), axis=0)


def _json(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(found, list):
        raise ValueError(f"a table is a list of records, [{{...}}, ...]; this is {quoted(found)}")
    return found


def _json_lines(text: str) -> list[Any]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            if line.strip():
                found.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number} is no JSON: {error}") from None
    return found


def _records(found: Sequence[Any]) -> pd.DataFrame:
    """What a record leaves out is empty, and refused later if it is needed."""
    for number, record in enumerate(found):
        if not isinstance(record, dict):
            raise ValueError(f"record {number} is {quoted(record)}; right is an object with a key a column")
    names = list(dict.fromkeys(key for record in found for key in record))
    table = pd.DataFrame({name: pd.Series([r.get(name) for r in found], dtype=object) for name in names})
    return _indexed(table, "record")


def _indexed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Lines named by their position, from 0."""
    return table.set_axis(pd.RangeIndex(len(table), name=name), axis=0)


def _check(value: str, have: Sequence[str]) -> None:
    if value not in have:
        more = f" and {len(have) - 30:,} more" if len(have) > 30 else ""
        raise ValueError(f"no column {quoted(value)} of values; have {', '.join(map(quoted, have[:30]))}{more}")
