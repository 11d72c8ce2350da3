"""Scores without training beside trainings: what is compared, what they cost, and how they are called."""

import html
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import population, write_plan
from rich.console import Console
from scipy import stats
from scored import PROXIES, score_row, study

import analysis
from analysis.tables.brief import brief
from analysis.tables.catalogue import named
from orchestrator.cli.output import put
from tests.conftest import blank_figures
from workers import row

pytestmark = pytest.mark.filterwarnings("error")


def of(table: pd.DataFrame, **names: Any) -> Any:
    """The one line with these values."""
    found = table[np.all([(table[name] == value).to_numpy() for name, value in names.items()], axis=0)]
    assert len(found) == 1
    return found.iloc[0]


def spoiled(rows: list[dict[str, Any]], many: int, **names: Any) -> list[dict[str, Any]]:
    """The rows, the first ones with these values without a finite score."""
    bad = [line for line in rows if all(line[name] == value for name, value in names.items())][:many]
    for k, line in enumerate(bad):
        line |= dict.fromkeys(("score_best", "score_final"), (np.nan, np.inf)[k % 2])
        line["error_text"] = "overflow; in float32"
    return rows


def test_a_score_that_is_not_finite_is_missing_where_it_is_compared_and_nowhere_else(tmp_path: Path) -> None:
    rows = spoiled(study(30), 4, metric="nwot")
    rows = spoiled(rows, 30, metric="params")
    write_plan(tmp_path, rows)
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "part-000.parquet").write_bytes(row.parquet_bytes(rows))
    df = analysis.load(tmp_path)
    trained = analysis.correlate(df[df["method"] != "score"], resamples=50).iloc[0]
    for common in ("all", "pair"):
        found = analysis.correlate(df, common=common, resamples=50)
        same = of(found, x_metric="top1", y_metric="top1")
        for name in ("n", "rho", "rho_low", "rho_high", "p_perm"):
            assert same[name] == trained[name], "scores change no number of trainings"
        line = of(found, x_metric="nwot", y_task="cls", y_method="train")
        assert (line["n"], line["n_dropped"], line["y_diverged"]) == (26, 4, 0)
        assert line["left_out"] == "x: 4 scores not finite (overflow, in float32)"
        assert of(found, x_metric="synflow", y_task="cls", y_method="train")["n"] == 30
        assert of(found, x_metric="params", y_task="cls", y_method="train")["n"] == 0
        there = df[(df["metric"] == "nwot") & np.isfinite(df["score_best"])].set_index("arch")["score_best"]
        cls = df[(df["task"] == "cls") & (df["metric"] == "top1")].set_index("arch")["score_best"]
        assert line["rho"] == pytest.approx(stats.spearmanr(there, cls[there.index]).statistic)
    picks = analysis.top_k(df)
    assert set(picks.loc[picks["proxy_metric"] == "nwot", "n"]) == {26}
    assert set(picks["target_method"]) == {"train"}, "trainings are the targets"
    counted = of(analysis.compute("cells", df), metric="nwot")
    assert (counted["no_score"], counted["diverged"], counted["reason"]) == (4, 0, "overflow, in float32")


def test_a_training_that_is_missing_still_leaves_its_architecture_out() -> None:
    df = pd.DataFrame([line for line in study(12) if not (line["task"] == "rot" and line["arch"].endswith("3"))])
    found = analysis.correlate(df, resamples=0)
    assert set(found["n"]) == {11}
    assert "every training of the space" in found["rule"].iloc[0]
    assert (
        of(analysis.correlate(df, common="pair", resamples=0), x_metric="nwot", y_task="cls", y_method="train")["n"]
        == 12
    )


