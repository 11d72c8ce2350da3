"""The test of a difference of two proxies: its level is 5 % at most, it has power, and it agrees with its interval.

Simulated rankings from seeds; less than a minute of CPU time."""

import numpy as np
import pytest

from analysis.statistics.bootstrap import Resampling, estimate
from analysis.statistics.proxy_differences import meng, overlapping, p_of_none

pytestmark = pytest.mark.soak
_HOW = Resampling(resamples=1000, expanded=True)
_MANY = 300


def draw(a: float, b: float, n: int, rng: np.random.Generator, clusters: bool) -> np.ndarray:
    """(n, 3) proxies a and b and their target, normal about one cloud or two, with these Spearman's rho with it."""
    target = rng.normal(size=n)
    if clusters:
        target = (target / 2 + rng.choice([-2, 2], n)) / np.sqrt(4.25)
    shares = 2 * np.sin(np.pi * np.array([a, b]) / 6)[:, None]
    proxies = shares * target + np.sqrt(1 - shares**2) * rng.normal(size=(2, n))
    return np.column_stack([*proxies, target])


@pytest.mark.parametrize(
    ("a", "b", "n", "clusters", "power"),
    [
        (0.5, 0.5, 20, False, 0),
        (0.8, 0.8, 10, False, 0),
        (0.9, 0.9, 20, True, 0),
        (0.95, 0.95, 20, False, 0),
        (0.98, 0.98, 50, False, 0),
        (0.98, 0.8, 20, False, 0.6),
        (0.97, 0.4, 20, False, 0.9),
        (0.95, 0.7, 20, False, 0.55),
        (0.9, 0.6, 20, False, 0.3),
    ],
)
def test_p_keeps_its_level_and_agrees_with_its_interval(
    a: float, b: float, n: int, clusters: bool, power: float
) -> None:
    rng = np.random.default_rng([int(100 * a), int(100 * b), n, clusters])
    rejected, excluded, by_meng = np.zeros((3, _MANY), bool)
    for k in range(_MANY):
        found = estimate(draw(a, b, n, rng, clusters), overlapping, _HOW)
        rejected[k] = p_of_none(found, n) < 0.05
        excluded[k] = found.low[3] > 0 or found.high[3] < 0
        by_meng[k] = meng(*found.value[:3], n) < 0.05
    assert (rejected != excluded).mean() <= 0.01
    if power:
        assert rejected.mean() > power
    else:
        # One in twenty of 300, and three standard errors.
        assert max(rejected.mean(), by_meng.mean()) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / _MANY)
