"""Correlations against values computed by hand and published values, and the rules about what is compared."""

import itertools
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import failed, population, row, write_run
from scipy import stats

import analysis

pytestmark = pytest.mark.filterwarnings("error")


def frame(scores: dict[str, list[float]], **known: object) -> pd.DataFrame:
    """One task a key, one architecture a place."""
    return pd.DataFrame(
        [
            row(task=task, arch=f"a{k}", score_best=value, **known)
            for task, values in scores.items()
            for k, value in enumerate(values)
        ]
    )


def one(df: pd.DataFrame, **known: object) -> pd.Series:
    found = analysis.correlate(df, **known)  # type: ignore[arg-type]
    assert len(found) == 1
    return found.iloc[0]


def test_without_ties_by_hand() -> None:
    # ranks 1 2 3 4 5 and 2 1 4 3 5: sum of squared differences 4, rho = 1 - 6*4/(5*24) = 0.8;
    # 8 of 10 pairs agree, 2 do not: tau = 0.6
    got = one(frame({"cls": [0.1, 0.2, 0.3, 0.4, 0.5], "rot": [0.6, 0.5, 0.8, 0.7, 0.9]}))
    assert got["rho"] == pytest.approx(0.8)
    assert got["tau"] == pytest.approx(0.6)
    # 16 of the 120 pairings agree at least as well (sum of squares at most 4: 1 + 4 + 3), either sign
    assert got["p"] == pytest.approx(16 / 120)
    assert (got["n"], got["n_dropped"]) == (5, 0)
    assert (got["x_task"], got["y_task"]) == ("rot", "cls")


def test_with_ties_by_hand() -> None:
    # ranks 1.5 1.5 3 4 and 1 2.5 2.5 4: deviations (-1 -1 .5 1.5)(-1.5 0 0 1.5) -> 3.75 / sqrt(4.5 * 4.5)
    # tau-b: 4 pairs agree, 0 disagree, one tie in each: 4 / sqrt(5 * 5)
    got = one(frame({"cls": [0.1, 0.1, 0.2, 0.3], "rot": [0.5, 0.6, 0.6, 0.7]}))
    assert got["rho"] == pytest.approx(3.75 / 4.5)
    assert got["tau"] == pytest.approx(4 / 5)
    assert np.isnan(got["rho_low"]), "four architectures say nothing about an interval"


def test_nasbench201_as_published(data: Path) -> None:
    wide = pd.read_parquet(data / "nasbench201" / "nasbench201.parquet")
    columns = [c for c in wide if c.endswith(("_test_e200", "_test_e12")) or c == "cifar10_valid_e200"]
    long = wide.melt(id_vars="arch_str", value_vars=columns, var_name="measured", value_name="top1")
    long[["dataset", "task"]] = long["measured"].str.extract(r"(.*)_((?:test|valid)_e.*)")
    df = analysis.from_table(long, space="nasbench201", arch="arch_str", dataset="dataset", task="task", value="top1")
    found = analysis.correlate(df, resamples=50)
    assert set(found["n"]) == {15_625}
    rho = {frozenset({(p.x_dataset, p.x_task), (p.y_dataset, p.y_task)}): p.rho for p in found.itertuples()}
    published = {
        (("cifar10", "test_e200"), ("cifar10", "valid_e200")): 0.9802,
        (("cifar10", "test_e12"), ("cifar10", "test_e200")): 0.8705,
        (("cifar100", "test_e12"), ("cifar100", "test_e200")): 0.8242,
        (("imagenet16_120", "test_e12"), ("imagenet16_120", "test_e200")): 0.8090,
        (("cifar10", "test_e200"), ("cifar100", "test_e200")): 0.9802,
        (("cifar100", "test_e200"), ("imagenet16_120", "test_e200")): 0.9636,
        (("cifar10", "test_e200"), ("imagenet16_120", "test_e200")): 0.9593,
    }
    assert {pair: round(rho[frozenset(pair)], 4) for pair in published} == published
    assert (found["rho_low"] < found["rho"]).all()
    assert (found["rho"] < found["rho_high"]).all()


