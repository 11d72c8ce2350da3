"""One architecture for each network: texts of a space may be spellings of one network."""

import pandas as pd

from analysis.rows.schema import WHOLE


def distinct(df: pd.DataFrame) -> pd.DataFrame:
    """The rows without those of further spellings: of the texts with one `arch_id`, the first in alphabetical order.

    Benchmarks may have trained each spelling separately; results of the others are left out, not averaged.  Rows of
    searches stay.  ValueError without the columns `space`, `arch` and `arch_id`; rows without an `arch_id` stay.
    """
    if missing := [name for name in ("space", "arch", "arch_id") if name not in df]:
        raise ValueError(f"rows without the column {', '.join(missing)}; expected rows as `analysis.load` gives them")
    own = df[["space", "arch", "arch_id"]].astype(object)
    first = own.groupby(["space", "arch_id"], sort=False)["arch"].transform("min")
    return df[first.isna() | (own["arch"] == first) | (own["arch"] == WHOLE)]
