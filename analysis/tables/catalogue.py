"""The tables that can be computed by name, for example on the command line."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.comparison.trials import expect_frame, means
from analysis.statistics.agreement_cost import agreement_cost
from analysis.statistics.beyond_size import beyond_size
from analysis.statistics.combine import combine_proxies
from analysis.statistics.correlation import correlate
from analysis.statistics.counts import cells, failures
from analysis.statistics.distributions import distributions, random_search
from analysis.statistics.early import cheapest, early_stopping
from analysis.statistics.label_free import label_free
from analysis.statistics.noise import noise_ceiling, reliability, rho_by_seeds
from analysis.statistics.proxy_differences import compare_proxies, pool_spaces
from analysis.statistics.random_experiments import random_experiment
from analysis.statistics.score_curves import score_curves
from analysis.statistics.search_curves import search_curves
from analysis.statistics.search_targets import search_targets
from analysis.statistics.searches import searches
from analysis.statistics.signal import signal
from analysis.statistics.similarity import similarity
from analysis.statistics.size import size_effect, size_proxies
from analysis.statistics.taus import taus
from analysis.statistics.top_k import top_k
from analysis.tables.search_matrix import search_matrix


@dataclass(frozen=True)
class Table:
    """A named table: its function and the columns shown to people besides the cells (empty: all)."""

    function: Callable[..., pd.DataFrame]
    shown: tuple[str, ...] = ()
    curves: bool = False  # whether it reads the epochs of every training
    graphs: bool = False  # whether it reads the cells of architectures
    view: Callable[[pd.DataFrame], pd.DataFrame] | None = None  # how people read it, where not line by line

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
    "correlate": Table(correlate, ("n", "n_dropped", "rho", "rho_low", "rho_high", "tau", "r", "p", "p_perm")),
    "taus": Table(taus, ("n", "n_dropped", "rho", "tau", "tau_low", "tau_high", "tau_rlnas", "tau_weighted")),
    "signal": Table(signal, ("n", "chance", "score_median", "chance_p", "difference_p", "signal")),
    "reliability": Table(
        reliability, ("n", "n_seeds", "k", "reliability", "reliability_low", "reliability_high", "reason")
    ),
    "noise_ceiling": Table(
        noise_ceiling, ("n", "rho", "x_reliability", "y_reliability", "ceiling", "rho_corrected", "reason")
    ),
    "rho_by_seeds": Table(rho_by_seeds, ("n", "k", "rho", "rho_low", "rho_high")),
    "size_effect": Table(
        size_effect,
        ("n", "rho", "rho_given_params", "rho_given_macs", "rho_given_both", "rho_small", "rho_medium", "rho_large"),
    ),
    "size_proxies": Table(
        size_proxies,
        ("n", "rho_params", "rho_params_low", "rho_params_high", "rho_macs", "rho_macs_low", "rho_macs_high"),
    ),
    "beyond_size": Table(
        beyond_size,
        (
            *("n", "rho", "rho_params", "difference_params", "difference_params_low", "difference_params_high"),
            *("rho_given_params", "p_params_holm"),
        ),
    ),
    "agreement_cost": Table(agreement_cost, ("n", "rho", "rho_low", "rho_high", "seconds", "macs", "front")),
    "label_free": Table(
        label_free,
        (*("n", "rho", "rho_with_labels", "agreement", "difference", "difference_low", "difference_high", "p"),),
    ),
    "combine_proxies": Table(
        combine_proxies,
        (*("predictor", "n", "proxies", "rho", "rho_low", "rho_high", "difference", "of"),),
    ),
    "early_stopping": Table(
        early_stopping, ("n", "epoch", "epochs", "rho", "rho_low", "rho_high", "rho_full", "share"), curves=True
    ),
    "cheapest": Table(cheapest, ("n", "epoch", "epochs", "rho", "rho_full", "kept", "share", "seconds"), curves=True),
    "top_k": Table(
        top_k, ("n", "k", "overlap", "overlap_random", "precision", "regret", "regret_random", "percentile")
    ),
    "compare_proxies": Table(
        compare_proxies, ("n", "a_rho", "b_rho", "difference", "difference_low", "difference_high", "p_holm")
    ),
    "pool_spaces": Table(pool_spaces, ("spaces", "n", "rho", "rho_low", "rho_high", "q_p", "i2", "reason")),
    "distributions": Table(distributions, ("n", "score", "edf", "edf_low", "edf_high")),
    "random_search": Table(random_search, ("n", "m", "expected", "std", "best_low", "best_median", "best_high")),
    "random_experiment": Table(random_experiment, ("n", "m", "mean", "std", "expected", "best_low", "best_high")),
    "score_curves": Table(score_curves, ("n", "epoch", "mean", "median", "low", "high"), curves=True),
    "searches": Table(
        searches,
        (
            *("algorithm", "seed", "score", "std", "percentile", "percentile_low", "percentile_high", "rank"),
            *("skips", "entropy", "n_seeds"),
        ),
        curves=True,
    ),
    "search_targets": Table(
        search_targets,
        ("algorithm", "n", "mean", "mean_low", "mean_high", "best", "percentile", "params", "skips"),
        graphs=True,
        view=search_matrix,
    ),
    "search_curves": Table(
        search_curves, ("algorithm", "seed", "epoch", "cell", "operation", "weight", "chosen", "entropy"), curves=True
    ),
    "similarity": Table(
        similarity,
        (
            *("between", "algorithm", "n", "agreement", "agreement_low", "agreement_high", "agreement_random"),
            *("agreement_p", "edits", "edits_random"),
        ),
        graphs=True,
    ),
    "cells": Table(
        cells,
        (
            "recipe",
            "archs",
            "complete",
            "n_seeds",
            "ok",
            "failed",
            "diverged",
            "no_score",
            "median",
            "best",
            "hours",
            "seconds",
        ),
    ),
    "means": Table(means, ("arch", "mean", "std", "n_seeds", "complete")),
    "failures": Table(failures, ("error", "text", "attempts", "trials")),
}


def named(name: str) -> Table:
    """The table of that name; LookupError names all."""
    if name not in TABLES:
        raise LookupError(f"no table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


def compute(name: str, df: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """The named table of the rows; ValueError for an option that it does not have."""
    expect_frame(df)
    table = named(name)
    if strange := [option for option in options if option not in table.options]:
        raise ValueError(f"the table {name} has no option {', '.join(strange)}")
    return table.function(df, **options)
