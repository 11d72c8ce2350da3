"""Rows in, numbers and figures out: reads what runs wrote, needs neither torch nor Ray."""

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
