"""What is compared: the cells of a space side by side, and which architectures each pair of them uses."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison.costs import Costs, costs
from analysis.comparison.keys import KEY, NAMES, SCORE
from analysis.comparison.options import Common, Options
from analysis.comparison.trials import gather, one_metric

Array = np.ndarray[Any, np.dtype[np.float64]]
FEWEST = 3  # two architectures always agree or disagree completely


@dataclass(frozen=True)
class Cells:
    """The cells of one space side by side: A architectures in the order of their text, C cells in their fixed
    order, S seeds."""

    space: str
    labels: pd.DataFrame  # (C,) dataset, ..., metric, method, n_seeds, and of `costs`: seconds, macs, why_missing
    archs: list[str]
    values: Array  # (A, C) means over seeds, -inf for diverged, NaN where there is none
    seen: Any  # (A, C) tried at all
    usable: Any  # (A, C) complete, and finite or ranked worst; scores without training must be finite
    groups: dict[bytes, list[tuple[int, int]]]  # the pairs that use the same architectures, by those (A,) as bytes
    trained: Array  # (A, C, S) score with each seed, -inf for diverged, NaN where there is none
    planned: Any  # (C, S) whether any architecture of the cell was tried with the seed
    rows: Any  # (A, C, S) position in the frame of the row that counts, -1 where there is none
    common: Common
    rule: str  # which architectures are compared, and by what

    @property
    def trained_cells(self) -> Any:
        """(C,) which cells are trainings, or results of such, rather than scores without training."""
        found: Any = (self.labels["method"] != SCORE).to_numpy(bool)
        return found

    @property
    def missing(self) -> Any:
        """(A, C) which architectures have no finite score in a cell of scores without training."""
        return ((self.rows >= 0) & np.isnan(self.trained)).any(axis=2)

    def together(self, columns: Sequence[int]) -> Any:
        """(A,) which architectures a statistic of these cells uses.

        Those usable in all of them, and with `common="all"` in every training of the space too. A score without
        training that is missing for some architectures leaves them out where it is compared, and nowhere else.
        """
        wanted = np.zeros(len(self.labels), bool)
        wanted[list(columns)] = True
        if self.common == "all":
            wanted |= self.trained_cells
        found: Any = self.usable[:, wanted].all(axis=1)
        return found

    def used(self, pair: tuple[int, int]) -> Any:
        """(A,) which architectures a pair of cells compares."""
        return np.frombuffer(next(mask for mask, pairs in self.groups.items() if pair in pairs), bool)

    def each_pair(self) -> Iterator[tuple[tuple[int, int], Any]]:
        """Every pair of cells in their order, with (A,) which architectures it compares."""
        used = {pair: np.frombuffer(mask, bool) for mask, pairs in self.groups.items() for pair in pairs}
        return ((pair, used[pair]) for pair in sorted(used))

    def alone(self, cell: int) -> Any:
        """(A,) which architectures count where a cell is looked at by itself."""
        return self.together([cell])

    def line(self, pair: tuple[int, int], used: Any) -> dict[str, Any]:
        """What identifies the pair, and its counts."""
        out: dict[str, Any] = {"space": self.space, "n": int(used.sum()), "rule": self.rule}
        out["n_dropped"] = int((self.seen[:, pair].any(axis=1) & ~used).sum())
        for side, c in zip("xy", pair, strict=True):
            out |= {f"{side}_{name}": value for name, value in self._records[c].items()}
            out[f"{side}_diverged"] = int(np.isneginf(self.values[used, c]).sum())
        missing = {side: self.why_missing(c) for side, c in zip("xy", pair, strict=True)}
        out["left_out"] = "; ".join(f"{side}: {why}" for side, why in missing.items() if why)
        return out

    def why_missing(self, c: int) -> str:
        """How many architectures are left out as their score in a cell is not finite, and why; empty for none."""
        return self._why_missing[c]

    @cached_property
    def _records(self) -> list[dict[Any, Any]]:
        return self.labels.to_dict("records")

    @cached_property
    def _why_missing(self) -> list[str]:
        many = (self.missing & self.together([])[:, None]).sum(axis=0)
        return [
            f"{names.many(int(n), 'score')} not finite" + f" ({why})" * bool(why) if n else ""
            for n, why in zip(many, self.labels["why_missing"], strict=True)
        ]

    def cell(self, c: int, used: Any) -> dict[str, Any]:
        """What identifies the cell, and its counts."""
        alone = self.rule.replace("both cells", "the cell")
        out: dict[str, Any] = {"space": self.space, "n": int(used.sum()), "rule": alone}
        out["n_dropped"] = int((self.seen[:, c] & ~used).sum())
        return out | dict(self.labels.iloc[c])

    def seeded(self, used: Any, c: int) -> Array:
        """(n, seeds) the scores of a cell's seeds for the architectures used."""
        found: Array = self.trained[used, c][:, self.planned[c]]
        return found


