"""Whether a ranking is more than luck: rates over simulated cells, and what is said of each kind of cell."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import population

import analysis


def cells(
    many: int, n: int, images: int, expected: Any, *, chance: float, seeds: int = 1, epochs: int = 1, rng: int = 0
) -> pd.DataFrame:
    """`many` cells (as tasks) of n architectures; each score is a count of correct images, the best of some epochs.

    `expected` (many, n) are the accuracies that the architectures have on infinitely many images.
    """
    draw = np.random.default_rng(rng)
    scores = draw.binomial(images, np.broadcast_to(expected, (epochs, seeds, many, n))) / images
    seed, cell, arch = np.indices((seeds, many, n)).reshape(3, -1)
    return pd.DataFrame(
        {
            "space": "s",
            "arch": arch.astype(str),
            "dataset": "d",
            "task": cell.astype(str),
            "metric": "top1",
            "seed": seed,
            "score_best": scores.max(axis=0).ravel(),
            "score_final": scores[-1].ravel(),
            "test_images": images,
            "chance": chance,
        }
    )


def passes(df: pd.DataFrame) -> float:
    """The share of cells that count as signal."""
    return float(analysis.signal(df)["signal"].fillna(False).mean())


@pytest.mark.parametrize(
    ("n", "images", "many"),
    [
        (12, 100, 50),
        (48, 1000, 15),
        *(pytest.param(*case, marks=pytest.mark.soak) for case in ((12, 100, 200), (48, 1000, 60), (300, 10_000, 20))),
    ],
)
@pytest.mark.parametrize(
    ("seeds", "epochs", "level", "chance"),
    [(1, 1, 0.5, 0.1), (1, 10, 0.5, 0.1), (2, 1, 0.5, 0.1), (1, 10, 1 / 24, 1 / 24)],
)
def test_of_rankings_by_luck_at_most_one_in_twenty_passes(
    n: int, images: int, many: int, seeds: int, epochs: int, level: float, chance: float
) -> None:
    """All architectures are alike: they guess, or have learned the same."""
    found = passes(cells(many, n, images, level, chance=chance, seeds=seeds, epochs=epochs))
    error = np.sqrt(0.05 * 0.95 / many)
    assert found <= 0.05 + 3 * error


def test_real_differences_are_seen() -> None:
    """With a standard deviation of 3 % in 1,000 images, or of 1 % in 10,000, n = 48."""
    draw = np.random.default_rng(1)
    for images, spread in ((1000, 0.03), (10_000, 0.01)):
        expected = draw.normal(0.5, spread, (30, 48))
        assert passes(cells(30, 48, images, expected, chance=0.1)) > 0.9


def test_what_is_said_of_each_kind_of_cell() -> None:
    draw = np.random.default_rng(2)
    kinds = {
        "guess": cells(1, 20, 384, 1 / 24, chance=1 / 24),
        "alike": cells(1, 20, 384, 0.9, chance=0.1, rng=3),
        "differ": cells(1, 20, 384, draw.uniform(0.3, 0.7, (1, 20)), chance=0.1),
        "easy": cells(1, 20, 384, 1.0, chance=0.1),
        "seeds": cells(1, 20, 384, 0.5, chance=0.1, seeds=2),
        "imported": cells(1, 20, 384, 0.5, chance=0.1).drop(columns=["test_images", "chance"]),
        "dense": cells(1, 20, 384, draw.normal(0.5, 0.01, (1, 20)), chance=0.1).assign(
            test_targets=384 * 1024, score_best=draw.normal(0.5, 0.01, 20)
        ),
    }
    found = analysis.signal(pd.concat([df.assign(space=kind) for kind, df in kinds.items()])).set_index("space")
    assert found["reason"].to_dict() == {
        "guess": "not above chance (4.17 % on 384 test images)",
        "alike": "its scores differ no more than by the luck of 384 test images",
        "differ": "",
        "easy": "all 20 have the same score",
        "seeds": "its 2 seeds do not rank alike",
        "imported": "one seed, and no number of test images is known",
        "dense": "one seed: its differences may be those of 384 test images",
    }
    assert found["signal"].isna().to_dict() == {kind: kind in ("imported", "dense") for kind in kinds}
    assert found["signal"].fillna(False).to_dict() == {kind: kind == "differ" for kind in kinds}
    assert found.loc["differ", "reliability_most"] > 0.9
    assert found.loc["guess", "reliability_most"] < 0.6


def test_a_pair_without_signal_says_which_side_and_why() -> None:
    rows = pd.DataFrame(population(30, tasks=("cls", "rot"))).assign(test_images=1000, chance=0.25)
    luck = np.random.default_rng(0).binomial(1000, 0.25, 30) / 1000
    rows.loc[rows["task"] == "rot", ["score_best", "score_final"]] = np.column_stack([luck, luck])
    (line,) = analysis.correlate(rows).to_dict("records")
    assert (line["x_task"], line["x_signal"], line["y_signal"]) == ("rot", False, True)
    assert line["no_signal"] == "x: not above chance (25 % on 1,000 test images)"
    shown = analysis.for_display(analysis.correlate(rows), shown=analysis.TABLES["correlate"].shown)
    assert shown["rho"].iloc[0].startswith("(")
    assert shown["interval"].iloc[0].startswith("([")


@pytest.mark.parametrize("table", ["top_k", "compare_proxies", "agreement_cost", "beyond_size", "pool_spaces"])
def test_every_table_about_a_cell_without_signal_says_so(table: str) -> None:
    """Jigsaw is a guess among 24; the lines about the other cells have no mark."""
    made = population(16, spaces=("darts", "nasbench101"), tasks=("cls", "rot", "jig"))
    rows = pd.DataFrame(made).assign(test_images=10_000, chance=0.1)
    rows["params"] = 1000 + np.arange(len(rows))
    guess = rows["task"] == "jig"
    luck = np.random.default_rng(0).binomial(10_000, 1 / 24, int(guess.sum())) / 10_000
    rows.loc[guess, "chance"] = 1 / 24
    rows.loc[guess, ["score_best", "score_final"]] = np.column_stack([luck, luck])
    found = getattr(analysis, table)(rows)
    sides = [side for side in ("x", "y", "a", "b", "proxy", "target") if f"{side}_task" in found]
    about = found[[f"{side}_task" for side in sides]].eq("jig").any(axis=1)
    assert about.any()
    assert found.loc[about, "no_signal"].str.contains("not above chance").all()
    assert (found.loc[~about, "no_signal"] == "").all()
    if table == "agreement_cost":
        assert found.loc[about, "front"].isna().all()


def test_a_missing_interval_has_a_reason() -> None:
    four = analysis.correlate(pd.DataFrame(population(4, tasks=("cls", "rot"))))
    assert four["reason"].tolist() == ["no interval of 4 architectures (5 are needed)"]
    rows = pd.DataFrame(population(20, tasks=("cls", "rot")))
    worse = rows.index[rows["task"] == "rot"].drop(rows.loc[rows["task"] == "rot", "score_best"].idxmax())
    rows.loc[worse, "score_best"] = 0.9
    (line,) = analysis.correlate(rows).to_dict("records")
    assert np.isfinite(line["rho"])
    assert np.isnan(line["rho_low"])
    assert line["reason"] == "x: no interval, as 19 of 20 share their score with another"