def test_chance_and_signal_are_about_fractions_of_test_images() -> None:
    rows = study(30)
    for line in rows:
        if line["metric"] == "synflow":
            line["score_best"] = line["score_final"] = 1e-6 * np.log(line["score_best"])  # below any level of chance
    df = pd.DataFrame(rows)
    assert set(analysis.signal(df)["method"]) == {"train"}
    without, levelled = (analysis.correlate(df, resamples=0, chance=chance) for chance in (None, 0.05))
    assert without["rho"].tolist() == levelled["rho"].tolist()
    scores = without[without["x_method"] == "score"]
    assert scores["x_signal"].isna().all()
    assert set(scores["no_signal"]) == {""}


def test_several_seeds_of_a_score_are_averaged_and_one_that_is_missing_makes_the_mean_missing() -> None:
    rows = study(10, proxies=("nwot",), trained=("cls",))
    rows += [
        score_row(
            "nwot", np.nan if k == 0 else 100.0 + k, **{n: line[n] for n in ("space", "arch", "params", "macs")}, seed=2
        )
        for k, line in enumerate(line for line in rows if line["metric"] == "nwot")
    ]
    df = pd.DataFrame(rows)
    assert analysis.correlate(df, resamples=0)["n"].tolist() == [9]
    assert analysis.means(df).query("metric == 'nwot'")["mean"].isna().sum() == 1


def test_names_are_readable_with_thirteen_scores_under_four_tasks() -> None:
    tasks = ("cls", "rot", "jig", "col")
    df = pd.DataFrame(study(6, proxies=tuple(PROXIES), tasks=tasks, trained=tasks))
    table = analysis.agreement_cost(df, resamples=0)
    shown = analysis.for_display(table, shown=("n", "rho", "seconds"))
    assert {"rot synflow", "cls grad_norm"} < set(shown["proxy"])
    assert shown["proxy"].is_unique
    for name, rows in (("agreement_cost", df), ("beyond_size", df), ("correlate", df[df["task"].isin(["cls", "rot"])])):
        out = io.StringIO()
        table, left_out = brief(analysis.compute(name, rows, resamples=5))
        put(table, "", Console(file=out, width=80), named(name).shown)
        lines = out.getvalue().splitlines()
        assert max(map(len, lines)) <= 80
        assert len(lines) < 70
        assert any("rot grad_norm" in line for line in lines), "names are whole"
        assert left_out == (
            "left out: 351 lines without a trained cls; --csv and --json print all" * (name == "correlate")
        )


def test_the_cost_of_an_architecture_is_that_of_all_its_seeds_and_the_front_holds_what_nothing_beats() -> None:
    df = pd.DataFrame(study(40, trained=("cls", "rot"), seeds=(1, 2), proxies=("params", "fisher", "nwot")))
    found = analysis.agreement_cost(df, resamples=0)
    cost = {line.proxy_metric if line.proxy_method == "score" else line.proxy_task: line for line in found.itertuples()}
    assert {name: line.seconds for name, line in cost.items()} == pytest.approx(
        {"params": 0.004, "fisher": 0.13, "nwot": 0.08, "rot": 2400.0}
    )
    assert cost["nwot"].share == pytest.approx(0.08 / 2400)
    assert cost["params"].front
    assert cost["nwot"].front
    assert not cost["fisher"].front, "nwot is cheaper and better"
    assert cost["rot"].front == (cost["rot"].rho > cost["nwot"].rho)
    unknown = analysis.agreement_cost(df.drop(columns="train_s"), resamples=0)
    assert unknown["front"].isna().all()


def residual(values: Any, given: Any) -> Any:
    ranks, of = stats.rankdata(values), stats.rankdata(given)
    return ranks - np.polyval(np.polyfit(of, ranks, 1), of)


