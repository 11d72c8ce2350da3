"""Do independent searches find similar cells?  Agreement and edit distance of pairs, against those of random cells."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis import names
from analysis.comparison.cells import Array, frame
from analysis.comparison.options import Resampling
from analysis.comparison.searches import Chosen, chosen, searches_in
from analysis.rows.graph import read
from analysis.rows.schema import WHOLE
from analysis.statistics.cell_distance import agreement, edits
from analysis.statistics.proxy_differences import holm

SEEDS = "seeds"
ALGORITHMS = "algorithms"
OBJECTIVES = "objectives"
_MEASURES = ("agreement", "edits")
_FEWEST = 3  # units without which there is no interval
_ENDS = ("", "_low", "_high", "_random", "_random_low", "_random_high", "_p")
_TYPES = (
    dict.fromkeys(["space", "between", "objective_dataset", "objective_task", "algorithm"], "str")
    | dict.fromkeys(["n", "distinct", "pairs", "n_units", "n_random"], "int64")
    | dict.fromkeys([f"{measure}{end}" for measure in _MEASURES for end in _ENDS], "float64")
    | {"agreement_p_holm": "float64"}
    | dict.fromkeys(["unit", "objective_dataset_id", "reason", "rule"], "str")
)


def similarity(
    df: pd.DataFrame,
    *,
    controls: Collection[str] | None = None,
    published: Mapping[str, str] | None = None,
    random_cells: int = 200,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether independent searches find cells that are more alike than random ones: one row per kind of pairs.

    `between` says which pairs of searches: `seeds` of one objective and algorithm (a row for each, and one for all),
    `algorithms` with one objective, `objectives`. `agreement` is the mean share of edges that the
    two cells have in common, `edits` the mean of the fewest changes that turn one into the other (`cell_distance`).
    `_random` is the mean between random cells, `_random_low` to `_random_high` holds what as many random cells as
    there are searches give, with the confidence asked for.

    The unit is a search, never a pair, as each search is in many pairs. `_low` and `_high` are the jackknife over
    searches with Student's t. `_p` is one-sided: whether the searches are more alike than random cells, by permutation
    of searches and random cells. Searches of one objective are no independent draws where they agree with one another,
    so between algorithms and between objectives the unit is what they share (`unit`), and `_p` counts how often as many
    single random cells agree as well. `agreement_p_holm` is corrected for the rows.

    Random cells are those of the space that no search found, as in `searches`; `random_cells` of them are drawn where
    there are more. `df` holds their cells if it is `load(..., graphs=True)`; without, there are none to compare with.
    """
    how, which = Resampling(resamples, confidence, seed), chosen(df, controls, published)
    if random_cells < 2:
        raise ValueError(f"random_cells must be 2 or more, not {random_cells}")
    return similarity_of(searches_in(df), df, graphs_in(df), how, which, random_cells)


def similarity_of(
    found: pd.DataFrame,
    df: pd.DataFrame,
    graphs: Mapping[tuple[str, str], str],
    how: Resampling,
    which: Chosen,
    random_cells: int = 200,
) -> pd.DataFrame:
    """`similarity` of what `searches_in` gives of the rows; `graphs` are by space and text."""
    lines: list[dict[str, Any]] = []
    for space, own in found.groupby("space"):
        lines += _space(str(space), own, df, graphs, which, random_cells, how)
    table = frame(lines, _TYPES | {"agreement_p_holm": "float64"})
    return table.assign(agreement_p_holm=holm(table["agreement_p"].to_numpy()))