def test_an_architecture_must_be_in_every_cell_or_only_in_the_pair() -> None:
    df = frame({"cls": [1, 2, 3, 4, 5, 6], "rot": [1, 2, 3, 4, 6, 5], "jig": [1, 3, 2, 4]})
    every = analysis.correlate(df).set_index(["x_task", "y_task"])
    assert set(every["n"]) == {4}
    assert every.loc[("rot", "cls"), "n_dropped"] == 2
    pair = analysis.correlate(df, common="pair").set_index(["x_task", "y_task"])
    assert pair["n"].to_dict() == {("jig", "rot"): 4, ("jig", "cls"): 4, ("rot", "cls"): 6}
    assert pair.loc[("rot", "cls"), "rho"] == pytest.approx(1 - 6 * 2 / (6 * 35))
    assert pair.loc[("jig", "cls"), "n_dropped"] == 2


def test_an_architecture_without_one_of_the_seeds_is_not_compared() -> None:
    rows = population(6, tasks=("cls", "rot"), seeds=(1, 2, 3))
    late = next(k for k, r in enumerate(rows) if r["task"] == "rot" and r["seed"] == 2)
    missing = pd.DataFrame(rows[:late] + rows[late + 1 :])
    broken = pd.DataFrame(
        [failed(**{k: r[k] for k in ("arch", "task", "seed")}) if r is rows[late] else r for r in rows]
    )
    for df in (missing, broken):
        got = one(df)
        assert (got["n"], got["n_dropped"], got["x_n_seeds"]) == (5, 1, 3)
        table = analysis.means(df).set_index(["task", "arch"])
        assert table.loc[("rot", rows[late]["arch"]), ["n_seeds", "complete"]].tolist() == [2, False]
    retried = one(pd.concat([broken, pd.DataFrame([rows[late]])]))
    assert (retried["n"], retried["n_dropped"]) == (6, 0)


def test_seeds_are_averaged_before_ranking() -> None:
    first = frame({"cls": [1, 2, 3, 4, 5], "rot": [1, 2, 3, 4, 5]}, seed=1)
    second = frame({"cls": [9, 2, 3, 4, 5], "rot": [1, 2, 3, 4, 5]}, seed=2)
    # means of cls: 5 2 3 4 5 -> ranks 4.5 1 2 3 4.5; the mean of the two rhos would be (1 + -0.0) / 2
    got = one(pd.concat([first, second]))
    x, y = np.array([4.5, 1, 2, 3, 4.5]) - 3, np.arange(5) - 2.0
    assert got["rho"] == pytest.approx(x @ y / np.sqrt(x @ x * (y @ y)))
    table = analysis.means(pd.concat([first, second])).set_index(["task", "arch"])
    assert table.loc[("cls", "a0"), ["mean", "std", "n_seeds"]].tolist() == pytest.approx([5, 8 / np.sqrt(2), 2])


def test_recipes_and_datasets_are_never_mixed() -> None:
    short = frame({"cls": [1, 2, 3, 4]}, recipe_id="short", recipe="short")
    long = frame({"cls": [4, 3, 2, 1]}, recipe_id="long", recipe="long")
    got = one(pd.concat([short, long]))
    assert (got["rho"], got["x_recipe_id"], got["y_recipe_id"]) == (-1, "long", "short")
    part = frame({"cls": [1, 2, 3, 4]}, dataset_id="cifar10-part")
    assert one(pd.concat([short.assign(recipe_id=""), part.assign(recipe_id="")]))["rho"] == 1
    assert len(analysis.means(pd.concat([short, long, part]))) == 12


def test_spaces_are_not_compared_with_each_other() -> None:
    df = pd.DataFrame(population(6, spaces=("darts", "nasbench101"), tasks=("cls", "rot")))
    found = analysis.correlate(df)
    assert found[["space", "x_task", "y_task"]].values.tolist() == [
        ["darts", "rot", "cls"],
        ["nasbench101", "rot", "cls"],
    ]


def test_the_order_of_cells_puts_cls_last() -> None:
    df = pd.DataFrame(population(5, datasets=("imagenet", "cifar10"), tasks=("rot", "cls")))
    found = analysis.correlate(df, resamples=0)
    pairs = [f"{p.x_dataset} {p.x_task}, {p.y_dataset} {p.y_task}" for p in found.itertuples()]
    assert pairs == [
        "cifar10 rot, imagenet rot",
        "cifar10 rot, cifar10 cls",
        "cifar10 rot, imagenet cls",
        "imagenet rot, cifar10 cls",
        "imagenet rot, imagenet cls",
        "cifar10 cls, imagenet cls",
    ]