def test_beyond_size_is_the_partial_rank_correlation_and_the_difference_to_a_score_that_is_params() -> None:
    df = pd.DataFrame(study(40))
    found = of(analysis.beyond_size(df, resamples=200), proxy_metric="nwot")
    wide = df[df["task"] == "cls"].pivot(index="arch", columns="metric", values="score_best")
    sizes = df[df["metric"] == "top1"].drop_duplicates("arch").set_index("arch").loc[wide.index]
    for size in ("params", "macs"):
        by_hand = stats.pearsonr(residual(wide["nwot"], sizes[size]), residual(wide["top1"], sizes[size])).statistic
        assert found[f"rho_given_{size}"] == pytest.approx(by_hand)
        assert found[f"rho_given_{size}_low"] < by_hand < found[f"rho_given_{size}_high"]
        assert found[f"rho_{size}"] == pytest.approx(stats.spearmanr(wide["top1"], sizes[size]).statistic)
    pairs = analysis.compare_proxies(df, resamples=200)
    same = of(pairs, a_metric="nwot", b_metric="params")
    assert [found[f"difference_params{end}"] for end in ("", "_low", "_high")] == pytest.approx(
        [same[f"difference{end}"] for end in ("", "_low", "_high")]
    )
    assert found["p_params"] == pytest.approx(same["p"])
    itself = of(analysis.beyond_size(df, resamples=200), proxy_metric="params")
    assert np.isnan(itself["rho_given_params"])
    assert itself["difference_params"] == 0
    assert itself["reason"] == "proxy: ranks as params"


def test_without_sizes_beyond_size_says_so() -> None:
    found = analysis.beyond_size(pd.DataFrame(study(12)).drop(columns=["params", "macs"]), resamples=50)
    assert set(found["reason"]) == {"sizes unknown"}
    assert found["rho"].notna().all()


def test_intervals_given_params_hold_the_truth_nearly_always() -> None:
    """Normal copulas: quality depends on size by 0.6, proxy and target on quality by 0.8."""
    draw, held = np.random.default_rng(0), 0
    pearson = np.array([[1, 0.64, 0.48], [0.64, 1, 0.48], [0.48, 0.48, 1]])
    rho = 6 / np.pi * np.arcsin(pearson / 2)
    inverse = np.linalg.inv(rho)
    truth = -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])
    names = [f"a{k:02d}" for k in range(40)]
    for _ in range(25):
        x, y, size = draw.multivariate_normal([0, 0, 0], pearson, 40).T
        params = (np.exp(size) * 1e6).astype(int)
        about = [{"arch": name, "params": int(params[k]), "macs": int(params[k])} for k, name in enumerate(names)]
        rows = [score_row("nwot", float(x[k]), **about[k]) for k in range(40)]
        rows += [score_row("none", float(y[k]), **about[k]) | {"method": None, "recipe": "unnas"} for k in range(40)]
        for line in rows[40:]:
            line |= {"metric": "loss", "recipe_id": "trained", "trial_id": f"trained {line['arch']}"}
        found = analysis.beyond_size(pd.DataFrame(rows), resamples=200).iloc[0]
        assert found["target_metric"] == "loss"
        held += found["rho_given_params_low"] <= truth <= found["rho_given_params_high"]
    assert held >= 20  # 95 % of 25 is 24; fewer than 20 has a chance of 1 in 800


def test_a_score_under_every_task_is_held_against_the_same_score_with_labels() -> None:
    df = pd.DataFrame(study(40, tasks=("cls", "rot", "jig"), proxies=("nwot", "synflow"), trained=("cls",)))
    found = analysis.label_free(df, resamples=100)
    assert len(found) == 6
    pairs = analysis.correlate(df, resamples=100)
    line = of(found, proxy_metric="nwot", proxy_task="rot")
    with_target = of(pairs, x_metric="nwot", x_task="rot", y_method="train")
    assert line[["rho", "rho_low", "rho_high"]].tolist() == with_target[["rho", "rho_low", "rho_high"]].tolist()
    with_labels = of(pairs, x_metric="nwot", x_task="cls", y_method="train")["rho"]
    assert line["rho_with_labels"] == with_labels
    assert line["difference"] == pytest.approx(line["rho"] - with_labels)
    between = pairs[(pairs["x_metric"] == "nwot") & (pairs["y_metric"] == "nwot")]
    assert line["agreement"] == of(between, x_task="rot", y_task="cls")["rho"]
    assert np.isnan(of(found, proxy_metric="nwot", proxy_task="cls")["difference"])
    one_task = df[(df["task"] == "cls")]
    assert analysis.label_free(one_task, resamples=0).empty


