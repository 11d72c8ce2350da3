"""Whether a faster mode of training ranks architectures like the mode that it replaces.

Two seeds of one mode do not agree perfectly, so the agreement between modes is compared with that between seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import Array, frame
from analysis.comparison.trials import gather
from analysis.statistics import ranks
from analysis.statistics.bootstrap import FEWEST_RESAMPLED, bounds

Pairs = list[tuple[int, int]]

_AGREEMENT = (
    dict.fromkeys(["comparison", "x", "y"], "str")
    | {"pairs": "int64"}
    | dict.fromkeys(["rho", "rho_low", "rho_high", "gap", "gap_low", "gap_high"], "float64")
)
_SCORES = (
    {"mode": "str", "n": "int64", "diverged": "int64"}
    | dict.fromkeys(["mean", "std", "seed_std"], "float64")
    | dict.fromkeys(["difference", "difference_std"], "float64")
)


@dataclass(frozen=True, eq=False)
class Fidelity:
    """The agreement between modes of training and between seeds; see `fidelity` for the columns of both tables."""

    agreement: pd.DataFrame
    scores: pd.DataFrame
    modes: tuple[str, ...]
    seeds: tuple[int, ...]
    n: int  # architectures that succeeded in every mode with every seed
    n_dropped: int  # other architectures
    confidence: float
    resamples: int


def fidelity(
    df: pd.DataFrame,
    modes: Sequence[str],
    *,
    mode: str = "precision",
    score: str = "score_best",
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Fidelity:
    """How well the rankings of `modes` agree; the first mode is the one to be replaced.

    `df` has one row per attempt (`load`) at architectures of one space on one task, trained in every mode with the
    same two or more seeds; column `mode` identifies the modes. Architectures that succeeded in every mode with every
    seed are compared (`n`); the others are counted in `n_dropped`. An architecture without a finite score ranks last.

    `agreement` has one row per comparison: `rho`, Spearman's, averaged over `pairs` pairs of rankings of modes `x` and
    `y`, and the interval `rho_low` to `rho_high`, from resampled architectures. `comparison` is `seeds` (two seeds of
    one mode), `other_seeds` (two modes with different seeds), `same_seed` (two modes with one seed; they share initial
    weights and batches, which makes rho too high) or `seed_means` (two modes, scores averaged over seeds first). The
    fair comparison is `other_seeds` with `seeds`: `gap` is its rho less that between seeds of the first mode, with
    `gap_low` and `gap_high` from the same resamples; NaN in the other rows.

    `scores` has one row per `mode`: `mean` and `std` over architectures of the scores averaged over seeds, `seed_std`,
    the standard deviation of one training's score around the mean over its seeds, `difference` and `difference_std`,
    mean and standard deviation over architectures of the score less that of the first mode, and the number of
    `diverged` trials. These use the `n` architectures without a diverged trial.

    Values that cannot be computed are NaN. Raises ValueError for fewer than two seeds or modes.
    """
    table, seeds, dropped = _table(df, modes, mode, score)
    each = table.to_numpy().reshape(len(table), len(modes), len(seeds))
    means = each.mean(axis=2)
    values = np.concatenate([table.to_numpy(), means], axis=1)
    lines = _comparisons(modes, len(seeds))
    drawn = _resampled(values, [pairs for *_, pairs in lines], resamples, seed)
    first, agreement = 0, []
    rhos = [float(ranks.spearman(values, pairs)[0].mean()) for *_, pairs in lines]
    for k, (what, x, y, pairs) in enumerate(lines):
        low, high = bounds(drawn[k], confidence)
        line: dict[str, Any] = dict.fromkeys(_AGREEMENT, np.nan)
        line |= {"comparison": what, "x": x, "y": y, "pairs": len(pairs)}
        line |= {"rho": rhos[k], "rho_low": low, "rho_high": high}
        if what == "other_seeds":
            low, high = bounds(drawn[k] - drawn[first], confidence)
            line |= {"gap": rhos[k] - rhos[first], "gap_low": low, "gap_high": high}
        agreement.append(line)
    return Fidelity(
        frame(agreement, _AGREEMENT),
        frame(_scores(modes, each), _SCORES),
        tuple(modes),
        tuple(seeds),
        len(table),
        dropped,
        confidence,
        resamples,
    )


def _table(df: pd.DataFrame, modes: Sequence[str], mode: str, score: str) -> tuple[pd.DataFrame, list[int], int]:
    """Scores, architectures x (mode, seed), modes in their order; the seeds; the number of incomplete architectures."""
    trials = gather(df, score)
    if mode not in df:
        raise LookupError(f"no column {mode!r} that identifies the modes")
    trials["mode"] = df.reset_index(drop=True)[mode].reindex(trials.index)
    trials = trials[trials["mode"].isin(modes)]
    one = trials[["space", "dataset_id", "task"]].drop_duplicates()
    if len(one) > 1:
        raise ValueError(f"expected rows of one space, dataset and task; there are {len(one)}")
    seeds = sorted(int(s) for s in trials["seed"].unique())
    if len(seeds) < 2 or len(set(modes)) < 2:
        raise ValueError(f"expected at least two seeds and two modes; there are {len(seeds)} and {len(set(modes))}")
    ok = trials[trials["ok"]]
    wide = ok.pivot_table(index="arch", columns=["mode", "seed"], values="value", aggfunc="mean")
    wide = wide.reindex(columns=pd.MultiIndex.from_product([list(modes), seeds])).dropna()
    return wide, seeds, trials["arch"].nunique() - len(wide)


def _comparisons(modes: Sequence[str], seeds: int) -> list[tuple[str, str, str, Pairs]]:
    """The comparisons: name, both modes, and pairs of columns; columns are (mode, seed), then the means of modes."""

    def column(of_mode: int, of_seed: int) -> int:
        return of_mode * seeds + of_seed

    lines: list[tuple[str, str, str, Pairs]] = []
    for m, name in enumerate(modes):
        lines.append(("seeds", name, name, [(column(m, a), column(m, b)) for a, b in combinations(range(seeds), 2)]))
    for m, name in enumerate(modes[1:], start=1):
        other = [(column(0, a), column(m, b)) for a, b in permutations(range(seeds), 2)]
        same = [(column(0, s), column(m, s)) for s in range(seeds)]
        of_means = [(len(modes) * seeds, len(modes) * seeds + m)]
        for what, pairs in (("other_seeds", other), ("same_seed", same), ("seed_means", of_means)):
            lines.append((what, modes[0], name, pairs))
    return lines


def _resampled(values: Array, groups: list[Pairs], resamples: int, seed: int) -> list[Array]:
    """The mean rho of each group of pairs in each resample of architectures; NaN for too few of them."""
    n = len(values)
    if n < FEWEST_RESAMPLED:
        return [np.full(resamples, np.nan) for _ in groups]
    picks = np.random.default_rng(seed).integers(0, n, (resamples, n))
    return [ranks.resampled(values, pairs, picks).mean(axis=0) for pairs in groups]


def _scores(modes: Sequence[str], each: Array) -> list[dict[str, Any]]:
    """The rows of `scores`, from scores (A, modes, seeds); architectures with a diverged trial are left out."""
    sound = each[np.isfinite(each).all(axis=(1, 2))]
    means = sound.mean(axis=2)
    enough = len(sound) > 1
    lines = []
    for m, name in enumerate(modes):
        less = means[:, m] - means[:, 0]
        about = sound[:, m].var(axis=1, ddof=1)
        lines.append(
            {
                "mode": name,
                "n": len(sound),
                "diverged": int((~np.isfinite(each[:, m])).sum()),
                "mean": means[:, m].mean() if enough else np.nan,
                "std": means[:, m].std(ddof=1) if enough else np.nan,
                "seed_std": np.sqrt(about.mean()) if enough else np.nan,
                "difference": less.mean() if enough else np.nan,
                "difference_std": less.std(ddof=1) if enough else np.nan,
            }
        )
    return lines