def test_what_never_had_a_finite_score_ranks_last_or_is_left_out() -> None:
    nan = float("nan")
    df = frame({"cls": [1, 2, 3, 4, 5], "rot": [nan, nan, 6, 7, 8]})
    worst = one(df)
    assert (worst["n"], worst["x_diverged"], worst["y_diverged"]) == (5, 2, 0)
    ties = frame({"cls": [1, 2, 3, 4, 5], "rot": [0, 0, 6, 7, 8]})
    assert worst["rho"] == one(ties)["rho"]
    dropped = one(df, diverged="drop")
    assert (dropped["n"], dropped["n_dropped"], dropped["rho"]) == (3, 2, 1)
    seeds = pd.concat([frame({"cls": [1, 2, 3, 4], "rot": [9, 6, 7, 8]}), frame({"rot": [nan, 6, 7, 8]}, seed=2)])
    assert one(seeds)["rho"] == 1, "one hopeless seed is not averaged away"


def test_a_trial_that_two_runs_share_counts_once(tmp_path: Path) -> None:
    rows = population(6, tasks=("cls", "rot"))
    other = row(**{k: rows[0][k] for k in ("arch", "task")}, launch="z9", score_best=0.0)
    other["finished_at"] = rows[-1]["finished_at"] + pd.Timedelta(hours=1)
    one_run, two = write_run(tmp_path / "one", rows), write_run(tmp_path / "two", [other, *rows[1:4]])
    both = analysis.correlate(analysis.load(two, one_run))
    pd.testing.assert_frame_equal(both, analysis.correlate(analysis.load(one_run)))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_architectures_give_no_number(n: int) -> None:
    got = one(frame({"cls": [1, 2, 3], "rot": [2, 1, 3]}).assign(arch=["a", "b", "c", *"abc"[:n], *"xyz"[n:]]))
    assert (got["n"], got["n_dropped"]) == (n, 2 * (3 - n))
    assert got[["rho", "rho_low", "rho_high", "tau", "p", "tau_p"]].isna().all()


def test_scores_that_are_all_equal_give_no_number() -> None:
    got = one(frame({"cls": [1.0] * 8, "rot": list(range(8))}))
    assert got["n"] == 8
    assert got[["rho", "rho_low", "rho_high", "tau", "p", "tau_p"]].isna().all()


