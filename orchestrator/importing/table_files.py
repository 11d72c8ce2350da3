"""Files with a long table, one line per measurement: CSV, Parquet, JSON and JSON Lines.

A .json file contains a list of records, or one record per line as `archsweep export` writes it.  Text stays text: an
architecture called `000907`, `nan` or `1e5` keeps its name.  The index of a frame is the position of each line in its
file, for error messages.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from spaces import quoted

ENDINGS = (".csv", ".parquet", ".json", ".jsonl")


def read(path: Path, data: bytes, names: Iterable[str], needed: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """A table with at least the columns of these names, and the names of all its columns.

    The suffix of the path is the format.  `needed`: names that must be columns, by their content ("values").  Raises
    ValueError naming the file, and the line or record, where it is not such a table.
    """
    if path.suffix not in ENDINGS:
        raise ValueError(f"{path}: the suffix is the format of a table; known are {', '.join(ENDINGS)}")
    try:
        if path.suffix == ".parquet":
            return _parquet(data, set(names), needed)
        text = data.decode("utf-8-sig")
        if path.suffix == ".csv":
            table = _csv(text)
        else:
            table = _records(_json(text) if path.suffix == ".json" else _json_lines(text))
        have = [str(name) for name in table]
        _check(needed, have)
        return table, have
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not valid UTF-8 text: {error}") from None
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a valid Parquet file: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _parquet(data: bytes, names: set[str], needed: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    file = pq.ParquetFile(pa.BufferReader(data))
    have = list(file.schema_arrow.names)
    _check(needed, have)
    wanted = [name for name in have if name in names]
    table = _indexed(file.read(columns=wanted).to_pandas(ignore_metadata=True), "record")
    for k, name in enumerate(map(str, table)):
        column = table.iloc[:, k]
        if pd.api.types.is_object_dtype(column):
            texts = [_text(value, number, name) for number, value in enumerate(column)]
            table.isetitem(k, pd.Series(texts, dtype=object).array)
    return table, have


def _text(value: object, number: int, name: str) -> object:
    """Bytes decoded as text; anything else unchanged."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"record {number}: {quoted(name)} is {quoted(value)}, which is not valid UTF-8 text") from None


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
        if _is_record(text.lstrip().partition("\n")[0]):
            return _json_lines(text)
        raise ValueError(f"not valid JSON: {error}") from None
    if isinstance(found, dict) and not all(isinstance(value, list | dict) for value in found.values()):
        return [found]  # one line of JSON Lines, not columns with lists of values
    if not isinstance(found, list):
        raise ValueError(
            f"a table is a list of records, [{{...}}, ...], or one record per line; this is {quoted(found)}"
        )
    return found


def _is_record(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _json_lines(text: str) -> list[Any]:
    found = []
    # Lines of JSON end at "\n" alone: `splitlines` would also split strings at U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            if line.strip():
                found.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number} is not valid JSON: {error}") from None
    return found


def _records(found: Sequence[Any]) -> pd.DataFrame:
    """A table of records; missing keys are empty, which is an error later if they are needed."""
    for number, record in enumerate(found):
        if not isinstance(record, dict):
            raise ValueError(f"record {number} is {quoted(record)}; expected is an object with one key per column")
    names = list(dict.fromkeys(key for record in found for key in record))
    table = pd.DataFrame({name: pd.Series([r.get(name) for r in found], dtype=object) for name in names})
    return _indexed(table, "record")


def _indexed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Lines named by their position, from 0."""
    return table.set_axis(pd.RangeIndex(len(table), name=name), axis=0)


def _check(needed: Mapping[str, str], have: Sequence[str]) -> None:
    for what, name in needed.items():
        if name not in have:
            more = f" and {len(have) - 30:,} more" if len(have) > 30 else ""
            raise ValueError(f"no column {quoted(name)} of {what}; have {', '.join(map(quoted, have[:30]))}{more}")
