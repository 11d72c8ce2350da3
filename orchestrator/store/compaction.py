"""Arithmetic over tables of attempts: which rows count, and which parts are rewritten when new rows are folded in.

The rule is the same for every reader and for compaction, and depends on the rows alone: each (trial_id, launch,
attempt) counts once, and of several ok rows of one trial the one that finished first.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workers.row import SCHEMA

KEY = ("trial_id", "launch", "attempt")
TOLD = (*KEY, "status")  # what every row says
JUDGED = [*TOLD, "finished_at"]  # what the rule looks at
_ORDER = [("finished_at", "ascending"), *((name, "ascending") for name in KEY)]
_FAN = 8  # parts of one size that become one of the next
_SMALLEST = 200  # rows of a part of the lowest size; each size is _FAN times the one before
_LARGE = 10_000  # rows from which on a part stays as it is

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


def conform(table: pa.Table, schema: pa.Schema = SCHEMA) -> pa.Table:
    """A table of an older schema in the newest (or in some columns of it): what it lacks is null."""
    if table.schema.equals(schema):
        return table
    columns = [
        table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type) for f in schema
    ]
    return pa.table(columns, schema=schema)


def joined(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """All tables as one of the schema; those of one make are brought into it together."""
    alike: dict[pa.Schema, list[pa.Table]] = {}
    for table in tables:
        alike.setdefault(table.schema.remove_metadata(), []).append(table)
    groups = [conform(pa.concat_tables(group), schema) for group in alike.values()]
    return pa.concat_tables([schema.empty_table(), *groups]).combine_chunks()


def names_of(table: pa.Table) -> pa.ChunkedArray:
    """What tells each attempt from all others, as text; its file is named so too."""
    parts = [pc.fill_null(table[name].cast(pa.string()), "") for name in KEY]
    return pc.binary_join_element_wise(*parts, ".")


def _codes(texts: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Equal texts as equal numbers."""
    codes = texts.combine_chunks().dictionary_encode().indices
    return np.asarray(codes.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def repeated(table: pa.Table) -> Mask:
    """Rows that are there already, further up."""
    codes = _codes(names_of(table))
    mask = np.ones(len(codes), bool)
    mask[np.unique(codes, return_index=True)[1]] = False
    return mask


def superseded(table: pa.Table) -> Mask:
    """Ok rows of a trial of which another attempt was ok before."""
    ok = np.asarray(pc.fill_null(pc.equal(table["status"], "ok"), False).to_numpy(zero_copy_only=False), bool)
    mask = np.zeros(table.num_rows, bool)
    trials = _codes(table["trial_id"])
    if len(np.unique(trials[ok])) == ok.sum():
        return mask
    order = np.asarray(pc.sort_indices(table.select(JUDGED), _ORDER))
    order = order[ok[order]]
    later = np.ones(len(order), bool)
    later[np.unique(trials[order], return_index=True)[1]] = False
    mask[order[later]] = True
    return mask


def counted(table: pa.Table) -> pa.Table:
    """The rows that count."""
    again = repeated(table)
    if again.any():
        table = table.filter(pa.array(~again))
    late = superseded(table)
    return table.filter(pa.array(~late)) if late.any() else table


def split(table: pa.Table, aside: pa.Array) -> tuple[pa.Table, pa.Table]:
    """Each row once, in order of time: the rows to keep, and those named in `aside`."""
    table = table.filter(pa.array(~repeated(table)))
    table = table.take(pc.sort_indices(table.select(JUDGED), _ORDER))
    mask = pc.is_in(names_of(table), value_set=aside)
    return table.filter(pc.invert(mask)), table.filter(mask)


def spoiled(heads: Mapping[str, pa.Table]) -> tuple[set[str], pa.Array]:
    """The files that hold a row which another file holds too or which is superseded, and the superseded rows' names.

    `heads` are the JUDGED columns by file.  Of a row in two files neither copy is dropped without writing a new one:
    a compactor that knows only a part of the files then cannot rely on what another is about to remove.
    """
    table = pa.concat_tables([SCHEMA.empty_table().select(JUDGED), *heads.values()])
    origin = np.repeat(np.arange(len(heads)), [head.num_rows for head in heads.values()])
    names = names_of(table)
    codes = _codes(names)
    twice = np.bincount(codes, minlength=1)[codes] > 1 if len(codes) else np.zeros(0, bool)
    first = ~repeated(table)
    late = np.zeros(len(codes), bool)
    late[first] = superseded(table.filter(pa.array(first)))
    aside = names.filter(pa.array(late)).unique()
    late = np.asarray(pc.is_in(names, value_set=aside).to_numpy(zero_copy_only=False), bool)
    files = list(heads)
    return {files[i] for i in np.unique(origin[twice | late])}, aside


def merged(sizes: Mapping[str, int], fresh: int) -> set[str]:
    """The parts to rewrite together with `fresh` new rows, by the number of rows in each.

    As soon as _FAN parts of a size would lie side by side they become one of the next size: a row is rewritten a few
    times in its life, however many rows come after it, and the parts stay few.
    """
    chosen: set[str] = set()
    while True:
        size = _size(fresh)
        alike = {p for p, rows in sizes.items() if p not in chosen and rows < _LARGE and _size(rows) <= size}
        if len(alike) < _FAN - 1:
            return chosen
        chosen |= alike
        fresh += sum(sizes[p] for p in alike)


def _size(rows: int) -> int:
    """0 below _SMALLEST * _FAN rows, one more for each factor of _FAN."""
    size = 0
    while rows >= _SMALLEST * _FAN ** (size + 1):
        size += 1
    return size
