"""Rows in, numbers and figures out: reads what runs wrote, needs neither torch nor Ray."""

from analysis import figures
from analysis.catalogue import TABLES, table
from analysis.cells import means
from analysis.correlation import correlate
from analysis.differences import differences, pooled
from analysis.distributions import distributions, random_search
from analysis.early import cheapest, early
from analysis.experiments import random_experiment
from analysis.fidelity import fidelity
from analysis.formats import csv_text, json_text, latex
from analysis.noise import by_seeds, ceiling, reliability
from analysis.page import report
from analysis.picks import picks
from analysis.runs import load
from analysis.size import size_effect, size_proxies
from analysis.sql import query
from analysis.tables import from_table
from analysis.text import markdown
from analysis.view import view

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