def _space(
    space: str,
    found: pd.DataFrame,
    df: pd.DataFrame,
    graphs: Mapping[tuple[str, str], str],
    which: Chosen,
    most: int,
    how: Resampling,
) -> Iterator[dict[str, Any]]:
    """The lines of one space."""
    own = found[found["found"].notna()]
    both = zip(own["found_graph"], own["found"], strict=True)
    cells = [read(graph) or read(graphs.get((space, arch))) for graph, arch in both]
    own, cells = own[[bool(c) for c in cells]], [c for c in cells if c]
    rng = np.random.default_rng(how.seed)
    archs = [arch for arch in random_of(df, space, set(own["found"]), which) if (space, arch) in graphs]
    if len(archs) > most:
        archs = [archs[k] for k in sorted(rng.choice(len(archs), most, replace=False))]
    random = [one for one in (read(graphs[space, arch]) for arch in archs) if one]
    every = [*cells, *random]
    tables = [agreement(every), -edits(every)] if len(cells) > 1 else []
    rule = (
        f"{names.many(len(found) - len(own), 'search')} without a known cell left out" if len(own) < len(found) else ""
    )
    for kind in _kinds(own) if tables else ():
        line = {"space": space, "n_random": len(random), "rule": "; ".join(filter(None, [kind.rule, rule]))}
        line |= kind.about | {"n_units": kind.n_units, "n": kind.n, "pairs": len(kind.pairs), "unit": kind.unit}
        line["distinct"] = own["found"].iloc[np.unique(kind.pairs)].nunique()
        for name, table, sign in zip(_MEASURES, tables, (1, -1), strict=True):
            line |= measured(name, table, sign, kind, len(own), how)
        yield line | {"agreement_p_holm": np.nan, "reason": _why(kind, len(random))}


@dataclass(frozen=True)
class Kind:
    """Pairs of searches that are averaged."""

    about: dict[str, str]
    pairs: Any  # (P, 2) positions among the searches
    units: Any  # (N,) the unit of each search
    unit: str
    rule: str = ""

    @property
    def inside(self) -> Any:
        """The units that are in any pair."""
        return np.unique(self.units[self.pairs])

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return len(self.inside)

    @property
    def n(self) -> int:
        """How many searches there are."""
        return len(np.unique(self.pairs))


def _kinds(found: pd.DataFrame) -> Iterator[Kind]:
    """The kinds of pairs that there are among some searches."""
    objective = found.groupby(["objective_dataset_id", "objective_task"], sort=False).ngroup().to_numpy()
    group = found.groupby(["objective_dataset_id", "objective_task", "algorithm"], sort=False).ngroup().to_numpy()
    seeds, a, b = found["seed"].to_numpy(), *np.triu_indices(len(found), 1)
    searches = np.arange(len(found))
    nowhere = dict.fromkeys(["objective_dataset", "objective_task", "algorithm", "objective_dataset_id"], "")
    same = group[a] == group[b]
    every = np.column_stack([a, b])
    for one in np.unique(group) if len(np.unique(group[a[same]])) > 1 else ():
        pairs = every[same & (group[a] == one)]
        if len(pairs):
            first = found.iloc[pairs[0, 0]]
            about = {name: str(first[name]) for name in nowhere}
            yield Kind(about | {"between": SEEDS}, pairs, searches, "search")
    kinds = (
        (SEEDS, same, searches, "search"),
        (ALGORITHMS, (objective[a] == objective[b]) & ~same, group, "objective and algorithm"),
        (OBJECTIVES, objective[a] != objective[b], objective, "objective"),
    )
    for name, mask, units, unit in kinds:
        apart = mask & (seeds[a] != seeds[b])
        some = apart if apart.any() else mask
        if some.any():
            rule = "" if name == SEEDS else "pairs of other seeds" if apart.any() else "pairs of equal seeds"
            yield Kind(nowhere | {"between": name}, every[some], units, unit, rule)


def measured(name: str, table: Array, sign: int, kind: Kind, n: int, how: Resampling) -> dict[str, float]:
    """Mean, interval, random level and p of one measure; `table` (n + random, ...) is higher for more alike cells."""
    value = float(table[tuple(kind.pairs.T)].mean())
    low, high = jackknife(
        table, kind.pairs, kind.units, how.confidence, bounds=(0.0, 1.0) if sign > 0 else (-np.inf, 0)
    )
    drawn = _drawn(table, kind, n, how)
    between = table[n:, n:][np.triu_indices(len(table) - n, 1)]
    random = float(between.mean()) if len(between) else np.nan
    tails = [(1 - how.confidence) / 2, (1 + how.confidence) / 2]
    ends = [float(v) for v in np.quantile(drawn, tails)] if len(drawn) else [np.nan, np.nan]
    p = _p(table, kind, n, value, drawn, how)
    numbers = (
        [value, low, high, random, *ends] if sign > 0 else [-value, -high, -low, -random, *(-e for e in ends[::-1])]
    )
    return dict(zip([f"{name}{end}" for end in _ENDS], [*numbers, p], strict=True))


