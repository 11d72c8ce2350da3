"""What a terminal and a page show of tables with hundreds of lines, as scores without training make them."""

import pandas as pd

from analysis import names
from analysis.comparison.keys import SCORE, columns

_MOST = 100  # lines


def brief(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The lines to show of a table with scores without training, and what is left out, in words.

    Of pairs of cells those of a proxy with a training on `cls` (without one: with any training), of pairs of proxies
    those with the proxy that agrees best with the target. Other tables are whole, and those of few lines.
    """
    if len(table) <= _MOST:
        return table, ""
    if "x_method" in table and (table["x_method"] == SCORE).any():
        trained = table["y_method"] != SCORE
        on_cls = trained & (table["y_task"] == "cls")
        kept, what = (on_cls, "without a trained cls") if on_cls.any() else (trained, "of two scores")
    elif "a_method" in table and (table["a_method"] == SCORE).any():
        highest = table[["a_rho", "b_rho"]].max(axis=1)
        best = highest.groupby([table[c] for c in ("space", *columns("target"))]).transform("max")
        kept, what = (table["a_rho"] == best) | (table["b_rho"] == best), "without the best proxy"
    else:
        return table, ""
    if not kept.any():
        return table, ""
    left_out = names.many(int((~kept).sum()), "line")
    return table[kept], f"left out: {left_out} {what}; --csv and --json print all"


def own_dataset(table: pd.DataFrame) -> pd.DataFrame:
    """Of a table of proxies and targets the proxies on the dataset of their target, of a target without such all."""
    near = table["proxy_dataset_id"] == table["target_dataset_id"]
    some = near.groupby([table[c] for c in ("space", *columns("target"))]).transform("any")
    return table[near | ~some]
