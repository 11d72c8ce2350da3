"""Names of recipes that had another name when older rows were stored."""

import pyarrow as pa
import pyarrow.compute as pc

from analysis.rows.schema import WHOLE

# `unnas_search` named trainings of single networks before it named UnNAS's searches, which were `unnas_supernet`.
TRAININGS, SEARCHES, BEFORE = "unnas_small", "unnas_search", "unnas_supernet"


def current(rows: pa.Table) -> pa.Table:
    """The rows with today's names of their recipes; tables without the columns `recipe` and `arch` as they are."""
    if not {"recipe", "arch"} <= set(rows.column_names):
        return rows
    names = rows["recipe"]
    trained = pc.and_(pc.equal(names, SEARCHES), pc.not_equal(rows["arch"], WHOLE))
    found = pc.if_else(pc.fill_null(trained, False), TRAININGS, names)
    found = pc.if_else(pc.fill_null(pc.equal(names, BEFORE), False), SEARCHES, found)
    return rows.set_column(rows.column_names.index("recipe"), "recipe", found)
