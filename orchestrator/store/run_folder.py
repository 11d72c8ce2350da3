"""The folder of a run: study, plan, attempts, rows.  On a local disk or at any URL that fsspec supports.

Workers publish every attempt as one small file; the driver compacts them into the parts of `rows/`.  A file is removed
only after its rows were written to a new part, whose name was never used before, and readers count each attempt once.
So nothing is lost or counted twice when a compaction dies at any moment, or when two drivers compact at a time.
"""

import contextlib
import io
import time
import uuid
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestrator.store import compaction
from workers import checksum, files, paths
from workers.row import SCHEMA, parquet_bytes

STOP = "stop"  # the file that asks a run to stop
FOLDERS = ("rows", "attempts", "trials", "weights")  # written by the run alone
FILES = ("study.toml", "plan.parquet", "lease.json", "forgiven.json", STOP)
_WILD = "*?["
_UNREADABLE = (pa.ArrowException, KeyError)  # raised by Arrow for a file that is not a valid table of rows
_ROUNDS = 30  # listings of rows/ before an attempt that is neither in attempts/ nor in a part is an error
_READERS = 4  # threads on a disk, where reading is limited by the CPU
_AT_ONCE = 16  # threads on an object store, where reading and removing are mostly waiting
_SMALL = 2**22  # bytes; parts up to this size are fetched in one request, whatever columns are needed
_ORDER_SCHEMA = pa.schema([SCHEMA.field(name) for name in compaction.ORDER_COLUMNS])

T = TypeVar("T")


