"""Tables of results that are looked up instead of measured: rows of a run, or a Parquet file of such rows.

A cell of a table holds the rows of one space, dataset, task and recipe.  Its `content` is a digest of the rows that can
be looked up, so it is the same wherever the table lies and however its rows are split into files.
Reads Parquet files alone: nothing of the orchestrator.  `workers.methods.lookup` and plans of studies use it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spaces import quoted
from workers import checksum, files

_KEYS = ("status", "space", "dataset", "dataset_id", "task", "recipe", "recipe_id", "trial_id")
_TEXT = ("arch", "metric")
_NUMBERS = ("score_best", "score_final", "best_epoch", "epochs", "train_loss", "train_s")
_CURVES = ("curve_train_loss", "curve_test_score", "curve_seconds")
VALUES = ("metric", *_NUMBERS, "diverged", *_CURVES)
"""The columns of a row that are looked up."""
_NEEDED = ("space", "arch", "dataset", "task", "recipe", "score_best")
_SHOWN = 12  # names in a message
_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys((*_KEYS, *_TEXT, "arch_id"), pa.string()),
    **dict.fromkeys(_NUMBERS, pa.float64()),
    **dict.fromkeys(_CURVES, pa.list_(pa.float64())),
    "seed": pa.int64(),
    "diverged": pa.bool_(),
}


Stamp = tuple[tuple[str, float | None], ...]  # the files of a table and when they were written


@dataclass(frozen=True)
class Cell:
    """The rows of one space, dataset, task and recipe of a table; `content` identifies them."""

    place: str
    measured: str
    rows: pa.Table  # arch, arch_id, seed and VALUES; sorted by arch and seed

    @cached_property
    def content(self) -> str:
        """16 hexadecimal digits: a digest of everything that can be looked up.  No value equals NaN."""
        digest = hashlib.sha256()
        for name in (*_TEXT, "seed", *_NUMBERS, "diverged", *_CURVES):
            digest.update(f"{name}\0".encode())
            for piece in _bytes(self.rows[name].combine_chunks()):
                digest.update(piece)
        return digest.hexdigest()[:16]

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds of the rows."""
        return sorted(pc.unique(self.rows["seed"]).to_pylist())

    def find(self, arch: str, arch_id: str, seed: int | None) -> list[dict[str, Any]]:
        """The rows of an architecture with a seed (None: with any seed); empty where the table lacks them.

        An architecture that the table has only in another spelling is found by its `arch_id`.
        """
        places = self._by_arch.get(arch) or self._by_arch.get(self._spellings.get(arch_id, ""), [])
        found: list[dict[str, Any]] = self.rows.take(places).to_pylist() if places else []
        return [row for row in found if seed is None or row["seed"] == seed]

    def lacking(self, archs: Iterable[tuple[str, str]], seeds: Sequence[int] | None) -> list[str]:
        """Those architectures, given as (text, arch_id), that lack a row for one of the seeds (None: any row)."""
        have = self._pairs if seeds is not None else set()
        missing = []
        for arch, arch_id in archs:
            known = arch if arch in self._by_arch else self._spellings.get(arch_id)
            if known is None or any((known, seed) not in have for seed in seeds or ()):
                missing.append(arch)
        return missing

    @cached_property
    def _by_arch(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for place, arch in enumerate(self.rows["arch"].to_pylist()):
            found.setdefault(arch, []).append(place)
        return found

    @cached_property
    def _pairs(self) -> set[tuple[str, int]]:
        return set(zip(self.rows["arch"].to_pylist(), self.rows["seed"].to_pylist(), strict=True))

    @cached_property
    def _spellings(self) -> dict[str, str]:
        """The first spelling of each arch_id."""
        found: dict[str, str] = {}
        for arch, arch_id in zip(self.rows["arch"].to_pylist(), self.rows["arch_id"].to_pylist(), strict=True):
            if arch_id is not None:
                found.setdefault(arch_id, arch)
        return found


def cell(place: str, space: str, dataset: str, dataset_id: str | None, task: str, measured: str | None) -> Cell:
    """A cell of the table at a path or URL: a run's folder, or a Parquet file of rows.

    `measured` is the name or the id of its recipe; None: the only one.  Rows of the dataset's `dataset_id` are
    preferred to those that know the dataset by its name alone.  FileNotFoundError, ValueError for what is no table, and
    LookupError naming what the table has.
    """
    return _cell(place, _stamp(place), space, dataset, dataset_id, task, measured)


@lru_cache(maxsize=64)
def _cell(
    place: str,
    stamp: Stamp,
    space: str,
    dataset: str,
    dataset_id: str | None,
    task: str,
    measured: str | None,
) -> Cell:
    table = _read(place, stamp)
    for name, value in (("space", space), ("task", task), ("dataset", dataset)):
        table = _only(table, name, [value], place)
    ids = set(pc.unique(table["dataset_id"]).to_pylist())
    known = next((i for i in (dataset_id, dataset, None) if i in ids), "")
    if known == "":
        raise LookupError(
            f"{place} has dataset {quoted(dataset)} with the ids {_some(ids)}; expected {quoted(str(dataset_id))}"
        )
    table = table.filter(pc.equal(table["dataset_id"], known) if known is not None else pc.is_null(table["dataset_id"]))
    if measured is None:
        names = set(pc.unique(table["recipe"]).to_pylist())
        if len(names) > 1:
            raise LookupError(
                f"{place} has several recipes for space {space}, dataset {dataset}, task {task}: {_some(names)}; "
                f"name one, as in lookup/{min(names)}"
            )
        measured = str(names.pop())
    by_id = pc.equal(table["recipe_id"], measured)
    table = table.filter(by_id) if pc.any(by_id).as_py() else _only(table, "recipe", [measured], place)
    ids = set(pc.unique(table["recipe_id"]).to_pylist())
    if len(ids) > 1:
        raise LookupError(f"{place} has several recipes named {quoted(measured)}; give the id of one: {_some(ids)}")
    order = pc.sort_indices(table, [("arch", "ascending"), ("seed", "ascending")])
    return Cell(place, measured, table.select(["arch", "arch_id", "seed", *VALUES]).take(order))


def _only(table: pa.Table, column: str, values: list[str], place: str) -> pa.Table:
    """The rows with one of these values; LookupError naming the values that there are."""
    found = table.filter(pc.is_in(table[column], value_set=pa.array(values)))
    if not found.num_rows:
        raise LookupError(
            f"{place} has no rows of {column} {' or '.join(map(quoted, values))}; "
            f"it has {_some(set(pc.unique(table[column]).to_pylist()))}"
        )
    return found


def _some(names: Iterable[str | None]) -> str:
    found = sorted(str(name) for name in names)
    return ", ".join(map(quoted, found[:_SHOWN])) + (
        f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    )


def _parts(place: str) -> list[str]:
    """The Parquet files of a table."""
    if place.endswith(".parquet") and files.exists(place):
        return [place]
    found = [
        f"{place.rstrip('/')}/{folder}/{name}"
        for folder in ("rows", "attempts")
        for name in files.names(f"{place.rstrip('/')}/{folder}")
        if name.endswith(".parquet") and name[0] not in "._"
    ]
    if not found:
        raise FileNotFoundError(
            f"there is no table at {place}: expected a Parquet file of rows, or the folder of a run with rows, such as "
            "one that `archsweep import` wrote"
        )
    return found


def _stamp(place: str) -> Stamp:
    """The files of a table and when they were written."""
    return tuple((part, files.modified(part)) for part in _parts(place))


@lru_cache(maxsize=4)
def _read(place: str, stamp: Stamp) -> pa.Table:
    """The successful rows of a table with the columns that are used here, each trial once."""
    table = pa.concat_tables([_part(part) for part, _ in stamp])
    table = table.filter(pc.equal(table["status"], "ok"))
    if not table.num_rows:
        raise ValueError(f"{place} has no successful row")
    ids = table["trial_id"]
    if ids.null_count:
        return table
    # A row of a run may be both among the attempts and in a part of rows/.
    _, first = np.unique(ids.combine_chunks().dictionary_encode().indices.to_numpy(), return_index=True)
    return table.take(np.sort(first))


def _part(url: str) -> pa.Table:
    """The rows of a Parquet file, with all columns that are used here; those that it lacks are null."""
    data = files.read(url)
    if data is None:
        raise FileNotFoundError(f"{url} was removed while the table was read")
    try:
        checksum.check_parquet(data)
        file = pq.ParquetFile(pa.BufferReader(data))
        have = file.schema_arrow.names
        if missing := [name for name in _NEEDED if name not in have]:
            raise ValueError(
                f"it has no column {', '.join(missing)}; `archsweep import table` makes rows of other tables"
            )
        table = file.read([name for name in have if name in _TYPES])
        columns = {
            name: table[name].cast(kind) if name in have else pa.nulls(len(table), kind)
            for name, kind in _TYPES.items()
        }
    except (pa.ArrowException, ValueError, OSError) as error:
        raise ValueError(f"{url} is not a valid table of rows: {error}") from None
    filled = {"status": "ok", "seed": 1, "diverged": False, "metric": "score"}  # a score of unknown unit
    columns |= {name: pc.fill_null(columns[name], value) for name, value in filled.items()}
    others = {"score_final": "score_best", "recipe_id": "recipe"}
    columns |= {name: pc.coalesce(columns[name], columns[other]) for name, other in others.items()}
    return pa.table(columns)


def _bytes(column: pa.Array) -> Iterator[bytes]:
    """The values of a column as bytes, the same for equal values; null numbers are NaN."""
    if pa.types.is_list(column.type):
        yield pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False).astype("<i8").tobytes()
        column = column.flatten()
    if pa.types.is_string(column.type):
        yield "\0".join("" if text is None else f"={text}" for text in column.to_pylist()).encode()
    elif pa.types.is_integer(column.type) and not column.null_count:
        yield column.to_numpy(zero_copy_only=False).astype("<i8").tobytes()
    else:
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        yield column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype("<f8").tobytes()
