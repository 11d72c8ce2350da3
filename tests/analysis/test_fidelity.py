"""Agreement between modes and between seeds: compared with SciPy, and the rules about what counts."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import failed, row
from scipy import stats

import analysis
from analysis.statistics.fidelity import Fidelity

pytestmark = pytest.mark.filterwarnings("error")
MODES = ("fp32", "bf16")


def frame(scores: np.ndarray[Any, Any], modes: tuple[str, ...] = MODES) -> pd.DataFrame:
    """Scores (architectures, modes, seeds) as rows, a mode a recipe."""
    return pd.DataFrame(
        [
            row(arch=f"a{k}", seed=seed + 1, precision=mode, recipe_id=mode, score_best=scores[k, m, seed])
            for k, (m, mode), seed in itertools.product(
                range(len(scores)), enumerate(modes), range(scores.shape[2])
            )
        ]
    )  # fmt: skip


def line(found: Fidelity, comparison: str, y: str = "bf16") -> Any:
    table = found.agreement
    return table[(table["comparison"] == comparison) & (table["y"] == y)].iloc[0]


def noisy(n: int, seeds: int = 2, modes: int = 2) -> np.ndarray[Any, Any]:
    """A hidden quality and as much noise."""
    draw = np.random.default_rng(3)
    return draw.normal(size=(n, 1, 1)) + draw.normal(size=(n, modes, seeds))


def test_every_rho_is_the_mean_over_the_pairs_it_names() -> None:
    x = noisy(11, seeds=3)

    def rho(*pairs: tuple[Any, Any]) -> float:
        return float(np.mean([stats.spearmanr(a, b).statistic for a, b in pairs]))

    found = analysis.fidelity(frame(x).sample(frac=1, random_state=1), MODES)
    a, b = x[:, 0].T, x[:, 1].T
    expected = {
        ("seeds", "fp32"): (3, rho((a[0], a[1]), (a[0], a[2]), (a[1], a[2]))),
        ("seeds", "bf16"): (3, rho((b[0], b[1]), (b[0], b[2]), (b[1], b[2]))),
        ("other_seeds", "bf16"): (6, rho(*((a[s], b[t]) for s in range(3) for t in range(3) if s != t))),
        ("same_seed", "bf16"): (3, rho(*zip(a, b, strict=True))),
        ("seed_means", "bf16"): (1, rho((a.mean(axis=0), b.mean(axis=0)))),
    }
    assert set(zip(found.agreement["comparison"], found.agreement["y"], strict=True)) == set(expected)
    for (what, y), (pairs, value) in expected.items():
        got = line(found, what, y)
        assert got["pairs"] == pairs
        assert got["rho"] == pytest.approx(value, abs=1e-12)
        assert got["rho_low"] < got["rho"] < got["rho_high"]
    other = line(found, "other_seeds")
    assert other["gap"] == pytest.approx(other["rho"] - line(found, "seeds", "fp32")["rho"])
    assert (found.n, found.n_dropped, found.seeds) == (11, 0, (1, 2, 3))
    again = analysis.fidelity(frame(x), MODES)  # the order of rows changes nothing
    pd.testing.assert_frame_equal(again.agreement, found.agreement)
    pd.testing.assert_frame_equal(again.scores, found.scores)


def test_a_mode_that_changes_nothing_is_no_worse_than_a_seed() -> None:
    x = noisy(30)
    x[:, 1] = x[:, 0]
    found = analysis.fidelity(frame(x), MODES)
    assert line(found, "same_seed")["rho"] == line(found, "seed_means")["rho"] == 1
    other = line(found, "other_seeds")
    assert other["rho"] == pytest.approx(line(found, "seeds", "fp32")["rho"])
    assert other["gap"] == other["gap_low"] == other["gap_high"] == pytest.approx(0)


def test_a_mode_that_ranks_the_other_way_round_shows() -> None:
    x = np.arange(20)[:, None, None] + np.random.default_rng(0).normal(size=(20, 2, 2))
    x[:, 1] *= -1
    other = line(analysis.fidelity(frame(x), MODES), "other_seeds")
    assert other["rho"] < -0.9
    assert other["gap_high"] < -1


def test_differences_of_scores() -> None:
    x = np.array([[[0.5, 0.7], [0.6, 0.6]], [[0.2, 0.4], [0.5, 0.3]], [[0.8, 0.8], [0.9, 0.7]]])
    first, second = analysis.fidelity(frame(x), MODES).scores.to_dict("records")
    assert first["mean"] == pytest.approx((0.6 + 0.3 + 0.8) / 3)
    assert first["std"] == pytest.approx(np.std([0.6, 0.3, 0.8], ddof=1))
    assert first["seed_std"] == pytest.approx(np.sqrt((0.02 + 0.02 + 0) / 3))
    assert (first["difference"], first["difference_std"]) == (0, 0)
    assert second["difference"] == pytest.approx((0 + 0.1 + 0) / 3)
    assert second["difference_std"] == pytest.approx(np.std([0, 0.1, 0], ddof=1))


def test_what_lacks_a_training_is_dropped_and_what_diverged_ranks_last() -> None:
    x = noisy(8)
    whole = frame(x)
    df = whole[~((whole["arch"] == "a0") & (whole["precision"] == "bf16") & (whole["seed"] == 2))]
    lost = failed(arch="a0", seed=2, precision="bf16", recipe_id="bf16")
    df = pd.concat([df, pd.DataFrame([lost])], ignore_index=True)
    df.loc[(df["arch"] == "a1") & (df["precision"] == "bf16"), "score_best"] = np.nan
    found = analysis.fidelity(df, MODES)
    assert (found.n, found.n_dropped) == (7, 1)
    x[1, 1] = -1000
    rho = stats.spearmanr(x[1:, 1, 0], x[1:, 1, 1]).statistic
    assert line(found, "seeds", "bf16")["rho"] == pytest.approx(rho)
    assert list(found.scores["diverged"]) == [0, 2]
    assert list(found.scores["n"]) == [6, 6]
    assert found.scores["mean"][0] == pytest.approx(x[2:, 0].mean())


def test_every_mode_is_held_against_the_first() -> None:
    modes = ("fp32", "tf32", "bf16")
    found = analysis.fidelity(frame(noisy(6, modes=3), modes), modes)
    between = found.agreement[found.agreement["comparison"] == "other_seeds"]
    assert list(zip(between["x"], between["y"], strict=True)) == [("fp32", "tf32"), ("fp32", "bf16")]


def test_too_little_says_nothing() -> None:
    found = analysis.fidelity(frame(noisy(4)), MODES)
    assert np.isfinite(line(found, "seeds")["rho"])
    assert np.isnan([line(found, "seeds")["rho_low"], line(found, "other_seeds")["gap_low"]]).all()
    with pytest.raises(ValueError, match="at least two seeds and two modes"):
        analysis.fidelity(frame(noisy(4, seeds=1)), MODES)
    with pytest.raises(ValueError, match="one space, dataset and task"):
        analysis.fidelity(pd.concat([frame(noisy(4)), frame(noisy(4)).assign(task="rot", trial_id=None)]), MODES)
    with pytest.raises(LookupError, match="'mode'"):
        analysis.fidelity(frame(noisy(4)), MODES, mode="mode")
