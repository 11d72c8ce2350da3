"""Rows in, numbers and figures out: reads what runs wrote, needs neither torch nor Ray."""

from analysis import figures
from analysis.catalogue import TABLES, table
from analysis.cells import means
from analysis.correlation import correlate
from analysis.experiments import random_experiment
from analysis.fidelity import fidelity
from analysis.formats import csv_text, json_text, latex
from analysis.page import report
from analysis.runs import load
from analysis.sql import query
from analysis.tables import from_table
from analysis.text import markdown
from analysis.view import view

__all__ = [
    "TABLES",
    "correlate",
    "csv_text",
    "fidelity",
    "figures",
    "from_table",
    "json_text",
    "latex",
    "load",
    "markdown",
    "means",
    "query",
    "random_experiment",
    "report",
    "table",
    "view",
]