@dataclass(frozen=True)
class Comparison:
    """The rows, the options, and the cells of every space: made once, used by every statistic."""

    rows: pd.DataFrame
    options: Options
    spaces: Sequence[Cells]

    def by(self, common: Common) -> "Comparison":
        """The same with the architectures of another rule."""
        options = replace(self.options, common=common)
        return Comparison(self.rows, options, [_grouped(cells, options) for cells in self.spaces])

    def trainings(self) -> "Comparison":
        """The same without the scores that need no training; spaces that hold nothing else are left out."""
        spaces = [_only(cells, cells.trained_cells, self.options) for cells in self.spaces]
        return replace(self, spaces=[cells for cells in spaces if len(cells.labels)])

    def resampled(self, resamples: int) -> "Comparison":
        """The same with another number of resamples."""
        return replace(self, options=replace(self.options, resamples=resamples))


def compare(df: pd.DataFrame, options: Options) -> Comparison:
    """The comparison of the rows: the values of every space and which architectures each pair of cells uses."""
    trials = gather(df, options.score, options.chance)
    one_metric(trials)
    known = costs(df)
    spaces = [_space(str(space), tried, known, options) for space, tried in trials.groupby("space")]
    return Comparison(df, options, spaces)


def frame(lines: list[dict[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    """The lines as a table with these columns and dtypes, whether there are lines or not."""
    return pd.DataFrame({name: pd.Series([ln[name] for ln in lines], dtype=kind) for name, kind in types.items()})


def mean_of_seeds(scores: Array) -> Array:
    """The mean over the last axis, NaN where one is: equal where it is equal but for rounding.

    Of one seed the score itself, of several the mean to 42 binary digits: accuracies are counts of images, so equal
    means are frequent, and the last digit, which depends on the order of adding, must not rank them.
    """
    if scores.shape[-1] == 1:
        return scores[..., 0]
    mantissa, exponent = np.frexp(scores.mean(axis=-1))
    rounded: Array = np.ldexp(np.round(np.ldexp(mantissa, 42)), exponent - 42)
    return rounded


def why_no_rho(**scores: Array) -> str:
    """Why rho between these columns of scores (n,) is undefined, by their names; empty where it is defined."""
    n = min(map(len, scores.values()))
    if n < FEWEST:
        return f"{names.many(n, 'architecture')} to compare ({FEWEST} are needed)"
    constant = [(name, column[0]) for name, column in scores.items() if (column == column[0]).all()]
    return "; ".join(
        f"{name}: all {n:,} {'diverged' if np.isneginf(one) else 'have the same score'}" for name, one in constant
    )


def whole_numbers(name: str, given: int | Sequence[int]) -> list[int]:
    """The numbers given for an option, one or several.

    Raises TypeError for text and for what is not a whole number, ValueError for numbers below 1.
    """
    found = [given] if isinstance(given, int | np.integer) else given
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise TypeError(f"{name}: expected whole numbers such as (1, 2, 4), not {given!r}")
    found = list(found)
    if wrong := [one for one in found if not isinstance(one, int | np.integer)]:
        raise TypeError(f"{name}: expected whole numbers such as (1, 2, 4), not {wrong[0]!r}")
    if min(found, default=1) < 1:
        raise ValueError(f"{name} must be at least 1; given {found}")
    return [int(one) for one in found]


def by_architectures(cells: Cells, several: Sequence[Sequence[int]]) -> Iterator[tuple[Any, list[int]]]:
    """Cells that are compared with one another, grouped by the architectures that they use: (A,) which, and the
    positions in `several`."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for k, some in enumerate(several):
        groups[cells.together(some).tobytes()].append(k)
    return ((np.frombuffer(mask, bool), places) for mask, places in groups.items())


def chosen(cells: Cells, choice: Mapping[str, str]) -> list[int]:
    """The cells that are what the choice says, {"task": "cls"}; LookupError for names that no cell has."""
    if not isinstance(choice, Mapping):
        raise TypeError(f'expected the names of a cell such as {{"task": "rot"}}, not {choice!r}')
    if unknown := set(choice) - set(NAMES):
        raise LookupError(f"a cell has no {', '.join(sorted(unknown))}; it has {', '.join(NAMES)}")
    labels = cells.labels.astype(str)
    return [c for c in range(len(labels)) if all(labels[name].iloc[c] == value for name, value in choice.items())]


def sides(
    spaces: Sequence[Cells], proxy: Mapping[str, str] | None, target: Mapping[str, str] | None
) -> Iterator[tuple[Cells, list[int], list[int]]]:
    """The proxies and targets of each space, chosen by name: by default all cells, and the trainings on `cls`, or else
    all trainings, or else all cells.

    Raises LookupError for a choice that names no cell of any space.
    """
    found: list[tuple[Cells, list[int], list[int]]] = []
    for cells in spaces:
        targets = default_targets(cells) if target is None else chosen(cells, target)
        found.append((cells, chosen(cells, proxy or {}), targets))
    for k, side, choice in ((1, "proxy", proxy), (2, "target", target)):
        if choice is not None and not any(one[k] for one in found):
            raise LookupError(f"no cell is {dict(choice)}, given as the {side}")
    yield from found


def default_targets(cells: Cells) -> list[int]:
    """The cells that proxies are compared with unless others are chosen: trainings on `cls`, else all trainings, else
    all cells."""
    trained, cls = cells.trained_cells, (cells.labels["task"] == "cls").to_numpy(bool)
    every = np.ones(len(trained), bool)
    return [int(c) for c in np.flatnonzero(next(m for m in (trained & cls, trained, every) if m.any()))]


def _space(space: str, tried: pd.DataFrame, known: Costs, options: Options) -> Cells:
    labels, cell = _labels(tried)
    arch, archs = pd.factorize(tried["arch"], sort=True)
    seed, seeds = pd.factorize(tried["seed"], sort=True)
    shape = (len(archs), len(labels), len(seeds))
    place = np.ravel_multi_index((arch, cell, seed), shape)
    ok = tried["ok"].to_numpy(bool)
    seen, planned = np.zeros(shape[:2], bool), np.zeros(shape[1:], bool)
    seen[arch, cell], planned[cell, seed] = True, True
    count = np.bincount(place[ok], minlength=np.prod(shape))
    with np.errstate(invalid="ignore"):
        total = np.bincount(place[ok], tried["value"].to_numpy(float)[ok], minlength=np.prod(shape))
        trained = (total / count).reshape(shape)  # NaN for 0 / 0
    untrained = (labels["method"] == SCORE).to_numpy(bool)[None, :, None]
    trained = np.where(untrained & np.isneginf(trained), np.nan, trained)  # missing, never a rank
    rows = np.full(np.prod(shape), -1)
    rows[place[ok][::-1]] = tried.index.to_numpy()[ok][::-1]  # the first of several
    rows = rows.reshape(shape)
    complete = ~(np.isnan(trained) & planned).any(axis=2)
    values = np.stack([mean_of_seeds(trained[:, c, planned[c]]) for c in range(len(labels))], axis=1)
    usable = complete & (np.isfinite(values) | (options.diverged == "worst"))
    cells = Cells(
        space=space,
        labels=labels.assign(**known.of_cells(rows, np.isnan(trained) & (rows >= 0))),
        archs=list(archs),
        values=values,
        seen=seen,
        usable=usable,
        groups={},
        trained=trained,
        planned=planned,
        rows=rows,
        common=options.common,
        rule="",
    )
    return _grouped(cells, options)


def _only(cells: Cells, kept: Any, options: Options) -> Cells:
    """Some of the cells, (C,) which."""
    if kept.all():
        return cells
    parts = {name: getattr(cells, name)[:, kept] for name in ("values", "seen", "usable", "trained", "rows")}
    labels = cells.labels[kept].reset_index(drop=True)
    return _grouped(replace(cells, labels=labels, planned=cells.planned[kept], **parts), options)


def _grouped(cells: Cells, options: Options) -> Cells:
    """The cells with the pairs that use the same architectures under the rule of the options."""
    trained = cells.trained_cells
    rule = options.rule(trainings=bool(trained.any()), scores=not trained.all())
    cells = replace(cells, common=options.common, rule=rule)
    groups: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    pairs = list(combinations(range(len(cells.labels)), 2))
    for used, places in by_architectures(cells, pairs):
        groups[used.tobytes()] += [pairs[k] for k in places]
    return replace(cells, groups=dict(groups))


def _labels(tried: pd.DataFrame) -> tuple[pd.DataFrame, Any]:
    """The cells in their order, and each trial's place among them."""
    key = list(KEY)
    found = tried.groupby(key, as_index=False, sort=False).agg(
        dataset=("dataset", "first"),
        recipe=("recipe", "first"),
        metric=("metric", "max"),  # failed attempts may lack it
        method=("method", "min"),  # those that lack it are called "train", the last by the alphabet
        n_seeds=("seed", "nunique"),
    )
    found["trained"], found["cls"] = found["method"] != SCORE, found["task"] == "cls"
    found["first"] = range(len(found))
    order = ["trained", "cls", "dataset", "dataset_id", "task", "recipe", "recipe_id"]
    found = found.sort_values(order, ignore_index=True)
    place = np.argsort(found["first"].to_numpy())
    labels = found[[*key, "dataset", "recipe", "metric", "method", "n_seeds"]]
    return labels, place[tried.groupby(key, sort=False).ngroup().to_numpy()]
