"""Early stopping: rankings after each epoch, their costs, and the cheapest sufficient budget."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import Known
from made_up import population, row, write_run
from scipy import stats

import analysis
from analysis.statistics.early import cheapest_of

pytestmark = pytest.mark.filterwarnings("error")


def curves(scores: np.ndarray, task: str = "rot", seed: int = 1, **more: object) -> list[dict[str, object]]:
    """Rows with these evaluations (architectures, epochs), a second an epoch for the first, two for the next, ..."""
    return [
        row(
            task=task, arch=f"a{k:02d}", seed=seed, curve_test_score=list(line), score_best=np.nanmax(line),
            score_final=line[-1], curve_seconds=[float(k + 1)] * len(line), macs=100 * (k + 1),
        ) | more
        for k, line in enumerate(scores)
    ]  # fmt: skip


@settings(max_examples=20)
@given(st.integers(5, 9), st.integers(1, 4), st.integers(0, 99), st.booleans())
def test_every_epoch_is_ranked_by_what_was_known_then(n: int, epochs: int, rng: int, best: bool) -> None:
    draw = np.random.default_rng(rng)
    rot, cls = draw.normal(size=(2, n, epochs)), draw.normal(size=(n, 1))
    df = pd.DataFrame(curves(rot[0]) + curves(rot[1], seed=2) + curves(cls, "cls"))
    found = analysis.early_stopping(
        df, resamples=0, score="score_best" if best else "score_final", proxy={"task": "rot"}
    )
    assert found["epoch"].tolist() == list(range(1, epochs + 1))
    for line in found.itertuples():
        upto = rot[:, :, : line.epoch]
        known = (upto.max(axis=2) if best else upto[:, :, -1]).mean(axis=0)
        assert line.rho == pytest.approx(stats.spearmanr(known, cls[:, 0]).statistic)
        assert line.seconds == pytest.approx(2 * line.epoch * (n + 1) / 2)
        assert line.macs == pytest.approx(2 * line.epoch * 100 * (n + 1) / 2)
        assert line.share == pytest.approx(line.epoch / epochs)
    assert found["rho_full"].tolist() == [found["rho"].iloc[-1]] * epochs


def test_the_last_epoch_is_what_correlate_says_and_a_cell_is_its_own_proxy(tmp_path: Path) -> None:
    known = Known(in_quality=(0.7, 0.9))
    df = known.rows(40, np.random.default_rng(1))
    df["score_best"] = df["curve_test_score"].map(max)
    found = analysis.early_stopping(df, resamples=200).set_index(["proxy_task", "epoch"])
    whole = analysis.correlate(df, resamples=200).iloc[0]
    assert (
        found.loc[("rot", 5), ["rho", "rho_low", "rho_high"]].tolist() == whole[["rho", "rho_low", "rho_high"]].tolist()
    )
    assert found.loc[("cls", 5), "rho"] == 1
    assert set(found["target_task"]) == {"cls"}
    run = write_run(tmp_path / "x", population(6, tasks=("rot", "cls")))
    assert len(analysis.early_stopping(analysis.load(run, curves=True))) == 4
    with pytest.raises(LookupError, match="curves=True"):
        analysis.early_stopping(analysis.load(run))


def test_the_truth_of_a_known_study_is_found() -> None:
    known = Known()
    df = known.rows(1500, np.random.default_rng(0))
    found = analysis.early_stopping(df, score="score_final", proxy={"task": "rot"}, resamples=60)
    truth = [known.at_epoch(0, 1, e) for e in found["epoch"]]
    assert found["rho"].tolist() == pytest.approx(truth, abs=0.04)
    assert (found["rho_low"] < found["rho"]).all()
    best = cheapest_of(found, 0.9).iloc[0]
    assert best["epoch"] == next(e for e, r in enumerate(truth, start=1) if r >= 0.9 * truth[-1])
    assert best["share"] == pytest.approx(best["epoch"] / 5)


def test_the_cheapest_budget_is_where_rho_stays() -> None:
    rho = [0.9, 0.1, 0.78, 0.85, 0.8]
    cell = {f"{side}_{name}": "" for side in ("proxy", "target") for name in ("dataset_id", "task", "recipe_id")}
    table = pd.DataFrame([{"space": "s", "epoch": e, "rho": r, "rho_full": 0.8} | cell for e, r in enumerate(rho, 1)])
    assert cheapest_of(table).iloc[0][["epoch", "kept"]].tolist() == [3, pytest.approx(0.78 / 0.8)]
    assert cheapest_of(table, 1.0)["epoch"].tolist() == [4]
    assert cheapest_of(table.assign(rho=-table["rho"], rho_full=-0.8)).empty
    with pytest.raises(ValueError, match="keep"):
        cheapest_of(table, 1.5)


def test_trainings_that_ended_early_keep_their_score_and_cost_what_they_took() -> None:
    rot = [[1, 2, 3], [2], [np.nan, 1, 5], [4, 4, 4], [np.nan]]
    cls = np.arange(5.0)[:, None]
    rows = [
        row(
            task="rot",
            arch=f"a{k:02d}",
            curve_test_score=c,
            curve_seconds=[1.0] * len(c),
            score_best=np.nanmax([*c, -9]),
        )
        for k, c in enumerate(rot)
    ]
    df = pd.DataFrame(rows + curves(cls, "cls"))
    found = analysis.early_stopping(df, proxy={"task": "rot"}, resamples=0)
    ranks = [[1, 2, -1, 4, -1], [2, 2, 1, 4, -1], [3, 2, 5, 4, -9]]
    assert found["rho"].tolist() == pytest.approx([stats.spearmanr(r, cls[:, 0]).statistic for r in ranks])
    assert found["seconds"].tolist() == pytest.approx([1, 8 / 5, 11 / 5])
    assert found["macs"].tolist() == pytest.approx([10_000, 16_000, 22_000])
    last = analysis.early_stopping(df, proxy={"task": "rot"}, resamples=0, score="score_final")
    ranks = [[1, 2, -1, 4, -1], [2, 2, 1, 4, -1], [3, 2, 5, 4, -1]]
    assert last["rho"].tolist() == pytest.approx([stats.spearmanr(r, cls[:, 0]).statistic for r in ranks])


def test_many_epochs_are_thinned_and_those_asked_for_are_given() -> None:
    scores = np.random.default_rng(0).normal(size=(6, 600))
    df = pd.DataFrame(curves(scores, "cls"))
    thinned = analysis.early_stopping(df, resamples=0)["epoch"].tolist()
    assert (thinned[0], thinned[-1]) == (1, 600)
    assert len(thinned) <= 24
    assert analysis.early_stopping(df, resamples=0, epochs=[7, 600, 7, 9000])["epoch"].tolist() == [7, 600]
    with pytest.raises(LookupError, match="no cell"):
        analysis.early_stopping(df, proxy={"task": "rot"})
