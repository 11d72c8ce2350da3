"""Rows in, numbers and figures out: reads what runs wrote, needs neither torch nor Ray.

A name is imported at its first use: `load` and `query` need neither SciPy nor matplotlib, which take most of a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.comparison.trials import means
    from analysis.drawing import figures
    from analysis.page.report import report
    from analysis.rows.from_table import from_table
    from analysis.rows.runs import load
    from analysis.rows.sql import query
    from analysis.statistics.correlation import correlate
    from analysis.statistics.distributions import distributions, random_search
    from analysis.statistics.early import cheapest, early
    from analysis.statistics.fidelity import fidelity
    from analysis.statistics.noise import by_seeds, ceiling, reliability
    from analysis.statistics.proxy_differences import differences, pooled
    from analysis.statistics.random_experiments import random_experiment
    from analysis.statistics.size import size_effect, size_proxies
    from analysis.statistics.top_k import picks
    from analysis.tables.catalogue import TABLES, table
    from analysis.tables.display import view
    from analysis.tables.formats import csv_text, json_text, latex
    from analysis.tables.text import markdown

_PLACES = {
    "comparison.trials": ("means",),
    "page.report": ("report",),
    "rows.from_table": ("from_table",),
    "rows.runs": ("load",),
    "rows.sql": ("query",),
    "statistics.correlation": ("correlate",),
    "statistics.distributions": ("distributions", "random_search"),
    "statistics.early": ("cheapest", "early"),
    "statistics.fidelity": ("fidelity",),
    "statistics.noise": ("by_seeds", "ceiling", "reliability"),
    "statistics.proxy_differences": ("differences", "pooled"),
    "statistics.random_experiments": ("random_experiment",),
    "statistics.size": ("size_effect", "size_proxies"),
    "statistics.top_k": ("picks",),
    "tables.catalogue": ("TABLES", "table"),
    "tables.display": ("view",),
    "tables.formats": ("csv_text", "json_text", "latex"),
    "tables.text": ("markdown",),
}
_PLACE = {name: f"analysis.{place}" for place, names in _PLACES.items() for name in names}

__all__ = [
    "TABLES",
    "by_seeds",
    "ceiling",
    "cheapest",
    "correlate",
    "csv_text",
    "differences",
    "distributions",
    "early",
    "fidelity",
    "figures",
    "from_table",
    "json_text",
    "latex",
    "load",
    "markdown",
    "means",
    "picks",
    "pooled",
    "query",
    "random_experiment",
    "random_search",
    "reliability",
    "report",
    "size_effect",
    "size_proxies",
    "table",
    "view",
]


def __getattr__(name: str) -> Any:
    if name == "figures":
        return import_module("analysis.drawing.figures")
    if name not in _PLACE:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(_PLACE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
