"""The tables that can be asked for by name, on the command line say."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.cells import means
from analysis.correlation import correlate
from analysis.experiments import random_experiment
from analysis.summary import cells, failures


@dataclass(frozen=True)
class Asked:
    """A function from rows to a table, and what of it tables for readers show besides the cells: all where not said."""

    function: Callable[..., pd.DataFrame]
    shown: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """The names of its options."""
        return list(inspect.signature(self.function).parameters)[1:]

    @property
    def about(self) -> str:
        """The first sentence of its docstring."""
        text = " ".join((self.function.__doc__ or "").split())
        return text.split(". ")[0].split(": ")[0].rstrip(".")


TABLES = {
    "correlate": Asked(correlate, ("n", "n_dropped", "rho", "rho_low", "rho_high", "tau", "p")),
    "cells": Asked(cells),
    "failures": Asked(failures),
    "means": Asked(means, ("arch", "mean", "std", "n_seeds", "complete")),
    "random_experiment": Asked(random_experiment, ("n", "size", "mean", "std", "expected")),
}


def named(name: str) -> Asked:
    """The table of that name; LookupError names all."""
    if name not in TABLES:
        raise LookupError(f"no table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


def table(name: str, df: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """The named table of the rows; ValueError for an option that it does not have."""
    asked = named(name)
    if strange := [option for option in options if option not in asked.options]:
        raise ValueError(f"the table {name} has no option {', '.join(strange)}")
    return asked.function(df, **options)
