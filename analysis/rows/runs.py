"""Reading runs: every attempt once, at any moment, also while the run goes on.

A row is published as a file of its own below `attempts/` and later moved into a larger part below `rows/`:
the part is written first, the small files go afterwards, and parts may be merged the same way. So whoever
lists `attempts/` first and `rows/` afterwards, and lists `rows/` again until nothing there is new, has seen
each row at least once.
"""

import contextlib
import re
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike, fspath
from os.path import expanduser
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.rows import recipe_labels
from analysis.rows.checksum import check
from analysis.rows.schema import CURVES, PLAN, SCHEMA, conform, frame

Run = str | PathLike[str]

_KEY = ("trial_id", "launch", "attempt")
_NEEDED = (*_KEY, "status", "finished_at")
_ROUNDS = 50  # listings of rows/ before a file that is listed but cannot be read is an error
_SMALL = 2**22  # bytes of a part that are fetched in one request, whatever is wanted of it

Wanted = Callable[[str], bool]


def load(
    *runs: Run,
    columns: Sequence[str] | None = None,
    curves: bool = False,
    planned: bool = True,
    graphs: bool = False,
) -> pd.DataFrame:
    """One row per attempt of one or several runs, in the order in which they ended.

    A run is its folder, local or at any fsspec URL; column `run` is the folder's name. `columns` names those
    wanted (all but the curves by default; `curves=True` adds the per-epoch lists; `graphs=True` fills `graph`, the
    cell of each architecture, in from the plan). Rows of trials that `plan.parquet` no longer holds are left out
    unless `planned=False`. Of several successful attempts at one trial in a run, only the first to end is there.
    Raises FileNotFoundError for a folder that is not a run and LookupError for a column that no run has.
    """
    return frame(table(*runs, columns=columns, curves=curves, planned=planned, graphs=graphs))


def table(
    *runs: Run,
    columns: Sequence[str] | None = None,
    curves: bool = False,
    planned: bool = True,
    graphs: bool = False,
) -> pa.Table:
    """The same as `load`, as an Arrow table."""
    wanted = None if columns is None else [*columns, *(c for c in CURVES if curves and c not in columns)]
    if wanted is not None and graphs and "graph" not in wanted:
        wanted.append("graph")
    empty = _named("", conform(SCHEMA.empty_table()))
    found = [_one_run(*place, wanted, curves, planned, graphs) for place in _places(runs)]
    rows = pa.concat_tables(found or [empty], promote_options="permissive")
    if wanted is None:
        return rows.select([c for c in rows.column_names if curves or c not in CURVES])
    if unknown := [c for c in wanted if c not in rows.column_names]:
        have = ", ".join([*SCHEMA.names, "run"])
        raise LookupError(f"no column {', '.join(map(repr, unknown))} in the rows; have {have}")
    return rows.select(wanted)


def plan(*runs: Run) -> pa.Table:
    """Every planned trial of the runs, with a column `run`; runs without a plan have none."""
    found = [(name, _plan(fs, root)) for fs, root, name in _places(runs)]
    tables = [_named(name, planned) for name, planned in found if planned is not None]
    return pa.concat_tables([_named("", PLAN.empty_table()), *tables], promote_options="permissive")


def study(run: Run) -> dict[str, Any]:
    """The run's study file as it ran; empty if it has none."""
    fs, root = _place(run)
    try:
        return tomllib.loads(fs.cat_file(f"{root}/study.toml").decode())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{root}/study.toml is not a valid study: {error}") from None


def _one_run(
    fs: Any, root: str, name: str, columns: list[str] | None, curves: bool, planned: bool, graphs: bool
) -> pa.Table:
    def wanted(column: str) -> bool:
        if columns is None:
            return curves or column not in CURVES
        needed = column in _NEEDED or (column == "arch" and "recipe" in columns)  # for `recipe_labels`
        return needed or (column in columns and column != "run")

    rows = recipe_labels.current(_rows(fs, root, wanted))
    keys: pd.DataFrame = rows.select(_NEEDED).to_pandas()
    keys = keys.sort_values(["finished_at", *_KEY], kind="stable").drop_duplicates(list(_KEY))
    again = keys[keys["status"] == "ok"].duplicated("trial_id")
    keys = keys.drop(index=again.index[again])
    if planned and (plan := _plan(fs, root, ["trial_id"])) is not None:
        # Arrow's own lookup: pandas' takes a second for 100,000 planned trials.
        among = pc.is_in(rows["trial_id"], value_set=plan["trial_id"].combine_chunks())
        keys = keys[among.to_numpy()[keys.index]]
    rows = rows.take(pa.array(keys.index, pa.int64()))
    return _named(name, _with_graphs(rows, _plan(fs, root, ["trial_id", "graph"])) if graphs else rows)