class RunStore:
    """Names and files of one run; every write appears at once or not at all."""

    def __init__(self, url: str) -> None:
        self.url = paths.place(url).rstrip("/")
        if not self.url:
            raise ValueError(f"{url!r} is not a valid folder for a run: give a folder below it")
        if "://" in self.url and any(c in self.url for c in _WILD):
            # Object stores interpret them as patterns, even when a folder is removed.
            raise ValueError(f"{url!r} is not a valid folder for a run: a URL must not contain {' '.join(_WILD)}")
        self.local = paths.is_local(paths.filesystem(self.url)[0])
        self._heads: dict[str, tuple[pa.Table, bool]] = {}  # by name of the part; a part never changes

    def at(self, *names: str) -> str:
        """The URL of a file or folder of the run."""
        return "/".join((self.url, *_inside(names)))

    def read(self, *names: str) -> bytes | None:
        """The content of a file of the run, None where there is none."""
        return files.read(self.at(*names))

    def write(self, data: bytes, *names: str) -> None:
        """Publish a file of the run, replacing what was there."""
        files.publish(self.at(*names), data)

    def remove(self, *names: str) -> None:
        """Remove a file of the run, if it exists."""
        files.remove(self.at(*names))

    def remove_folder(self, *names: str) -> None:
        """Remove a folder of the run with its content, if it exists."""
        files.remove_folder(self.at(*names))

    def exists(self, *names: str) -> bool:
        """Whether the run has this file."""
        return files.exists(self.at(*names))

    def stop_asked(self) -> bool:
        """Whether a stop was requested.  Costs one request of the store, since workers and driver call it often."""
        return self.read(STOP) is not None

    def weights(self, trial_id: str) -> str:
        """The URL of the weights of a trial, if they are kept."""
        return self.at("weights", f"{trial_id}.pt")

    def kept_weights(self) -> set[str]:
        """The trials whose weights are kept."""
        return {
            n.removesuffix(".pt") for n in files.names(self.at("weights")) if n.endswith(".pt") and n[0] not in "._"
        }

    def listing(self, folder: str) -> list[str]:
        """Names of the Parquet files of a folder of the run; those that begin with `_` or `.` are left out."""
        return [n for n in files.names(self.at(folder)) if n.endswith(".parquet") and n[0] not in "._"]

    # --- attempts and rows ---

    def publish_attempt(self, row: dict[str, Any]) -> None:
        """Publish the row of one attempt; after that it is safe against any crash."""
        self.write(parquet_bytes([row]), "attempts", _attempt_name(row["trial_id"], row["launch"], row["attempt"]))

    def attempt(self, trial_id: str, launch: str, attempt: int) -> dict[str, Any] | None:
        """The row of one attempt as it was published, None where it is not (or no longer) in attempts/."""
        found = self._loose([_attempt_name(trial_id, launch, attempt)], SCHEMA.names)
        return next((compaction.conform(table).to_pylist()[0] for table in found.values()), None)

    def attempts(self, columns: list[str] | None = None) -> pa.Table:
        """All attempts, each once, compacted or not, in the newest schema; of several ok rows of one trial the first.

        A compaction that runs at the same time, or that died, does not change the result.  Only `columns` are read.
        """
        wanted = (
            SCHEMA.names
            if columns is None
            else [*compaction.ORDER_COLUMNS, *(c for c in columns if c not in compaction.ORDER_COLUMNS)]
        )
        schema = pa.schema([SCHEMA.field(name) for name in wanted])
        # Attempts first: one that disappears meanwhile is in a part, and the parts are read later.
        listed = self.listing("attempts")
        loose = self._loose(listed, wanted)
        moved = [name for name in listed if name not in loose]
        parts: dict[str, pa.Table] = {}
        lost: list[str] = []
        for turn in range(_ROUNDS):
            new = [name for name in self.listing("rows") if name not in parts]
            parts |= self._parts(new, wanted)
            # A listing may miss both a part that is being replaced and its successor: only a second listing is proof.
            if turn and not new:
                table = compaction.joined([*parts.values(), *loose.values()], schema)
                if not (lost := _missing(moved, table)):
                    return compaction.counted(table).select(columns or SCHEMA.names)
            time.sleep(0.005 * turn)
        raise OSError(f"{self.url}: {', '.join((lost or new)[:3])}: listed, but neither there nor in a part of rows/")

    def _loose(self, names: Collection[str], columns: list[str]) -> dict[str, pa.Table]:
        """Those of these attempts that still exist, by name."""

        def read(name: str) -> pa.Table | None:
            data = self.read("attempts", name)
            return None if data is None else _parquet(self.at("attempts", name), data, columns)[0]

        return self._each(names, read)

    def _parts(self, names: Collection[str], columns: list[str]) -> dict[str, pa.Table]:
        """Those of these parts that still exist, by name."""
        found = self._each(names, lambda name: self._part(name, columns))
        return {name: table for name, (table, _) in found.items()}

    def _part(self, name: str, columns: list[str]) -> tuple[pa.Table, bool] | None:
        """A part, and whether it has the newest schema; None where it does not exist any more."""
        url = self.at("rows", name)
        try:
            with files.opened(url) as file:
                whole = self.local or file.size <= _SMALL or len(columns) == len(SCHEMA)
                if not whole:
                    with contextlib.suppress(OSError):
                        return _parquet(url, file, columns)
                    file.seek(0)
                return _parquet(url, file.read(), columns)
        except FileNotFoundError:
            return None

    def _each(self, names: Collection[str], read: Callable[[str], T | None]) -> dict[str, T]:
        """The result of `read` for each name; files that do not exist any more are left out."""
        with ThreadPoolExecutor(_READERS if self.local else _AT_ONCE) as pool:
            found = zip(names, pool.map(read, names), strict=True)
            return {name: content for name, content in found if content is not None}

    # --- compaction ---

    def compact(self, kill: Callable[[str], None] = lambda step: None) -> int:
        """Merge attempts, and the older parts that `compaction` chooses, into a new part; returns its number of rows.

        Of several ok rows of one trial the first to finish is kept, the others go to `rows/_superseded-*`, which no
        reader reads.  Only the driver that holds the run's lease may call this.
        `kill` is for tests: it is called with the name of each step before the step.
        """
        loose, parts = self.listing("attempts"), self.listing("rows")
        # Only files that are listed here are merged and removed: later attempts wait for the next compaction.
        fresh, heads = self._loose(loose, SCHEMA.names), self._order_columns(parts)
        if len(fresh) < len(loose) or len(heads) < len(parts):
            raise FileNotFoundError(f"files of {self.url} vanished: does another driver write this run?")
        judged = {name: table for name, (table, _) in heads.items()} | {
            "": compaction.joined(list(fresh.values()), _ORDER_SCHEMA)
        }
        needs_rewrite, aside = compaction.needs_rewrite(judged)
        rewritten = (needs_rewrite - {""}) | {name for name, (_, newest) in heads.items() if not newest}
        if not loose and not rewritten:
            return 0
        sizes = {name: table.num_rows for name, (table, _) in heads.items()}
        begun = len(loose) + sum(sizes.pop(name) for name in rewritten)
        rewritten |= compaction.merged(sizes, begun)
        whole = self._parts(sorted(rewritten), SCHEMA.names)
        if len(whole) < len(rewritten):
            raise FileNotFoundError(f"parts of {self.url} vanished: does another driver write this run?")
        table, superseded = compaction.split(compaction.joined([*whole.values(), *fresh.values()], SCHEMA), aside)
        name = f"{1 + max(map(_number, parts), default=0):06d}-{uuid.uuid4().hex[:8]}.parquet"
        kill("superseded")
        if superseded.num_rows:
            self.write(parquet_bytes(superseded), "rows", f"_superseded-{name}")
        kill("part")
        if table.num_rows:
            self.write(parquet_bytes(table), "rows", f"part-{name}")
        self._remove_each("rows", sorted(rewritten), lambda: kill("old part"))
        self._remove_each("attempts", loose, lambda: kill("attempt"))
        return int(table.num_rows)

    def _order_columns(self, parts: list[str]) -> dict[str, tuple[pa.Table, bool]]:
        """The ORDER_COLUMNS of each part, and whether it has the newest schema; each part is read once."""
        new = [name for name in parts if name not in self._heads]
        found = self._each(new, lambda name: self._part(name, compaction.ORDER_COLUMNS))
        heads = self._heads | {
            name: (compaction.conform(table, _ORDER_SCHEMA), newest) for name, (table, newest) in found.items()
        }
        self._heads = {name: heads[name] for name in parts if name in heads}
        return self._heads

    def _remove_each(self, folder: str, names: list[str], before: Callable[[], None]) -> None:
        step = 1 if self.local else _AT_ONCE
        with ThreadPoolExecutor(step) as pool:
            for start in range(0, len(names), step):
                before()
                list(pool.map(lambda name: self.remove(folder, name), names[start : start + step]))

    # --- plan ---

    def plan(self, columns: list[str] | None = None) -> pa.Table | None:
        """The planned trials, None before the first `run`; ValueError where the file is damaged."""
        data = self.read("plan.parquet")
        if data is None:
            return None
        try:
            checksum.check_parquet(data)
            table = pq.read_table(io.BytesIO(data), columns=columns, page_checksum_verification=True)
            kinds = [SCHEMA.field(f.name) if f.name in SCHEMA.names else f for f in table.schema]
            table = table.cast(pa.schema(kinds))
            table.validate(full=True)
        except (*_UNREADABLE, OSError, ValueError) as error:
            raise ValueError(
                f"{self.at('plan.parquet')} is not a valid plan ({error}); remove it, and `run` writes a new one"
            ) from error
        return table

    def write_plan(self, plan: pa.Table) -> None:
        """Replace the plan in one step."""
        buffer = io.BytesIO()
        pq.write_table(plan, buffer, compression="zstd", write_page_checksum=True)
        self.write(checksum.add_to_parquet(buffer.getvalue()), "plan.parquet")


