"""Questions to the rows in SQL, answered by DuckDB in this process."""

from collections.abc import Sequence
from os import PathLike

import duckdb
import pandas as pd
import pyarrow as pa

from analysis import runs as _runs
from analysis.runs import Run


def query(source: pd.DataFrame | Run | Sequence[Run], sql: str) -> pd.DataFrame:
    """The answer to one SQL statement over the view `rows` (as `load` gives them, with the curves) of a frame
    or of one or several runs; of runs there is a view `plan` as well, with every planned trial.

    The statement reaches nothing else, no files and no addresses. Raises ValueError with DuckDB's own words
    for a statement that does not work.
    """
    views: dict[str, pa.Table | pd.DataFrame]
    if isinstance(source, pd.DataFrame):
        views = {"rows": source}
    else:
        runs = [source] if isinstance(source, str | PathLike) else list(source)
        views = {"rows": _runs.table(*runs, curves=True), "plan": _runs.plan(*runs)}
    # Only the views can be named in the statement, not the variables of whoever calls.
    with duckdb.connect(config={"python_enable_replacements": False}) as connection:
        for name, view in views.items():
            connection.register(name, view)
        # A statement may come from anywhere: it reads the views, no file, no address, and cannot undo this.
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        try:
            found = connection.sql(sql)
            answer: pd.DataFrame = pd.DataFrame() if found is None else found.to_arrow_table().to_pandas()
        except duckdb.Error as error:
            raise ValueError(f"the query failed over {' and '.join(views)}: {error}") from error
    return answer
