"""How often the test and the interval of `similarity` are right: `python -m tests.soak.similarity`.

Cells of six edges and five operations. The searches of a group draw each edge from one distribution, of which the
true agreement is the sum of squares; without a preference it is uniform, as that of random cells.
"""

import sys
from typing import Any

import numpy as np

from analysis.comparison.options import Resampling
from analysis.statistics.similarity import OBJECTIVES, SEEDS, Kind, jackknife, measured

EDGES, OPS, RANDOM = 6, 5, 50
NOTHING: dict[str, str] = {}


def table(cells: Any) -> Any:
    """(n, n) the share of equal edges of cells (n, edges)."""
    return (cells[:, None] == cells[None]).mean(axis=2)


def group(n: int, preference: float, rng: np.random.Generator) -> tuple[Any, float]:
    """n cells (n, edges), each edge with probability `preference` its favourite, and their true agreement."""
    favourites = rng.integers(OPS, size=EDGES)
    drawn = rng.integers(OPS, size=(n, EDGES))
    cells = np.where(rng.random((n, EDGES)) < preference, favourites, drawn)
    p = preference + (1 - preference) / OPS
    return cells, p**2 + (OPS - 1) * ((1 - preference) / OPS) ** 2


def within(n: int) -> Kind:
    """All pairs of n searches."""
    return Kind(NOTHING, np.column_stack(np.triu_indices(n, 1)), np.arange(n), "search")


def rejected(n: int, preference: float, repeats: int) -> float:
    """The share of groups of n searches whose p is at most 0.05."""
    found = []
    for k in range(repeats):
        rng = np.random.default_rng([k, n])
        cells, _ = group(n, preference, rng)
        random = rng.integers(OPS, size=(RANDOM, EDGES))
        both = table(np.concatenate([cells, random]))
        found.append(measured(SEEDS, both, 1, within(n), n, Resampling(199, seed=k))[f"{SEEDS}_p"] <= 0.05)
    return float(np.mean(found))


def rejected_between(n: int, objectives: int, preference: float, repeats: int) -> float:
    """The same between objectives, whose searches agree with one another but not with those of others."""
    found = []
    for k in range(repeats):
        rng = np.random.default_rng([k, n, objectives])
        cells = np.concatenate([group(n, preference, rng)[0] for _ in range(objectives)])
        units = np.repeat(np.arange(objectives), n)
        pairs = np.column_stack(np.triu_indices(len(cells), 1))
        pairs = pairs[units[pairs[:, 0]] != units[pairs[:, 1]]]
        both = table(np.concatenate([cells, rng.integers(OPS, size=(RANDOM, EDGES))]))
        kind = Kind(NOTHING, pairs, units, "objective")
        p = measured(OBJECTIVES, both, 1, kind, len(cells), Resampling(199, seed=k))[f"{OBJECTIVES}_p"]
        found.append(p <= 0.05)
    return float(np.mean(found))


def covered(n: int, preference: float, repeats: int) -> float:
    """The share of intervals that hold the true agreement, of those that there are."""
    found = []
    for k in range(repeats):
        cells, true = group(n, preference, np.random.default_rng([k, n]))
        low, high = jackknife(table(cells), within(n).pairs, np.arange(n), 0.95, (0.0, 1.0))
        if not np.isnan(low):
            found.append(low <= true <= high)
    return float(np.mean(found))


def main(repeats: int = 2000) -> None:
    """Prints all shares in percent."""
    for n in (3, 4, 8, 16):
        level, power = rejected(n, 0.0, repeats), rejected(n, 0.4, repeats // 4)
        ranges = [covered(n, p, repeats) for p in (0.0, 0.4, 0.7)]
        print(
            f"n = {n}: level {100 * level:.1f}, power {100 * power:.0f}", [f"{100 * c:.1f}" for c in ranges], flush=True
        )
    for objectives in (2, 4):
        shares = [rejected_between(4, objectives, p, repeats) for p in (0.0, 0.7)]
        print(f"{objectives} objectives: level {[f'{100 * s:.1f}' for s in shares]}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