def _attempt_name(trial_id: str, launch: str, attempt: int) -> str:
    return f"{trial_id}.{launch}.{attempt}.parquet"


def _number(part: str) -> int:
    """The number in the name of a part; 0 for other names."""
    digits = part.removesuffix(".parquet").removeprefix("part-").partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


def _inside(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, after a check that each names one file or folder inside the run's folder."""
    for name in names:
        if name in ("", ".", "..") or any(c in name for c in f"/\\\0{_WILD}"):
            raise ValueError(f"{name!r} is not a valid name inside a run's folder")
    return names


def _parquet(url: str, source: bytes | IO[bytes], columns: list[str]) -> tuple[pa.Table, bool]:
    """Those of the columns that a file has, and whether it has the newest schema; ValueError where it is damaged or
    not a file of rows.

    Bytes are checked as a whole.  Of a file that is read in pieces, the pages that are read are checked; their headers
    and the footer are not.
    """
    whole = isinstance(source, bytes)
    try:
        if isinstance(source, bytes):
            checksum.check_parquet(source)
        # No prefetching: if a part disappeared, its requests would stay pending.
        file = pq.ParquetFile(
            pa.BufferReader(source) if whole else source, pre_buffer=False, page_checksum_verification=True
        )
        newest = file.schema_arrow.equals(SCHEMA, check_metadata=False)
        table = file.read([c for c in file.schema_arrow.names if c in columns], use_threads=False)
        table = table.cast(pa.schema([SCHEMA.field(c) for c in table.column_names]))
        table.validate(full=True)
    except (*_UNREADABLE, ValueError, OSError) as error:
        if isinstance(error, OSError) and not whole:
            raise  # of the storage or of the reader: the caller reads the whole file and finds out
        raise ValueError(
            f"{url} is not a valid Parquet file of rows ({error}); "
            "replace it by an intact copy, or remove it, and `run` trains what is then missing"
        ) from error
    lacking = [
        c for c in compaction.REQUIRED_COLUMNS if c in columns and (c not in table.column_names or table[c].null_count)
    ]
    if lacking and file.metadata.num_rows:
        raise ValueError(f"{url} has rows without {', '.join(lacking)}; remove it and `run` again")
    return table, newest


def _missing(moved: list[str], table: pa.Table) -> list[str]:
    """The file names of attempts that are not among the rows and whose trials have no ok row."""
    if not moved:
        return []
    trials = pa.array([name.partition(".")[0] for name in moved])
    rows = table.filter(pc.is_in(table["trial_id"], value_set=trials)).select(compaction.ORDER_COLUMNS).to_pylist()
    there = {_attempt_name(r["trial_id"], r["launch"], r["attempt"]) for r in rows}
    done = {r["trial_id"] for r in rows if r["status"] == "ok"}
    return [name for name in moved if name not in there and name.partition(".")[0] not in done]