def jackknife(
    table: Array, pairs: Any, units: Any, confidence: float, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[float, float]:
    """The interval of a mean over pairs, by leaving out one unit at a time (Arvesen 1969), with Student's t.

    NaN for fewer than three units, where leaving one out leaves no pair, and where all leave the same mean.
    """
    inside = np.unique(units[pairs])
    values = table[tuple(pairs.T)]
    ends = units[pairs]
    kept = [values[(ends != unit).all(axis=1)] for unit in inside]
    if len(inside) < _FEWEST or not all(len(one) for one in kept):
        return np.nan, np.nan
    means = np.array([one.mean() for one in kept])
    if np.ptp(means) < 1e-12:
        return np.nan, np.nan
    many = len(inside)
    error = np.sqrt((many - 1) / many * ((means - means.mean()) ** 2).sum())
    reach = float(stats.t.ppf((1 + confidence) / 2, many - 1) * error)
    value = float(values.mean())
    return max(value - reach, bounds[0]), min(value + reach, bounds[1])


def _drawn(table: Array, kind: Kind, n: int, how: Resampling) -> Array:
    """(resamples,) the same mean with a random cell in place of each unit; empty where there are too few of them."""
    return _resampled(table, kind, range(n, len(table)), how, np.random.default_rng([how.seed, 1]))


def _p(table: Array, kind: Kind, n: int, value: float, drawn: Array, how: Resampling) -> float:
    """The share of draws at least as alike, those that were made and the searches themselves."""
    if kind.unit == "search":
        others = [k for k in range(n) if k not in set(np.unique(kind.pairs))]
        pool = [k for k in range(len(table)) if k not in others]
        if len(table) == n:
            return np.nan
        drawn = _resampled(table, kind, pool, how, np.random.default_rng([how.seed, 2]))
    if not len(drawn):
        return np.nan
    return float((1 + (drawn >= value - 1e-9).sum()) / (1 + len(drawn)))


def _resampled(table: Array, kind: Kind, pool: Sequence[int], how: Resampling, rng: np.random.Generator) -> Array:
    """(resamples,) the mean over the pairs with distinct members of the pool in place of the units."""
    inside, place = np.unique(kind.units[kind.pairs], return_inverse=True)
    if len(pool) < len(inside) or not how.resamples:
        return np.empty(0)
    pairs, times = np.unique(np.sort(place.reshape(-1, 2), axis=1), axis=0, return_counts=True)
    members = np.asarray(pool)
    order = np.argsort(rng.random((how.resamples, len(members))), axis=1)[:, : len(inside)]
    chosen_ = members[order]
    values = table[chosen_[:, pairs[:, 0]], chosen_[:, pairs[:, 1]]]
    found: Array = values @ times / times.sum()
    return found


def _why(kind: Kind, random: int) -> str:
    """Why an interval or a p-value is missing; empty where nothing is."""
    whys = []
    if kind.n_units < _FEWEST:
        plural = {"search": "searches"}.get(kind.unit, f"{kind.unit}s")
        whys.append(f"{kind.n_units} {plural}: no interval ({_FEWEST} are needed)")
    if random < 2 or random < kind.n_units:
        whys.append(f"{names.many(random, 'random cell')} to compare with")
    return "; ".join(whys)


def graphs_in(df: pd.DataFrame) -> dict[tuple[str, str], str]:
    """The graphs of architectures by space and text, as far as the rows have them."""
    if "graph" not in df:
        return {}
    known = df[(df["arch"] != WHOLE) & df["graph"].notna()].drop_duplicates(["space", "arch"])
    return dict(zip(zip(known["space"], known["arch"], strict=True), known["graph"], strict=True))


def random_of(df: pd.DataFrame, space: str, found: set[str], which: Chosen) -> list[str]:
    """The random cells of a space, in the order of their text."""
    inside = df[(df["space"] == space) & (df["arch"] != WHOLE)].drop_duplicates("arch")
    ids = inside["arch_id"].astype(str) if "arch_id" in inside else inside["arch"].astype(str)
    both = zip(inside["arch"].astype(str), ids, strict=True)
    return sorted(arch for arch, arch_id in both if which.is_control(arch, arch_id, found))
