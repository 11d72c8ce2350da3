"""The folder of a run: study, plan, attempts, rows.  Local disk or any URL that fsspec knows.

Workers publish every attempt as one small file; the driver, the only writer of `rows/`, folds them into parts.
A part is written before what it replaces is removed, and a reader counts each (trial_id, launch, attempt) once:
whatever instant a compaction dies at, nothing is lost and nothing counts twice.
"""

import io
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workers import files
from workers.row import SCHEMA, parquet_bytes

STOP = "stop"  # the file that asks a run to stop
FOLDERS = ("rows", "attempts", "trials")  # what a run keeps, and nobody else writes
FILES = ("study.toml", "plan.parquet", "lease.json", "forgiven.json", STOP)
KEY = ("trial_id", "launch", "attempt")
_WILD = "*?["
_PART = re.compile(r"part-(\d{1,18})\.parquet")
_UNREADABLE = (pa.ArrowException, KeyError, OSError)  # what a file that is no table of ours makes Arrow raise


class RunStore:
    """Names and files of one run; every write appears at once or not at all."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if not self.url:
            raise ValueError(f"{url!r} is no folder for a run: name one below it")
        if "://" in self.url and any(c in self.url for c in _WILD):
            # Object stores take them for patterns, when they remove a folder too.
            raise ValueError(f"{url!r} is no folder for a run: a URL holds none of {' '.join(_WILD)}")
        self._fs, self._root = files.filesystem(self.url)

    def at(self, *names: str) -> str:
        """The URL of something in the run's folder."""
        return "/".join((self.url, *_inside(names)))

    def read(self, *names: str) -> bytes | None:
        """The content of a file of the run, None where there is none."""
        return files.read(self.at(*names))

    def write(self, data: bytes, *names: str) -> None:
        """Publish a file of the run, replacing what was there."""
        files.publish(self.at(*names), data)

    def remove(self, *names: str) -> None:
        """Take a file of the run away, if it is there."""
        files.remove(self.at(*names))

    def remove_folder(self, *names: str) -> None:
        """Take a folder of the run away with all it holds, if it is there."""
        path = "/".join((self._root, *_inside(names)))
        if self._fs.exists(path):
            self._fs.rm(path, recursive=True)

    def exists(self, *names: str) -> bool:
        """Whether the run has this file."""
        self._fs.invalidate_cache()
        return bool(self._fs.exists("/".join((self._root, *_inside(names)))))

    def listing(self, folder: str) -> list[str]:
        """Names of the Parquet files of a folder of the run; those that begin with `_` are no data."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        names = (path.rsplit("/", 1)[-1] for path in found)
        return sorted(n for n in names if n.endswith(".parquet") and not n.startswith("_"))

    # --- attempts and rows ---

    def publish_attempt(self, row: dict[str, Any]) -> None:
        """Publish the row of one attempt: from here on it is safe whatever dies."""
        self.write(parquet_bytes([row]), "attempts", _attempt_name(row["trial_id"], row["launch"], row["attempt"]))

    def attempt(self, trial_id: str, launch: str, attempt: int) -> dict[str, Any] | None:
        """The row of one attempt as it was published, None where there is none (any more) among the loose ones."""
        found = self._tables("attempts", [_attempt_name(trial_id, launch, attempt)])
        return next((table.to_pylist()[0] for table in found.values()), None)

    def attempts(self, columns: list[str] | None = None) -> pa.Table:
        """Every attempt known now, each once, compacted or not, in the newest schema."""
        # Loose files first: one that vanishes meanwhile has become part of a part, which is read later.
        tables = list(self._tables("attempts", self.listing("attempts")).values())
        parts: dict[str, pa.Table] = {}
        # One listing may miss a part that is just being replaced and its successor too: the last brings nothing new.
        while new := [name for name in self.listing("rows") if name not in parts]:
            parts |= self._tables("rows", new)
        table = _distinct(pa.concat_tables([SCHEMA.empty_table(), *parts.values(), *tables]))
        return table.select(columns) if columns else table

    def _tables(self, folder: str, names: list[str]) -> dict[str, pa.Table]:
        """The tables of these files by name; those that are gone by now are left out."""
        with ThreadPoolExecutor(8) as pool:
            found = zip(names, pool.map(lambda name: self.read(folder, name), names), strict=True)
            return {name: self._rows(folder, name, data) for name, data in found if data is not None}

    def _rows(self, folder: str, name: str, data: bytes) -> pa.Table:
        """The rows of one file; ValueError naming it where they are none."""
        try:
            table = conform(pq.read_table(io.BytesIO(data)))
            table.validate(full=True)
        except _UNREADABLE as error:
            raise ValueError(
                f"{self.at(folder, name)} holds no rows of ours ({error}); remove it, and `run` trains what is missing"
            ) from error
        if nulls := [c for c in (*KEY, "status") if table[c].null_count]:
            raise ValueError(f"{self.at(folder, name)} has rows without {', '.join(nulls)}; remove it and `run` again")
        return table

    def compact(self, kill: Callable[[str], None] = lambda step: None) -> int:
        """Fold loose attempts and all parts into one part; gives the number of rows in it.

        Of several ok rows of one trial the first published stays, the others go to `rows/_superseded-*`, which no
        reader counts.  Call it from the driver that holds the run's lease, and from nowhere else.
        `kill` is called with the name of each step before it is taken.
        """
        loose, parts = self.listing("attempts"), self.listing("rows")
        # Only what is listed now is folded and removed: an attempt published meanwhile waits for the next time.
        tables = [self._tables("rows", parts), self._tables("attempts", loose)]
        if [len(t) for t in tables] != [len(parts), len(loose)]:
            raise FileNotFoundError(f"files of {self.url} vanished: does another driver write this run?")
        rows = [table for found in tables for table in found.values()]
        if not loose and len(parts) <= 1:
            return sum(t.num_rows for t in rows)
        table, superseded = _first_ok(_distinct(pa.concat_tables([SCHEMA.empty_table(), *rows])))
        number = 1 + max((int(m[1]) for p in parts if (m := _PART.fullmatch(p))), default=0)
        kill("superseded")
        if superseded.num_rows:
            self.write(parquet_bytes(superseded), "rows", f"_superseded-{number:06d}.parquet")
        kill("part")
        self.write(parquet_bytes(table), "rows", f"part-{number:06d}.parquet")
        for part in parts:
            kill("old part")
            self.remove("rows", part)
        for name in loose:
            kill("attempt")
            self.remove("attempts", name)
        return int(table.num_rows)

    # --- plan ---

    def plan(self, columns: list[str] | None = None) -> pa.Table | None:
        """The planned trials, None before the first `run`."""
        data = self.read("plan.parquet")
        if data is None:
            return None
        try:
            table = pq.read_table(io.BytesIO(data), columns=columns)
            kinds = [SCHEMA.field(f.name) if f.name in SCHEMA.names else f for f in table.schema]
            table = table.cast(pa.schema(kinds))
            table.validate(full=True)
        except _UNREADABLE as error:
            raise ValueError(
                f"{self.at('plan.parquet')} is no plan of ours ({error}); remove it, and `run` writes it anew"
            ) from error
        return table

    def write_plan(self, plan: pa.Table) -> None:
        """Replace the plan at once."""
        buffer = io.BytesIO()
        pq.write_table(plan, buffer, compression="zstd")
        self.write(buffer.getvalue(), "plan.parquet")


def _inside(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names themselves if each is that of one file or folder: no id leads out of the run's folder."""
    for name in names:
        if name in ("", ".", "..") or any(c in name for c in f"/\\\0{_WILD}"):
            raise ValueError(f"{name!r} is no name inside a run's folder")
    return names


