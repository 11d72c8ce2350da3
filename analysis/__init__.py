"""Rows in, numbers and figures out: reads what runs wrote, needs neither torch nor Ray."""

from analysis.cells import means
from analysis.correlation import correlate
from analysis.runs import load
from analysis.sql import query
from analysis.tables import from_table

__all__ = ["correlate", "from_table", "load", "means", "query"]
