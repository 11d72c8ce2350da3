"""Rules for tables of attempts: which rows count, and which parts are rewritten when new rows are compacted.

The rule is the same for every reader and for compaction, and depends on the rows alone: each (trial_id, launch,
attempt) counts once, and of several ok rows of one trial the one that finished first.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workers.row import SCHEMA

KEY = ("trial_id", "launch", "attempt")
REQUIRED_COLUMNS = (*KEY, "status")  # never null in a row
ORDER_COLUMNS = [*REQUIRED_COLUMNS, "finished_at"]  # the columns that the rule needs
_ORDER = [("finished_at", "ascending"), *((name, "ascending") for name in KEY)]
_FAN = 8  # number of parts of one size that are merged into one of the next
_SMALLEST = 200  # rows of a part of the lowest size; each size is _FAN times the one before
_LARGE = 10_000  # parts with at least this many rows are not merged any more

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


def conform(table: pa.Table, schema: pa.Schema = SCHEMA) -> pa.Table:
    """A table of an older schema in the newest one (or in some of its columns); missing columns are null."""
    if table.schema.equals(schema):
        return table
    columns = [
        table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type) for f in schema
    ]
    return pa.table(columns, schema=schema)


def joined(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """All tables as one table of the schema; tables of equal schemas are converted together."""
    alike: dict[pa.Schema, list[pa.Table]] = {}
    for table in tables:
        alike.setdefault(table.schema.remove_metadata(), []).append(table)
    groups = [conform(pa.concat_tables(group), schema) for group in alike.values()]
    return pa.concat_tables([schema.empty_table(), *groups]).combine_chunks()


def names_of(table: pa.Table) -> pa.ChunkedArray:
    """The unique name of each attempt, which is also the name of its file."""
    parts = [pc.fill_null(table[name].cast(pa.string()), "") for name in KEY]
    return pc.binary_join_element_wise(*parts, ".")


def _codes(texts: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """An integer for each text, equal for equal texts."""
    codes = texts.combine_chunks().dictionary_encode().indices
    return np.asarray(codes.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def repeated(table: pa.Table) -> Mask:
    """Rows that repeat an earlier row of the table."""
    codes = _codes(names_of(table))
    mask = np.ones(len(codes), bool)
    mask[np.unique(codes, return_index=True)[1]] = False
    return mask


def superseded(table: pa.Table) -> Mask:
    """Ok rows of trials that have an earlier ok row."""
    ok = np.asarray(pc.fill_null(pc.equal(table["status"], "ok"), False).to_numpy(zero_copy_only=False), bool)
    mask = np.zeros(table.num_rows, bool)
    trials = _codes(table["trial_id"])
    if len(np.unique(trials[ok])) == ok.sum():
        return mask
    order = np.asarray(pc.sort_indices(table.select(ORDER_COLUMNS), _ORDER))
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
    """Each row once, by time: the rows to keep, and those whose names are in `aside`."""
    table = table.filter(pa.array(~repeated(table)))
    table = table.take(pc.sort_indices(table.select(ORDER_COLUMNS), _ORDER))
    mask = pc.is_in(names_of(table), value_set=aside)
    return table.filter(pc.invert(mask)), table.filter(mask)


def needs_rewrite(heads: Mapping[str, pa.Table]) -> tuple[set[str], pa.Array]:
    """The files with rows that are superseded or also in another file, and the names of the superseded rows.

    `heads`: the ORDER_COLUMNS by file.  Of a row in two files both copies are rewritten into a new file: a compactor
    that has seen only some of the files cannot know which copy another compactor is about to remove.
    """
    table = pa.concat_tables([SCHEMA.empty_table().select(ORDER_COLUMNS), *heads.values()])
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
    """The parts to rewrite together with `fresh` new rows; `sizes` are the numbers of rows of the parts.

    As soon as there would be _FAN parts of one size, they are merged into one of the next size: the number of parts
    stays small, and each row is rewritten only a few times, however many rows follow.
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
