"""Rank correlation of architectures: Spearman's rho, Kendall's tau-b, Pearson's r, and their p-values.

Everything here works on a matrix of values (n architectures, C cells), higher is better, average ranks on
ties; -inf is a value like any other, below all finite ones.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import factorial
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import gammaln

from analysis.comparison.cells import FEWEST, Array

Pairs = Sequence[tuple[int, int]]

DIGITS = 12  # beyond are rounding errors, which would put a rho of 1 outside its interval
_BATCH = 2_000_000  # ranks held at once: 16 MB, near the cache
_EXACT = 10  # up to here p-values are over all n! pairings


def spearman(values: Array, pairs: Pairs) -> tuple[Array, Array]:
    """rho and its two-sided p-value for each pair of columns; NaN for fewer than 3 rows or a constant column.

    p: exact over all pairings up to n = 10, ties included; Student's t approximation beyond, but never below the
    2 / n! that all pairings allow (of a rho of 1 the approximation would be 0).
    """
    ranks, usable = _ranks(values)
    rho, p = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    n = len(ranks)
    for k, (a, b) in enumerate(pairs):
        if usable[a] and usable[b]:
            rho[k], p[k] = stats.spearmanr(ranks[:, a], ranks[:, b])
            p[k] = _exact_p(ranks[:, a], ranks[:, b]) if n <= _EXACT else max(p[k], 2 * np.exp(-gammaln(n + 1)))
    return rho.round(DIGITS), p


def kendall(values: Array, pairs: Pairs) -> tuple[Array, Array]:
    """tau-b and its two-sided p-value for each pair of columns; NaN as for `spearman`."""
    ranks, usable = _ranks(values)
    found = [
        stats.kendalltau(ranks[:, a], ranks[:, b]) if usable[a] and usable[b] else (np.nan, np.nan) for a, b in pairs
    ]
    both = np.array(found, float).reshape(-1, 2)
    return both[:, 0].round(DIGITS), both[:, 1]


def pearson(values: Array, pairs: Pairs) -> Array:
    """r of the values themselves, over the rows that are finite in both columns; NaN as for `spearman`."""
    r = np.full(len(pairs), np.nan)
    for k, pair in enumerate(pairs):
        both = values[:, pair]
        both = both[np.isfinite(both).all(axis=1)]
        if len(both) >= FEWEST and (both.max(axis=0) > both.min(axis=0)).all():
            # A common scale keeps the squares of tiny and huge scores within floating point.
            centred = both - both.mean(axis=0)
            x, y = (centred / np.abs(centred).max(axis=0)).T
            r[k] = np.clip(x @ y / np.sqrt(x @ x * (y @ y)), -1, 1)
    return r.round(DIGITS)


def permutation_p(values: Array, pairs: Pairs, draws: int, seed: int) -> Array:
    """Two-sided p-value of each pair's rho by permutation: the chance of a rho as far from 0 without any relation.

    Exact over all pairings up to n = 10; beyond, (1 + as far) / (1 + draws) over random pairings (Phipson and
    Smyth 2010), so never below 1 / (1 + draws). NaN as for `spearman`, and beyond n = 10 without draws. Ranks
    are whole numbers here (doubled), so what is as far is so to the last digit.
    """
    ranks, usable = _ranks(values)
    n, p = len(ranks), np.full(len(pairs), np.nan)
    good = [k for k, (a, b) in enumerate(pairs) if usable[a] and usable[b]]
    if n <= _EXACT:
        for k in good:
            p[k] = _exact_p(*(ranks[:, c] for c in pairs[k]))
        return p
    if not good or draws == 0:
        return p
    doubled = np.ascontiguousarray(2 * ranks - (n + 1))
    first, second = np.array([pairs[k] for k in good]).T
    found = np.abs((doubled[:, first] * doubled[:, second]).sum(axis=0))
    rng, left = np.random.default_rng(seed), draws
    as_far, straight = np.zeros(len(good), int), np.arange(n)
    batch = max(1, _BATCH // (n * ranks.shape[1]))
    while left:
        orders = rng.permuted(np.broadcast_to(straight, (min(batch, left), n)), axis=1)
        left -= len(orders)
        shuffled = np.take(doubled.T, orders, axis=1).transpose(1, 0, 2)  # (draws, C, n)
        products = shuffled @ doubled  # (draws, C shuffled, C in place)
        as_far += (np.abs(products[:, second, first]) >= found).sum(axis=0)
    p[good] = (1 + as_far) / (1 + draws)
    return p


def tied(values: Array) -> Any:
    """(C,) how many rows share their value with another row of the column."""
    counts = []
    for column in values.T:
        ordered = np.sort(column)
        same: Any = np.r_[False, ordered[1:] == ordered[:-1], False]
        counts.append(int((same[1:] | same[:-1]).sum()))
    return np.array(counts, int)


class Ranked:
    """Columns of values (n, C) sorted once, to be ranked again and again with other multiplicities of the rows.

    A resample only says how often each row occurs. With the rows sorted, the running sum of those counts gives
    every average rank of the resample, so nothing is sorted again: the same numbers as ranking the picked rows,
    about fifty times faster.
    """

    def __init__(self, values: Array) -> None:
        self.shape = values.shape
        self.batch = max(1, _BATCH // max(1, values.size))  # resamples that fit near the cache
        self._columns = [_sorted(column) for column in values.T]
        self._unknown: Any = np.isnan(values).any(axis=0)

    def matrices(self, counts: Any) -> Array:
        """Spearman's rho between all columns when row i occurs counts[:, i] times: (R, n) -> (R, C, C).

        NaN where a column is constant among the rows that occur, or holds a NaN.
        """
        r, n = counts.shape
        # Doubled, so that ranks are whole numbers: these are summed several times as fast as floating point.
        counts = counts.astype(np.int32, copy=False)
        total = counts.sum(axis=1, dtype=np.int32)[:, None]
        root = np.sqrt(counts, dtype=float)
        scaled = np.empty((r, self.shape[1], n))
        for c, (order, starts, place) in enumerate(self._columns):
            weight = np.take(counts, order, axis=1)
            if starts is not None:
                weight = np.add.reduceat(weight, starts, axis=1)
            rank = np.cumsum(weight, axis=1, dtype=np.int32)  # average rank of each distinct value, about their middle
            rank *= 2
            rank -= weight
            rank -= total
            np.multiply(np.take(rank, place, axis=1), root, out=scaled[:, c])
            if self._unknown[c]:
                scaled[:, c] = np.nan
        gram = scaled @ scaled.transpose(0, 2, 1)
        length = np.sqrt(np.diagonal(gram, axis1=1, axis2=2))
        with np.errstate(invalid="ignore", divide="ignore"):
            rho: Array = gram / (length[:, :, None] * length[:, None, :])
        return rho.clip(-1, 1)


def counted(picks: Any, n: int) -> Any:
    """How often each of n rows was picked: row numbers (R, m) -> (R, n)."""
    r = len(picks)
    flat = np.bincount((picks + np.arange(r)[:, None] * n).ravel(), minlength=r * n)
    return flat.reshape(r, n).astype(np.int32)


def resampled(values: Array, pairs: Pairs, picks: Any) -> Array:
    """rho of each pair in each resample: picks (R, m) of row numbers -> (pairs, R)."""
    first, second = np.array(pairs).T
    found: Array = Ranked(values).matrices(counted(picks, len(values)))[:, first, second].T
    return found


def _sorted(column: Array) -> tuple[Any, Any, Any]:
    """The order of the rows, where each distinct value begins in it (None without ties), and each row's value's
    place among the distinct ones."""
    order = np.argsort(column, kind="stable")
    ordered = column[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])[: len(column)]
    place = np.empty(len(column), int)
    place[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(column)]))
    return order, None if len(starts) == len(column) else starts, place


def _ranks(values: Array) -> tuple[Array, Any]:
    """Average ranks, and which columns can be correlated."""
    if len(values) < FEWEST:
        return values, np.zeros(values.shape[1], bool)
    ranks: Array = stats.rankdata(values, axis=0)
    return ranks, ranks.max(axis=0) > ranks.min(axis=0)


def _exact_p(x: Array, y: Array) -> float:
    """The share of all pairings of two columns of ranks whose rho is at least as far from 0."""
    x, y = (np.round(2 * side - (len(side) + 1)).astype(int) for side in (x, y))  # whole numbers about 0
    ways, most = _pairings(tuple(sorted(x.tolist())), tuple(sorted(y.tolist())))
    far = abs(int(x @ y))
    return float(ways[np.abs(np.arange(-most, most + 1)) >= far].sum() / ways.sum())


@lru_cache(maxsize=256)
def _pairings(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[Any, int]:
    """How many of the n! pairings of x and y give each sum of products from -most to most, and most.

    The values of x are given partners one after another; what is left to give says all of the past that matters.
    """
    most = sum(v * v for v in x) // 2 + sum(v * v for v in y) // 2 + 1  # by Cauchy and Schwarz
    values = sorted(set(y))
    none = np.zeros(2 * most + 1, np.int64)
    none[most] = 1
    ways = {tuple(y.count(value) for value in values): none}  # by how many of each value are left
    for one in x:
        after: dict[tuple[int, ...], Any] = {}
        for left, found in ways.items():
            for k, value in enumerate(values):
                if left[k]:
                    rest = (*left[:k], left[k] - 1, *left[k + 1 :])
                    moved = left[k] * np.roll(found, one * value)  # never beyond the ends, by the choice of most
                    after[rest] = after[rest] + moved if rest in after else moved
        ways = after
    (found,) = ways.values()
    assert found.sum() == factorial(len(x))
    return found, most
