"""The tables that can be asked for by name, on the command line say."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.comparison.trials import expect_frame, means
from analysis.statistics.correlation import correlate
from analysis.statistics.counts import cells, failures
from analysis.statistics.distributions import distributions, random_search
from analysis.statistics.early import cheapest, early
from analysis.statistics.noise import by_seeds, ceiling, reliability
from analysis.statistics.proxy_differences import differences, pooled
from analysis.statistics.random_experiments import random_experiment
from analysis.statistics.size import size_effect, size_proxies
from analysis.statistics.top_k import picks


@dataclass(frozen=True)
class Asked:
    """A function from rows to a table, and what of it tables for readers show besides the cells: all where not said."""

    function: Callable[..., pd.DataFrame]
    shown: tuple[str, ...] = ()
    curves: bool = False  # whether it reads the epochs of every training

    @property
    def options(self) -> list[str]:
        """The names of its options."""
        return list(inspect.signature(self.function).parameters)[1:]

    @property
    def about(self) -> str:
        """The first sentence of its docstring."""
        text = " ".join((self.function.__doc__ or "").split())
        return text.split(". ")[0].split(": ")[0].rstrip(".")


def _cheapest(df: pd.DataFrame, **options: Any) -> pd.DataFrame:
    return cheapest(early(df, **options))


_cheapest.__doc__, _cheapest.__signature__ = cheapest.__doc__, inspect.signature(early)  # type: ignore[attr-defined]

TABLES = {
    "correlate": Asked(correlate, ("n", "n_dropped", "rho", "rho_low", "rho_high", "tau", "r", "p", "p_perm")),
    "reliability": Asked(
        reliability, ("n", "seeds", "k", "reliability", "reliability_low", "reliability_high", "reason")
    ),
    "ceiling": Asked(ceiling, ("n", "rho", "x_reliability", "y_reliability", "ceiling", "rho_corrected", "reason")),
    "by_seeds": Asked(by_seeds, ("n", "k", "rho", "rho_low", "rho_high")),
    "size_effect": Asked(
        size_effect,
        ("n", "rho", "rho_given_params", "rho_given_macs", "rho_given_both", "rho_small", "rho_medium", "rho_large"),
    ),
    "size_proxies": Asked(
        size_proxies,
        ("n", "rho_params", "rho_params_low", "rho_params_high", "rho_macs", "rho_macs_low", "rho_macs_high"),
    ),
    "early": Asked(early, ("n", "epoch", "epochs", "rho", "rho_low", "rho_high", "rho_full", "share"), curves=True),
    "cheapest": Asked(_cheapest, ("n", "epoch", "epochs", "rho", "rho_full", "kept", "share", "seconds"), curves=True),
    "picks": Asked(
        picks, ("n", "k", "overlap", "overlap_chance", "precision", "regret", "regret_chance", "percentile")
    ),
    "differences": Asked(
        differences, ("n", "a_rho", "b_rho", "difference", "difference_low", "difference_high", "p_holm")
    ),
    "pooled": Asked(pooled, ("spaces", "n", "rho", "rho_low", "rho_high", "q_p", "i2", "reason")),
    "distributions": Asked(distributions, ("n", "score", "edf", "edf_low", "edf_high")),
    "random_search": Asked(random_search, ("n", "size", "expected", "std", "low", "middle", "high")),
    "random_experiment": Asked(random_experiment, ("n", "size", "mean", "std", "expected", "low", "high")),
    "cells": Asked(
        cells,
        ("recipe", "archs", "complete", "seeds", "ok", "failed", "diverged", "no_score", "median", "best", "hours"),
    ),
    "means": Asked(means, ("arch", "mean", "std", "n_seeds", "complete")),
    "failures": Asked(failures, ("error", "text", "attempts", "trials")),
}


def named(name: str) -> Asked:
    """The table of that name; LookupError names all."""
    if name not in TABLES:
        raise LookupError(f"no table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


def table(name: str, df: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """The named table of the rows; ValueError for an option that it does not have."""
    expect_frame(df)
    asked = named(name)
    if strange := [option for option in options if option not in asked.options]:
        raise ValueError(f"the table {name} has no option {', '.join(strange)}")
    return asked.function(df, **options)