def _with_graphs(rows: pa.Table, plan: pa.Table | None) -> pa.Table:
    """The rows with the graph of the plan where they have none."""
    if plan is None:
        return rows
    places = pc.index_in(rows["trial_id"], value_set=plan["trial_id"].combine_chunks())
    filled = pc.coalesce(rows["graph"], plan["graph"].combine_chunks().take(places))
    return rows.set_column(rows.column_names.index("graph"), SCHEMA.field("graph"), filled)


def _rows(fs: Any, root: str, wanted: Wanted) -> pa.Table:
    """Everything readable below attempts/ and rows/, each row at least once."""
    schema = pa.schema([f for f in SCHEMA if wanted(f.name)])
    # On a disk reading is work of the CPU, elsewhere mostly waiting.
    with ThreadPoolExecutor(4 if _on_disk(fs) else 32) as pool:
        # An attempt that vanishes between listing and reading lies in a part by then.
        loose = pool.map(lambda path: _parquet(fs, path, wanted), _files(fs, f"{root}/attempts"))
        tables = [t for t in loose if t is not None]
        done: set[str] = set()
        for round in range(_ROUNDS):
            new = [path for path in _files(fs, f"{root}/rows") if path not in done]
            # One listing may miss a part that is being merged and the merged one: only a second is proof.
            if not new and round:
                break
            for path, part in zip(new, pool.map(lambda path: _part(fs, path, wanted), new), strict=True):
                if part is not None:
                    done.add(path)
                    tables.append(part)
            time.sleep(0.002 * round)
        else:
            raise FileNotFoundError(f"{', '.join(new[:3])}: listed but gone whenever read; is the storage in order?")
    alike: dict[pa.Schema, list[pa.Table]] = {schema: []}
    for found in tables:
        alike.setdefault(found.schema.remove_metadata(), []).append(found)
    # Brought into the row schema in groups, as that costs more than reading a file of one row.
    groups = [_conformed(pa.concat_tables(group), schema, f"{root}: rows") for group in alike.values() if group]
    return pa.concat_tables([schema.empty_table(), *groups], promote_options="permissive").combine_chunks()


def _conformed(found: pa.Table, schema: pa.Schema, what: str) -> pa.Table:
    """The table in the schema, and its text text; ValueError where it cannot be brought there."""
    try:
        found = conform(found, schema)
        found.validate(full=True)
    except (pa.ArrowException, KeyError) as error:
        raise ValueError(f"{what} do not fit the schema of results: {error}") from error
    return found


def _on_disk(fs: Any) -> bool:
    return "file" in (fs.protocol if isinstance(fs.protocol, tuple | list) else (fs.protocol,))


def _part(fs: Any, path: str, wanted: Wanted) -> pa.Table | None:
    """One part's table, None if it is gone; of a large file elsewhere only the columns travel."""
    if _on_disk(fs):
        return _parquet(fs, path, wanted)
    try:
        with _named_errors(path), fs.open(path, "rb", cache_type="none") as file:
            what = f"{path} ({file.size} bytes)"
            if file.size > _SMALL:
                # Where that fails the whole file tells damage from a store that did not answer.
                with contextlib.suppress(ValueError):
                    return _columns(file, what, wanted)
                file.seek(0)
            return _columns(file.read(), what, wanted)
    except FileNotFoundError:
        return None


def _parquet(fs: Any, path: str, wanted: Wanted = lambda column: True) -> pa.Table | None:
    """One file's table, None if it is gone; columns that it lacks are left out."""
    try:
        with _named_errors(path):
            content = fs.cat_file(path)
    except FileNotFoundError:
        return None
    return _columns(content, f"{path} ({len(content)} bytes)", wanted)


@contextlib.contextmanager
def _named_errors(path: str) -> Iterator[None]:
    """Errors of a store's own kind become OSErrors that name the file."""
    try:
        yield
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise OSError(f"{path}: {type(error).__name__}: {error}") from error


