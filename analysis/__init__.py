"""Statistics, tables, figures and the report of a run, from its rows; needs neither torch nor Ray.

Imports no other package of this project. Names are imported at their first use: `load` and `query` need neither SciPy
nor matplotlib, whose import takes most of a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.comparison.trials import means
    from analysis.drawing import figures
    from analysis.page.report import report
    from analysis.rows.distinct import distinct
    from analysis.rows.from_table import from_table
    from analysis.rows.runs import load
    from analysis.rows.sql import query
    from analysis.statistics.agreement_cost import agreement_cost
    from analysis.statistics.beyond_size import beyond_size
    from analysis.statistics.combine import combine_proxies
    from analysis.statistics.correlation import correlate
    from analysis.statistics.distributions import distributions, random_search
    from analysis.statistics.early import cheapest, early_stopping
    from analysis.statistics.fidelity import fidelity
    from analysis.statistics.label_free import label_free
    from analysis.statistics.noise import noise_ceiling, reliability, rho_by_seeds
    from analysis.statistics.proxy_differences import compare_proxies, pool_spaces
    from analysis.statistics.random_experiments import random_experiment
    from analysis.statistics.score_curves import score_curves
    from analysis.statistics.search_curves import architecture_weights, search_curves
    from analysis.statistics.search_targets import search_targets
    from analysis.statistics.searches import searches
    from analysis.statistics.signal import signal
    from analysis.statistics.similarity import similarity
    from analysis.statistics.size import size_effect, size_proxies
    from analysis.statistics.taus import taus
    from analysis.statistics.top_k import top_k
    from analysis.tables.catalogue import TABLES, compute
    from analysis.tables.display import for_display
    from analysis.tables.formats import to_csv, to_json, to_latex
    from analysis.tables.search_matrix import search_matrix
    from analysis.tables.text import to_markdown

_PLACES = {
    "comparison.trials": ("means",),
    "page.report": ("report",),
    "rows.distinct": ("distinct",),
    "rows.from_table": ("from_table",),
    "rows.runs": ("load",),
    "rows.sql": ("query",),
    "statistics.agreement_cost": ("agreement_cost",),
    "statistics.beyond_size": ("beyond_size",),
    "statistics.combine": ("combine_proxies",),
    "statistics.correlation": ("correlate",),
    "statistics.distributions": ("distributions", "random_search"),
    "statistics.early": ("cheapest", "early_stopping"),
    "statistics.fidelity": ("fidelity",),
    "statistics.label_free": ("label_free",),
    "statistics.noise": ("rho_by_seeds", "noise_ceiling", "reliability"),
    "statistics.proxy_differences": ("compare_proxies", "pool_spaces"),
    "statistics.random_experiments": ("random_experiment",),
    "statistics.signal": ("signal",),
    "statistics.score_curves": ("score_curves",),
    "statistics.search_curves": ("architecture_weights", "search_curves"),
    "statistics.search_targets": ("search_targets",),
    "statistics.searches": ("searches",),
    "statistics.similarity": ("similarity",),
    "statistics.size": ("size_effect", "size_proxies"),
    "statistics.taus": ("taus",),
    "statistics.top_k": ("top_k",),
    "tables.catalogue": ("TABLES", "compute"),
    "tables.display": ("for_display",),
    "tables.formats": ("to_csv", "to_json", "to_latex"),
    "tables.search_matrix": ("search_matrix",),
    "tables.text": ("to_markdown",),
}
_PLACE = {name: f"analysis.{place}" for place, names in _PLACES.items() for name in names}

__all__ = [
    "TABLES",
    "agreement_cost",
    "architecture_weights",
    "beyond_size",
    "cheapest",
    "combine_proxies",
    "compare_proxies",
    "compute",
    "correlate",
    "distinct",
    "distributions",
    "early_stopping",
    "fidelity",
    "figures",
    "for_display",
    "from_table",
    "label_free",
    "load",
    "means",
    "noise_ceiling",
    "pool_spaces",
    "query",
    "random_experiment",
    "random_search",
    "reliability",
    "report",
    "rho_by_seeds",
    "score_curves",
    "search_curves",
    "search_matrix",
    "search_targets",
    "searches",
    "signal",
    "similarity",
    "size_effect",
    "size_proxies",
    "taus",
    "to_csv",
    "to_json",
    "to_latex",
    "to_markdown",
    "top_k",
]


def __getattr__(name: str) -> Any:
    if name == "figures":
        return import_module("analysis.drawing.figures")
    if name not in _PLACE:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(_PLACE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
