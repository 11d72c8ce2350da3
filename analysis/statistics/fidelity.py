"""Whether a faster mode of training ranks architectures as the mode it replaces does.

A ranking is only as sharp as its seeds: how far two seeds of one mode agree is what another mode can be held to.
"""

from collections.abc import Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import Array
from analysis.comparison.trials import gather
from analysis.statistics import ranks
from analysis.statistics.bootstrap import FEWEST_RESAMPLED, bounds

Pairs = list[tuple[int, int]]


def fidelity(
    df: pd.DataFrame,
    modes: Sequence[str],
    *,
    mode: str = "precision",
    score: str = "score_best",
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """How the rankings of `modes` agree, the first of which is the one to be replaced, as JSON can hold it.

    `df` has one line per attempt (`load`) at architectures of one space on one task, trained in every mode with the
    same two or more seeds; column `mode` tells the modes apart. Used are the architectures that succeeded in every
    mode with every seed: `n`, and `n_dropped` others. What never had a finite score ranks below all.

    `agreement`: one row per comparison with `rho`, Spearman's, averaged over `pairs` of rankings, and `low`, `high`
    from resampled architectures. Comparisons are `seeds` (two seeds of one mode), `other_seeds` (two modes, never
    with one seed), `same_seed` (two modes; initial weights and batches are shared, so it flatters the mode) and
    `seed_means` (two modes, scores averaged over seeds first). `other_seeds` is what compares with `seeds`: `gap` is
    its rho less that of the first mode's seeds, with `gap_low` and `gap_high` from the same resamples.

    `scores`: one row per mode with `mean` and `sd` over architectures of the scores averaged over seeds, `diverged`
    trials, and `less` and `less_sd`, mean and deviation of the difference to the first mode, and `seed_sd`, the
    deviation of one training's score about the mean of its seeds. Architectures with a diverged trial are left out
    of these alone. What cannot be said is None. Raises ValueError for fewer than two seeds or modes.
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
        line = {"what": what, "x": x, "y": y, "pairs": len(pairs), "rho": rhos[k], "low": low, "high": high}
        if what == "other_seeds":
            low, high = bounds(drawn[k] - drawn[first], confidence)
            line |= {"gap": rhos[k] - rhos[first], "gap_low": low, "gap_high": high}
        agreement.append(line)
    return {
        "modes": list(modes),
        "seeds": seeds,
        "n": len(table),
        "n_dropped": dropped,
        "confidence": confidence,
        "resamples": resamples,
        "agreement": [_plain(line) for line in agreement],
        "scores": [_plain(line) for line in _scores(modes, each)],
    }


def _table(df: pd.DataFrame, modes: Sequence[str], mode: str, score: str) -> tuple[pd.DataFrame, list[int], int]:
    """Architectures x (mode, seed), modes in their order; the seeds; how many architectures lack something."""
    trials = gather(df, score)
    if mode not in df:
        raise LookupError(f"no column {mode!r} to tell the modes apart")
    trials["mode"] = df.reset_index(drop=True)[mode].reindex(trials.index)
    trials = trials[trials["mode"].isin(modes)]
    one = trials[["space", "dataset_id", "task"]].drop_duplicates()
    if len(one) > 1:
        raise ValueError(f"rows of one space, dataset and task are needed; there are {len(one)}")
    seeds = sorted(int(s) for s in trials["seed"].unique())
    if len(seeds) < 2 or len(set(modes)) < 2:
        raise ValueError(f"two seeds and two modes at least are compared; there are {len(seeds)} and {len(set(modes))}")
    ok = trials[trials["ok"]]
    wide = ok.pivot_table(index="arch", columns=["mode", "seed"], values="value", aggfunc="mean")
    wide = wide.reindex(columns=pd.MultiIndex.from_product([list(modes), seeds])).dropna()
    return wide, seeds, trials["arch"].nunique() - len(wide)


def _comparisons(modes: Sequence[str], seeds: int) -> list[tuple[str, str, str, Pairs]]:
    """What is compared with what, as pairs of columns: (mode, seed) by mode, then the means of the modes."""

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
    """Scores (n, modes, seeds) of the modes beside those of the first, over architectures that never diverged."""
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
                "sd": means[:, m].std(ddof=1) if enough else np.nan,
                "seed_sd": np.sqrt(about.mean()) if enough else np.nan,
                "less": less.mean() if enough else np.nan,
                "less_sd": less.std(ddof=1) if enough else np.nan,
            }
        )
    return lines


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    """None where there is no finite number."""
    return {
        key: (float(value) if np.isfinite(value) else None) if isinstance(value, float) else value
        for key, value in line.items()
    }
