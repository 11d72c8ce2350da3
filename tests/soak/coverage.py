"""Coverage of the intervals: how often they contain the true value, on simulated rankings.

    python -m tests.soak.coverage --simulations 1000

Prints a line for each statistic, truth and number of architectures: the share of simulations whose 95 % interval held
the truth, and those in which it lay below and above it; for tests the share that did not reject what is true at 5 %.
Normal copulas (ranks do not see more of a distribution), 1,000 resamples.  A nominal 95 % should lie between 93 and 97.
"""

import argparse
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from analysis.comparison.cells import mean_of_seeds
from analysis.statistics import ranks
from analysis.statistics.bootstrap import Resampling, estimate, of_pairs
from analysis.statistics.noise import Block, between, corrected, reliabilities, side_by_side
from analysis.statistics.proxy_differences import meng, overlapping, p_of_none, pool
from analysis.statistics.size import partials
from tests.analysis.known import Known, spearman

_HOW = Resampling(resamples=1000, confidence=0.95, seed=0)
_EXPANDED = Resampling(resamples=1000, confidence=0.95, seed=0, expanded=True)
Simulate = Callable[[np.random.Generator], tuple[float, float, float]]  # the truth and the bounds
Case = tuple[str, int, Simulate]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--simulations", type=int, default=1000)
    words.add_argument("--only", default="", help="cases whose name begins so")
    given = words.parse_args()
    print("| statistic | n | simulations | held | interval below | above |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    start = time.perf_counter()
    for name, n, simulate in cases():
        if name.startswith(given.only):
            rng = np.random.default_rng([zlib.crc32(name.encode()), n])
            # Chances to end up on either side differ by tenths of a percent between large n: fewer will do.
            many = given.simulations if n <= 200 else -(-given.simulations // 2)
            found = np.array([simulate(rng) for _ in range(many)])
            truth, low, high = found[np.isfinite(found).all(axis=1)].T
            held, below, above = ((low <= truth) & (truth <= high)).mean(), (high < truth).mean(), (low > truth).mean()
            print(f"| {name} | {n} | {len(truth)} | {held:.3f} | {below:.3f} | {above:.3f} |", flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s")


def cases() -> Iterator[Case]:
    """Every statistic with its grid of truths and sizes."""
    for r in (0.0, 0.5, 0.8, 0.95, 0.98, 0.99):
        for n in (10, 20, 50, 200, 500):
            yield f"rho = {spearman(r):.2f}", n, rho(r, n)
    for n in (50, 200):
        yield "rho, scores in 8 steps", n, rho(0.8, n, steps=8)
    for n in (20, 50, 200, 500):
        known = Known(in_quality=(0.9, 0.95), in_size=0.6)
        for k, name in enumerate(("params", "MACs", "both"), start=1):
            yield f"rho given {name} = {known.partial(0, 1, GIVEN[k]):.2f}", n, given_size(known, k, n)
    for noise in (0.5, 1.0):
        known = Known(noise=noise)
        for n in (20, 50, 200, 500):
            yield f"reliability = {known.reliability(1):.2f}, 3 seeds", n, of_seeds(known, 1, n)
            yield f"reliability of 3 = {known.reliability(3):.2f}, Spearman-Brown", n, of_seeds(known, 3, n)
    for quality in (0.7, 0.9, 1.0):
        for noise in (0.5, 1.0):
            known = Known(in_quality=(quality, quality), noise=noise)
            for n in (50, 200, 500):
                truth = spearman(known.between(0, 1, 0, 0))
                name = f"corrected = {truth:.2f}, ceiling {known.reliability(3):.2f}"
                yield name, n, attenuated(known, n)
    for n in (20, 50, 200):
        yield "rho of 2 of 3 seeds", n, two_of_three(Known(), n)
        yield "difference = 0", n, difference(Known(in_quality=(0.8, 0.8, 0.9)), n)
        yield "difference = 0.15", n, difference(Known(in_quality=(0.9, 0.7, 0.9)), n)
        for name, known in (("", Known(in_quality=(0.8, 0.8, 0.9))), (f" at rho {HIGH_RHO:.2f}", HIGH)):
            yield f"test of no difference{name}, bootstrap", n, rejects(known, n, 0)
            yield f"test of no difference{name}, Meng", n, rejects(known, n, 1)
        yield f"difference = 0 at rho {HIGH_RHO:.2f}", n, difference(HIGH, n)
    for n in (10, 30):
        yield "test of rho = 0, permutation", n, permuted(n)
    for spaces in (2, 5, 20):
        for spread in (0.0, 0.2):
            for kind in ("rho", "rho_fixed"):
                name = f"pooled {kind}, {spaces} spaces, tau {spread}"
                yield name, 100, over_spaces(spaces, spread, kind)


GIVEN = {1: [2], 2: [3], 3: [2, 3]}
HIGH = Known(in_quality=(0.98, 0.98, 0.99), noise=0.1)
HIGH_RHO = spearman(HIGH.between(0, 2))


def rho(r: float, n: int, steps: int | None = None) -> Simulate:
    def draw(n: int, rng: np.random.Generator) -> np.ndarray:
        x, own = rng.normal(size=(2, n))
        both = np.column_stack([x, r * x + np.sqrt(1 - r**2) * own])
        return both if steps is None else np.floor(both.clip(-2, 1.99) * steps / 4)

    truth = spearman(r)
    if steps is not None:
        truth = float(ranks.spearman(draw(2_000_000, np.random.default_rng(1)), [(0, 1)])[0][0])

    def simulate(rng: np.random.Generator) -> tuple[float, float, float]:
        found = estimate(draw(n, rng), of_pairs([(0, 1)]), _HOW)
        return truth, found.low[0], found.high[0]

    return simulate


def given_size(known: Known, k: int, n: int) -> Simulate:
    truth = known.partial(0, 1, GIVEN[k])

    def simulate(rng: np.random.Generator) -> tuple[float, float, float]:
        trained, sizes = known.draw(n, rng)
        found = estimate(np.column_stack([*trained.mean(axis=2), sizes]), partials, _HOW)
        return truth, found.low[k], found.high[k]

    return simulate


def of_seeds(known: Known, k: int, n: int) -> Simulate:
    def simulate(rng: np.random.Generator) -> tuple[float, float, float]:
        blocks = [Block(known.draw(n, rng)[0][0], 0, 1)]
        found = estimate(side_by_side(blocks), reliabilities(blocks, [k], ["brown" if k > 1 else "measured"]), _HOW)
        return known.reliability(k), found.low[0], found.high[0]

    return simulate


def attenuated(known: Known, n: int) -> Simulate:
    truth = spearman(known.between(0, 1, 0, 0))

    def simulate(rng: np.random.Generator) -> tuple[float, float, float]:
        x, y = known.draw(n, rng)[0]
        found = estimate(np.column_stack([mean_of_seeds(x), mean_of_seeds(y), x, y]), corrected(3, 3), _HOW)
        return truth, found.low[4], found.high[4]

    return simulate


def two_of_three(known: Known, n: int) -> Simulate:
    truth = spearman(known.between(0, 1, 2, 2))

    def simulate(rng: np.random.Generator) -> tuple[float, float, float]:
        blocks = [Block(scores, 0, 2) for scores in known.draw(n, rng)[0]]
        found = estimate(side_by_side(blocks), between(3), _HOW)
        return truth, found.low[0], found.high[0]

    return simulate


def difference(known: Known, n: int) -> Simulate:
    truth = spearman(known.between(0, 2)) - spearman(known.between(1, 2))

    def simulate(rng: np.random.Generator) -> tuple[float, float, float]:
        found = estimate(known.draw(n, rng)[0].mean(axis=2).T, overlapping, _EXPANDED)
        return truth, found.low[3], found.high[3]

    return simulate


def rejects(known: Known, n: int, which: int) -> Simulate:
    """As an interval that holds 0 unless the test rejects at 5 %."""

    def simulate(rng: np.random.Generator) -> tuple[float, float, float]:
        found = estimate(known.draw(n, rng)[0].mean(axis=2).T, overlapping, _EXPANDED)
        p = meng(*found.value[:3], n) if which == 1 else p_of_none(found, n)
        return 0.0, (1.0 if p < 0.05 else -1.0), 2.0

    return simulate


def permuted(n: int) -> Simulate:
    def simulate(rng: np.random.Generator) -> tuple[float, float, float]:
        p = ranks.permutation_p(rng.normal(size=(n, 2)), [(0, 1)], 1000, int(rng.integers(2**31)))[0]
        return 0.0, (1.0 if p <= 0.05 else -1.0), 2.0

    return simulate


def over_spaces(spaces: int, spread: float, kind: str) -> Simulate:
    """A true Fisher z of each space, scattered about one that is common."""
    middle = np.arctanh(spearman(0.8))

    def simulate(rng: np.random.Generator) -> tuple[float, float, float]:
        true = np.tanh(middle + spread * rng.normal(size=spaces))
        r = 2 * np.sin(np.pi * true / 6)
        x, own = rng.normal(size=(2, 100, spaces))
        values = np.concatenate([x, r * x + np.sqrt(1 - r**2) * own], axis=1)
        found = pool(ranks.spearman(values, [(k, spaces + k) for k in range(spaces)])[0], np.full(spaces, 100.0), 0.95)
        low, high = ("rho_low", "rho_high") if kind == "rho" else ("fixed_low", "fixed_high")
        return float(np.tanh(middle)), found[low], found[high]

    return simulate


if __name__ == "__main__":
    main()