def scores_of(x: Any, y: Any, ids: Any = None) -> pd.DataFrame:
    """Architectures with scores x (n, P) and a trained score y (n,)."""
    archs = [f"a{k:03d}" for k in range(len(y))]
    ids = archs if ids is None else ids
    rows = [
        line | {"arch": archs[k], "score_best": float(y[k])}
        for k, line in enumerate(population(len(y), tasks=("cls",)))
    ]
    for k, line in enumerate(rows):
        line |= {"arch_id": ids[k], "trial_id": f"t{k}"}
    for p in range(x.shape[1]):
        about = [{"space": "darts", "arch": archs[k], "arch_id": ids[k]} for k in range(len(y))]
        rows += [score_row(f"score{p:02d}", float(x[k, p]), **about[k]) for k in range(len(y))]
    return pd.DataFrame(rows).drop(columns=["params", "macs"])


def combined(df: pd.DataFrame, **options: Any) -> pd.DataFrame:
    return analysis.combine_proxies(df, **options).set_index("predictor")


def test_a_combination_is_better_where_proxies_complement_one_another() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(80, 3))
    found = combined(scores_of(x, x[:, 0] + x[:, 1]), resamples=200)
    assert found.loc["linear", "rho"] > 0.9
    assert found.loc["linear", "difference_low"] > 0
    assert found.loc["linear", "of"].startswith(
        ("cls score00 +0.6", "score00 +0.6", "score01 +0.6", "score00 +0.7", "score01 +0.7")
    )
    assert found.loc["best single, same data", "rho"] >= found.loc["best single", "rho"]
    assert found.loc["rank average", "rho"] < found.loc["linear", "rho"]
    again = combined(scores_of(x, x[:, 0] + x[:, 1]), resamples=200)
    assert again["rho"].tolist() == found["rho"].tolist()
    assert (
        combined(scores_of(x, x[:, 0] + x[:, 1]), resamples=0, seed=1).loc["linear", "rho"]
        != found.loc["linear", "rho"]
    )


@pytest.mark.parametrize("copies", [1, 2])
def test_nothing_is_reported_of_a_fit_to_noise_also_where_networks_occur_twice(copies: int) -> None:
    """Twenty scores that say nothing: the best of them looks good on the data that chose it, and no other way."""
    linear, chosen, same = [], [], []
    for rng in range(6):
        draw = np.random.default_rng(rng)
        x, y = draw.normal(size=(30, 20)), draw.normal(size=30)
        ids = [f"id{k}" for k in range(30)] * copies
        found = combined(scores_of(np.tile(x, (copies, 1)), np.tile(y, copies), ids), resamples=0)["rho"]
        linear.append(found["linear"])
        chosen.append(found["best single"])
        same.append(found["best single, same data"])
    assert np.mean(same) > 0.2
    assert np.mean(linear) < 0.1
    assert np.mean(chosen) < 0.1


def test_a_proxy_that_many_lack_takes_no_part_in_a_combination() -> None:
    x = np.random.default_rng(0).normal(size=(30, 3))
    df = scores_of(x, x[:, 0])
    few, many = df["metric"] == "score01", df["metric"] == "score02"
    df.loc[df.index[few][:2], "score_best"] = np.nan
    df.loc[df.index[many][:9], "score_best"] = np.nan
    found = combined(df, resamples=0)
    assert set(found["n"]) == {28}
    assert set(found["proxies"]) == {2}
    assert found["left_out"].iloc[0] == "score02: missing for 9 of 30 architectures"
    with pytest.raises(ValueError, match="folds must be a whole number of 2 or more, not 1"):
        analysis.combine_proxies(df, folds=1)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = spoiled(study(30, tasks=("cls", "rot"), proxies=("params", "synflow", "nwot", "fisher")), 3, metric="nwot")
    with pytest.MonkeyPatch.context() as patch:
        blank_figures(patch)
        return analysis.report(pd.DataFrame(rows), tmp_path_factory.mktemp("report"), resamples=100)


