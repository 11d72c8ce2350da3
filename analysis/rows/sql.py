"""Questions to the rows in SQL, answered by DuckDB in this process."""

from collections import Counter
from collections.abc import Sequence
from os import PathLike

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.rows import runs as _runs
from analysis.rows.graph import operations, read
from analysis.rows.runs import Run
from analysis.rows.schema import CURVES_OF_NUMBERS, nullable

_ABOUT = ("run", "trial_id", "attempt", "status", "space", "arch", "arch_id", "dataset", "task", "seed", "recipe")
_ARCHITECTURE = ("space", "arch", "arch_id", "params", "macs", "graph")
_OPS = pa.map_(pa.string(), pa.int64())


def query(source: pd.DataFrame | Run | Sequence[Run], sql: str) -> pd.DataFrame:
    """The answer to one SQL statement over these tables, of one or several runs at any moment, or of a frame:

    `rows`, one row per attempt, as `load` gives them with the curves; `curves`, the same in long form, one row per
    epoch (`epoch` from 1, `train_loss`, `test_score`, `seconds`); `plan`, every planned trial; `architectures`, one row
    per architecture of rows or plan, with `params` and `macs` of its smallest network (heads differ by task), `graph`,
    and `ops`, how often each operation stands in its cells (`none` is not counted; null where the graph cannot be
    read). A frame has `rows`, and `curves` where it holds them.

    The statement reaches nothing else, no files and no addresses. Raises ValueError with DuckDB's message
    for a statement that does not work.
    """
    views: dict[str, pa.Table | pd.DataFrame]
    if isinstance(source, pd.DataFrame):
        views = {"rows": source}
    else:
        runs = [source] if isinstance(source, str | PathLike) else list(source)
        if not runs:
            raise ValueError("no run was given: name at least one, or pass a DataFrame")
        rows, plan = _runs.table(*runs, curves=True), _runs.plan(*runs)
        views = {"rows": rows, "plan": plan}
        if "architectures" in sql.lower():  # graphs are read for it, which takes a moment
            views["architectures"] = _architectures(rows, plan)
    # Only the views can be named in the statement, not the variables of the caller.
    with duckdb.connect(config={"python_enable_replacements": False}) as connection:
        for name, view in views.items():
            connection.register(name, view)
        # A statement may come from anywhere: it reads the views, no file, no address, and cannot undo this.
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        columns = connection.table("rows").columns
        if set(CURVES_OF_NUMBERS) <= set(columns):
            connection.execute(_long([name for name in _ABOUT if name in columns]))
        try:
            found = connection.sql(sql)
            return pd.DataFrame() if found is None else _frame(found.to_arrow_table())
        except duckdb.Error as error:
            raise ValueError(f"the query failed over {' and '.join(views)}: {error}") from error


def _long(about: Sequence[str]) -> str:
    """Curves side by side, one row per epoch."""
    values = ", ".join(f"unnest({name}) as {name.removeprefix('curve_')}" for name in CURVES_OF_NUMBERS)
    epoch = f"generate_subscripts({CURVES_OF_NUMBERS[0]}, 1) as epoch"
    return f"create view curves as select {', '.join([*about, epoch, values])} from rows"


def _architectures(rows: pa.Table, plan: pa.Table) -> pa.Table:
    plan = plan.filter(pc.invert(pc.starts_with(plan["arch"], "@")))  # not found yet
    both = [table.select(_ARCHITECTURE) for table in (rows, plan)]
    found = pa.concat_tables(both, promote_options="permissive").group_by(["space", "arch"])
    least = {"arch_id": "max", "params": "min", "macs": "min", "graph": "max"}  # one value or none, but for the costs
    table = found.aggregate(list(least.items())).sort_by([("space", "ascending"), ("arch", "ascending")])
    table = table.rename_columns([name.removesuffix("_min").removesuffix("_max") for name in table.column_names])
    ops = [_counted(graph) for graph in table["graph"].to_pylist()]
    return table.select(_ARCHITECTURE).append_column("ops", pa.array(ops, _OPS))


def _counted(graph: str | None) -> list[tuple[str, int]] | None:
    """How often each operation stands in a graph: none where there is no graph, null where it cannot be read."""
    if graph is None:
        return []
    cells = read(graph)
    # Arrow holds no half of a surrogate pair, which JSON may spell.
    named = (op.encode(errors="replace").decode() for op in operations(cells))
    return sorted(Counter(named).items()) if cells else None


def _frame(table: pa.Table) -> pd.DataFrame:
    """The answer as pandas; whole numbers stay whole where some are missing, maps are dicts."""
    missing = any(pc.count(column, mode="only_null").as_py() for column in table.columns)
    found: pd.DataFrame = table.to_pandas(types_mapper=nullable if missing else None, maps_as_pydicts="lossy")
    return found