def test_wrong_arguments_are_named() -> None:
    df = frame({"cls": [1, 2, 3], "rot": [1, 2, 3]})
    with pytest.raises(ValueError, match="common"):
        analysis.correlate(df, common="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="diverged"):
        analysis.correlate(df, diverged="best")  # type: ignore[arg-type]
    with pytest.raises(LookupError, match="top1"):
        analysis.correlate(df, score="top1")


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_the_order_of_rows_and_names_does_not_matter(data: st.DataObject) -> None:
    values = st.lists(st.integers(0, 6), min_size=7, max_size=7)
    df = frame({"cls": data.draw(values), "rot": data.draw(values), "jig": data.draw(values)})
    shuffled = df.iloc[data.draw(st.permutations(range(len(df))))]
    pd.testing.assert_frame_equal(analysis.correlate(df, resamples=60), analysis.correlate(shuffled, resamples=60))
    monotone = df.assign(score_best=df["score_best"] ** 3 * 5 - 2.0)
    columns = ["rho", "rho_low", "rho_high", "tau", "p"]
    pd.testing.assert_frame_equal(
        analysis.correlate(df, resamples=60)[columns], analysis.correlate(monotone, resamples=60)[columns]
    )
    found = analysis.correlate(df, resamples=0)
    assert found["rho"].dropna().between(-1, 1).all()


def test_the_interval_follows_the_seed_and_nothing_else() -> None:
    df = pd.DataFrame(population(40, tasks=("cls", "rot")))
    first, again, other = (one(df, seed=s) for s in (1, 1, 2))
    bounds = ["rho_low", "rho_high"]
    assert first[bounds].equals(again[bounds])
    assert not first[bounds].equals(other[bounds])
    wide, narrow = one(df, confidence=0.99), one(df, confidence=0.5)
    assert wide["rho_low"] < narrow["rho_low"] < narrow["rho"] < narrow["rho_high"] < wide["rho_high"]


def test_permutation_p_is_exact_where_few_and_near_the_t_test_where_many() -> None:
    few = one(frame({"cls": [1, 2, 3, 4, 4, 5], "rot": [2, 1, 3, 3, 5, 4]}), resamples=0)
    wanted = stats.permutation_test(
        ([2, 1, 3, 3, 5, 4],), lambda y: stats.spearmanr([1, 2, 3, 4, 4, 5], y)[0], permutation_type="pairings",
        n_resamples=np.inf,
    )  # fmt: skip
    assert few["p_perm"] == few["p"] == pytest.approx(wanted.pvalue)
    mostly = [0.0] * 15 + [1, 1, 1, 1, 1]
    y = list(np.random.default_rng(0).normal(size=20) + 0.5 * np.array(mostly))
    level = one(frame({"cls": y, "rot": mostly}), resamples=4000)
    sums = [sum(drawn) for drawn in itertools.combinations(stats.rankdata(y), 5)]
    apart = np.abs(np.array(sums) - np.mean(sums))
    assert level["p_perm"] == pytest.approx(np.mean(apart >= apart[-1] - 1e-9), abs=0.02)
    df = pd.DataFrame(population(40, tasks=("cls", "rot", "jig"), agreement=0.55))
    many = analysis.correlate(df, resamples=4000)
    assert many["p_perm"].tolist() == pytest.approx(many["p"].tolist(), abs=0.015)
    assert analysis.correlate(df, resamples=0)["p_perm"].isna().all()
    sure = one(frame({"cls": list(range(20)), "rot": list(range(20))}), resamples=99)
    assert sure["p_perm"] == 1 / 100, "never 0"


def test_pearson_is_of_scores_that_are_numbers_and_ties_are_counted() -> None:
    x, y = [1, 1, 2, 3, 7, np.nan, np.nan], [2, 4, 5, 3, 11, 1, 9]
    got = one(frame({"rot": x, "cls": y}))
    assert got["r"] == pytest.approx(stats.pearsonr(x[:5], y[:5]).statistic)
    assert (got["x_ties"], got["y_ties"]) == (4, 0)
    assert one(frame({"rot": [1e-300, 2e-300, 4e-300], "cls": [1e300, 2e300, 4e300]}))["r"] == pytest.approx(1)


def test_a_training_at_chance_may_count_as_diverged_and_the_rule_is_said() -> None:
    df = frame({"rot": [0.25, 0.24, 0.5, 0.6, 0.7], "cls": [0.1, 0.3, 0.2, 0.4, 0.5]})
    got = one(df, chance={"rot": 0.25})
    assert (got["x_diverged"], got["y_diverged"], got["x_ties"]) == (2, 0, 2)
    assert "0.25 (rot)" in got["rule"]
    left = one(df, chance={"rot": 0.25}, diverged="drop", common="pair")
    assert left["n"] == 3
    assert "score_best" in left["rule"]
    assert "left out" in left["rule"]
    assert "both cells" in left["rule"]
    assert one(df, chance=0.1)["y_diverged"] == 1


def test_chance_is_a_level_of_accuracies_alone() -> None:
    """A zero-cost score of -3 is not below chance; both kinds may be of one task."""
    df = frame({"rot": [-3.0, -1.0, 0.2, 5.0, 9.0], "cls": [0.1, 0.3, 0.2, 0.4, 0.5]})
    df["metric"] = df["task"].map({"rot": "synflow", "cls": "top1"})
    got = one(df, chance=0.25)
    assert (got["x_diverged"], got["y_diverged"]) == (0, 2)
    df["metric"] = df["task"].map({"rot": "synflow", "cls": "miou"})
    assert one(df, chance={"rot": 0.25, "cls": 0.1})["x_diverged"] == 0


def test_equal_means_in_another_order_of_seeds_are_ties() -> None:
    seeds = ([0.1, 0.3, 0.5, 0.7], [0.2, 0.2, 0.1, 0.3], [0.3, 0.1, 0.6, 0.2])
    df = pd.concat([frame({"rot": list(s), "cls": [1, 2, 3, 4]}, seed=k) for k, s in enumerate(seeds)])
    assert one(df)["x_ties"] == 4, "0.2 and 0.2, 0.4 and 0.4"


def test_a_bare_frame_will_do() -> None:
    lines = itertools.product(["cls", "rot"], enumerate("abcde"))
    df = pd.DataFrame([{"space": "s", "dataset": "d", "task": t, "arch": a, "score_best": k} for t, (k, a) in lines])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert one(df)["rho"] == 1
    with pytest.raises(LookupError, match="'task'"):
        analysis.correlate(df.drop(columns="task"))