def _columns(source: Any, what: str, wanted: Wanted) -> pa.Table:
    """The wanted columns of a file that is open, or of its bytes, of which the checksum is compared too."""
    try:
        if isinstance(source, bytes):
            check(source)
            source = pa.BufferReader(source)
        # Nothing is fetched ahead: a part that vanishes would leave requests behind without a reader.
        file = pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True)
        return file.read([c for c in file.schema_arrow.names if wanted(c)], use_threads=False)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        remedy = "writes a new one" if "/plan.parquet (" in what else "trains what is then missing"
        raise ValueError(
            f"{what} is not a readable Parquet file: {error}; "
            f"put a sound copy in its place, or remove it and `run` the study again, which {remedy}"
        ) from error


def _plan(fs: Any, root: str, columns: list[str] | None = None) -> pa.Table | None:
    found = _parquet(fs, f"{root}/plan.parquet", lambda column: columns is None or column in columns)
    if found is None:
        return None
    schema = PLAN if columns is None else pa.schema([PLAN.field(c) for c in columns])
    return recipe_labels.current(_conformed(found, schema, f"{root}: the plan's trials"))


def _files(fs: Any, folder: str) -> list[str]:
    """The Parquet files in a folder, sorted; none where it is missing. Names that begin with `_` or `.` are
    not rows."""
    return sorted(p for p in _names(fs, folder) if p.endswith(".parquet") and PurePosixPath(p).name[0] not in "._")


def _names(fs: Any, folder: str) -> list[str]:
    fs.invalidate_cache()
    try:
        with _named_errors(folder):
            return [str(path) for path in fs.ls(folder, detail=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _named(name: str, rows: pa.Table) -> pa.Table:
    """The rows with the column `run`, last."""
    if "run" in rows.column_names:
        rows = rows.drop_columns(["run"])
    return rows.append_column("run", pa.array([name] * rows.num_rows, pa.string()))


def _places(runs: Sequence[Run]) -> list[tuple[Any, str, str]]:
    """File system, path and name of each run, once each; the name is the whole path where two would be
    equal."""
    places = [_place(run) for run in dict.fromkeys(_spelling(fspath(run)).rstrip("/") or "/" for run in runs)]
    names = [PurePosixPath(root).name for _, root in places]
    return [(fs, root, n if names.count(n) == 1 else root) for (fs, root), n in zip(places, names, strict=True)]


def _spelling(run: str) -> str:
    """A path or URL as `run` takes it: what fsspec reads as a URL and everybody else as a path is refused."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?", run)
    if found is None:
        if "://" in run:
            raise ValueError(f"{run}: a URL begins with its protocol, as in s3://bucket/folder")
        return run
    scheme, slashes, rest = found[1].lower(), found[2], run[found.end() :]
    if scheme in ("file", "local") and slashes and rest.startswith("/"):
        return "/" + rest.lstrip("/")
    if scheme in ("file", "local", "data"):
        raise ValueError(f"{run}: write the path alone")
    if not slashes or len(scheme) == 1:
        raise ValueError(f"{run} is not a path or URL such as /folder, folder, ./{run} and s3://bucket/folder")
    return run


def _place(run: Run) -> tuple[Any, str]:
    """The run's file system and path there, or FileNotFoundError that says what is expected."""
    try:
        fs, root = fsspec.url_to_fs(expanduser(_spelling(fspath(run))))
    except ImportError as error:
        raise ValueError(f"{fspath(run)} cannot be reached: {error}") from None
    except Exception as error:  # each file system has its own way to refuse an address
        raise ValueError(f"{fspath(run)}: {error}") from error
    inside = {PurePosixPath(path).name for path in _names(fs, root)}
    if inside & {"plan.parquet", "rows", "attempts"}:
        return fs, str(root)
    what = "holds no plan.parquet, rows/ or attempts/" if inside else "is missing or empty"
    right = "pass the folder that `run` wrote, by default runs/<name of the study>"
    parent = str(PurePosixPath(root).parent)
    if {"plan.parquet", "rows"} & {PurePosixPath(path).name for path in _names(fs, parent)}:
        right = f"did you mean {parent}?"
    elif below := [n for n in sorted(inside) if _names(fs, f"{root}/{n}/rows") or _names(fs, f"{root}/{n}/attempts")]:
        right = f"runs in it: {', '.join(below)}"
    raise FileNotFoundError(f"{fspath(run)} is not a run: it {what}; {right}")