def _attempt_name(trial_id: str, launch: str, attempt: int) -> str:
    return f"{trial_id}.{launch}.{attempt}.parquet"


def conform(table: pa.Table) -> pa.Table:
    """A table of an older schema in the newest: columns it lacks are null, the order is the schema's."""
    missing = [f for f in SCHEMA if f.name not in table.column_names]
    for f in missing:
        table = table.append_column(f, pa.nulls(table.num_rows, f.type))
    return table.select(SCHEMA.names).cast(SCHEMA)


def _distinct(table: pa.Table) -> pa.Table:
    """Each (trial_id, launch, attempt) once."""
    return table.take(_firsts(zip(*(table[k].to_pylist() for k in KEY), strict=True)))


def _firsts(keys: Iterable[Any]) -> pa.Array:
    """Positions at which a key is seen for the first time."""
    seen: dict[Any, int] = {}
    for position, key in enumerate(keys):
        seen.setdefault(key, position)
    return pa.array(seen.values(), pa.int64())


def _first_ok(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows with at most one ok row a trial, by time of publication, and the ok rows that came later."""
    table = table.take(pc.sort_indices(table, [("finished_at", "ascending")]))
    ids, status = table["trial_id"].to_pylist(), table["status"].to_pylist()
    done: set[str] = set()
    keep = []
    for trial_id, state in zip(ids, status, strict=True):
        keep.append(not (state == "ok" and trial_id in done))
        if state == "ok":
            done.add(trial_id)
    mask = pa.array(keep, pa.bool_())
    return table.filter(mask), table.filter(pc.invert(mask))