def test_the_report_says_which_scores_are_no_better_than_params_and_draws_what_they_cost(page: Path) -> None:
    text = html.unescape(re.sub(r"<[^>]*>", "", page.read_text(encoding="utf-8")))
    df = pd.DataFrame(
        spoiled(study(30, tasks=("cls", "rot"), proxies=("params", "synflow", "nwot", "fisher")), 3, metric="nwot")
    )
    found = analysis.beyond_size(df, resamples=100)
    found = found[(found["proxy_method"] == "score") & (found["proxy_metric"] != "params")]
    worse = int((~(found["difference_params_low"] > 0)).sum())
    assert f"NAS-Bench-201: {worse} of 6 scores without training are not better than the number of parameters" in text
    for line in found.itertuples():
        task = {"cls": "classification", "rot": "rotation"}[line.proxy_task]
        assert f"{line.proxy_metric} ({task})" in text
    assert "the best of 8 scores without training" in text
    assert "seconds per architecture" in text
    assert "ρ with trained classification, by the task of the score" in text
    assert "best single, same data" in text
    assert "overflow, in float32" in text, "why scores are missing"
    drawn = {file.name for file in (page.parent / "figures").iterdir()}
    assert drawn == {
        "within-cifar10.png",
        "scores-cifar10-cls.png",
        "scores-cifar10-rot.png",
        "cost-nasbench201-cifar10-cls.png",
    }


def test_scores_have_no_percent_and_no_chance_in_figures_and_a_logarithm_where_one_hides_the_others() -> None:
    df = pd.DataFrame(study(30, trained=("cls",)))
    (drawn,) = (one for one in analysis.figures.scatter(df, resamples=0) if one.name.startswith("scores"))
    labels = {ax.get_ylabel(): ax for ax in drawn.figure.axes if ax.get_ylabel()}
    assert set(labels) == {"nwot", "params", "synflow, log10"}
    synflow = np.sort(np.log10(df[df["metric"] == "synflow"]["score_best"]))
    points = np.concatenate([c.get_offsets() for c in labels["synflow, log10"].collections])
    assert np.sort(np.asarray(points)[:, 1]).tolist() == pytest.approx(synflow.tolist())
    (cost,) = analysis.figures.cost(df, resamples=0)
    assert cost.figure.axes[0].get_xscale() == "log"


def test_a_score_on_another_dataset_is_in_the_table_and_not_in_the_picture() -> None:
    rows = study(12, trained=("cls",))
    rows += [
        line | {"dataset": "svhn", "dataset_id": "svhn", "trial_id": f"svhn {k}"}
        for k, line in enumerate(rows)
        if line.get("method") == "score"
    ]
    df = pd.DataFrame(rows)
    assert set(analysis.agreement_cost(df, resamples=0)["proxy_dataset"]) == {"cifar10", "svhn"}
    (cost,) = analysis.figures.cost(df, resamples=0)
    points = [line for line in cost.figure.axes[0].lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert len(points) == 3
    assert [one.name for one in analysis.figures.scatter(df, resamples=0)] == ["within-svhn", "scores-cifar10-cls"]


def test_a_study_of_scores_alone_has_a_report_that_compares_them_with_one_another(tmp_path: Path) -> None:
    df = pd.DataFrame([line for line in study(12, tasks=("cls", "rot")) if line.get("method") == "score"])
    text = analysis.report(df, tmp_path, resamples=20, figures="none").read_text(encoding="utf-8")
    assert "NAS-Bench-201 on CIFAR-10: scores, n = 12" in text
    assert "seconds per architecture" not in text, "there is no target"
    assert "s per arch." in text
