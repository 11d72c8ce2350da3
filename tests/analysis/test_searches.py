"""What searches found, where it stands among random cells, and how their architectures formed."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import failed, population, row, table
from scipy import stats
from searched import OPS, cell_row, graph, random_cells, search_row, study, text

import analysis
from analysis import names
from analysis.comparison.searches import standing
from analysis.rows.schema import frame

pytestmark = pytest.mark.filterwarnings("error")
BEST = (3, 3, 3, 3, 3, 3)
SKIPS = (1, 1, 1, 0, 1, 4)


def rows_of(*parts: Any) -> pd.DataFrame:
    return frame(table([line for part in parts for line in (part if isinstance(part, list) else [part])]))


def ladder(n: int, **known: Any) -> list[dict[str, Any]]:
    """n random cells with scores 0.01, 0.02, ..."""
    cells = random_cells(n, np.random.default_rng(0), low=1)
    return [cell_row(ops, k / 100, **known) for k, ops in enumerate((c for c in cells if c != BEST), start=1)]


def test_the_best_of_a_hundred_has_percentile_100_and_the_exact_interval() -> None:
    found = analysis.searches(rows_of(ladder(99), cell_row(BEST, 0.999, params=77, macs=88), search_row(BEST)))
    (line,) = found.to_dict("records")
    assert (line["objective_task"], line["algorithm"], line["seed"], line["found"]) == ("cls", "darts", 1, text(BEST))
    assert (line["target_task"], line["target_recipe"], line["n"]) == ("cls", "unnas", 99)
    assert (line["score"], line["percentile"], line["rank"]) == (0.999, 100.0, 1)
    assert (line["params"], line["macs"]) == (77, 88)
    # Of n draws all lie below with probability p ** n.
    assert line["percentile_low"] / 100 == pytest.approx(0.025 ** (1 / 99))
    assert line["percentile_high"] == 100.0
    assert line["n_seeds"] == 1
    assert math.isnan(line["std"])
    assert line["reason"] == ""


@pytest.mark.parametrize("below", [0, 1, 7, 19, 20])
def test_the_interval_is_where_the_binomial_test_does_not_reject(below: int) -> None:
    found = standing(0.5, np.r_[np.zeros(below), np.ones(20 - below)])
    assert found.percentile == 5 * below
    assert found.rank == 21 - below
    if below:
        assert stats.binom.sf(below - 1, 20, found.low / 100) == pytest.approx(0.025)
    if below < 20:
        assert stats.binom.cdf(below, 20, found.high / 100) == pytest.approx(0.025)


def test_equal_scores_count_half_and_widen_the_interval_to_both_sides() -> None:
    found = standing(0.5, np.array([0.1, 0.5, 0.5, 0.9]))
    assert (found.percentile, found.rank) == (50.0, 2.0)
    assert found.low == standing(0.5, np.array([0.1, 0.9, 0.9, 0.9])).low
    assert found.high == standing(0.5, np.array([0.1, 0.1, 0.1, 0.9])).high


def test_scores_are_compared_over_the_seeds_that_the_random_cells_have() -> None:
    """Two further seeds of the found cell are in its score, and not in its percentile."""
    own = [cell_row(BEST, score, seed=seed) for seed, score in ((1, 0.105), (2, 0.9), (3, 0.9))]
    (line,) = analysis.searches(rows_of(ladder(20), own, search_row(BEST))).to_dict("records")
    assert line["score"] == pytest.approx(np.mean([0.105, 0.9, 0.9]))
    assert line["std"] == pytest.approx(np.std([0.105, 0.9, 0.9], ddof=1))
    assert (line["n_seeds"], line["percentile"]) == (3, 50.0)
    missing = [cell_row(BEST, 0.105), ladder(20, seed=1), ladder(19, seed=2), search_row(BEST)]
    (line,) = analysis.searches(rows_of(*missing)).to_dict("records")
    assert (line["n"], line["n_dropped"]) == (19, 1)


def test_what_is_missing_is_said() -> None:
    whole = search_row(BEST, seed=1)
    lines = [
        whole,
        search_row(SKIPS, seed=2),
        search_row(None, seed=3),
        failed(arch="*", space=whole["space"], recipe="darts", method="darts", seed=4, error_class="CudaError"),
        search_row((1,) * 6, seed=5),
    ]
    trained = [cell_row(BEST, 0.3, seed=s) for s in (1, 2)]
    wrong = failed(space=whole["space"], arch=text((1,) * 6))
    late = cell_row(SKIPS, 0.2)
    found = analysis.searches(rows_of(ladder(9), trained, late, wrong, lines)).set_index("seed")
    assert found["reason"].to_dict() == {
        1: "",
        2: "1 of 2 seeds so far",
        3: "diverged",
        4: "failed: CudaError",
        5: "its training failed",
    }
    assert found["target_task"].to_dict() == {1: "cls", 2: "cls", 3: "", 4: "", 5: "cls"}
    assert found.loc[[3, 4, 5], ["score", "percentile"]].isna().all(axis=None)
    # A later attempt that succeeds counts in place of one that failed.
    again = search_row(BEST, seed=4, attempt=2)
    found = analysis.searches(rows_of(ladder(9), trained, lines, again)).set_index("seed")
    assert found["found"][4] == text(BEST)
    alone = analysis.searches(rows_of(lines[:2]))
    assert alone["reason"].tolist() == ["not trained", "not trained"]
    assert alone["skips"].tolist() == [0, 4]
    assert analysis.searches(rows_of(trained, whole))["reason"].tolist() == ["no random cells"]


def test_a_training_that_diverged_ranks_last_or_is_left_out() -> None:
    bad = cell_row(BEST, float("nan"), diverged=True)
    df = rows_of(ladder(9), bad, search_row(BEST))
    (line,) = analysis.searches(df).to_dict("records")
    assert math.isnan(line["score"])
    assert (line["percentile"], line["rank"]) == (0.0, 10)
    assert "ranks last" in line["reason"]
    (line,) = analysis.searches(df, diverged="drop").to_dict("records")
    assert math.isnan(line["percentile"])


def test_published_cells_and_those_of_other_searches_are_no_random_cells_unless_asked_for() -> None:
    known = [cell_row(SKIPS, 0.95), cell_row(BEST, 0.5), cell_row((4,) * 6, 0.97)]
    df = rows_of(ladder(9), known, search_row(BEST), search_row((4,) * 6, seed=2))
    assert analysis.searches(df)["n"].tolist() == [10, 10]
    found = analysis.searches(df, published={"skips": text(SKIPS)})
    assert found["n"].tolist() == [9, 9]
    assert found["percentile"].tolist() == [100.0, 100.0]
    ids = [f"id-{text(SKIPS)}", text((4,) * 6)]
    found = analysis.searches(df, controls=ids).set_index("seed")
    assert found["n"].to_dict() == {1: 2, 2: 1}, "no cell is compared with itself"
    assert found["percentile"].to_dict() == {1: 0.0, 2: 100.0}
    with pytest.raises(LookupError, match="none of the 1 architectures given as controls"):
        analysis.searches(df, controls=["other"])
    with pytest.raises(TypeError, match="not the text 'other'"):
        analysis.searches(df, controls="other")


def test_scores_without_training_are_no_targets_and_looked_up_results_are() -> None:
    looked = [cell_row(BEST, 0.9, recipe="lookup/test", method="lookup"), cell_row(SKIPS, 0.8, recipe="lookup/test")]
    scored = cell_row(BEST, 3e5, recipe="zero_cost/synflow", method="score", metric="synflow")
    found = analysis.searches(rows_of(looked, scored, search_row(BEST)))
    assert found["target_recipe"].tolist() == ["lookup/test"]
    assert found["percentile"].tolist() == [100.0]


def test_operations_are_counted_and_none_is_no_operation() -> None:
    (line,) = analysis.searches(rows_of(search_row(SKIPS))).to_dict("records")
    assert line["ops"] == {"avg_pool_3x3": 1, "skip_connect": 4}
    assert line["skips"] == 4


def test_equal_weights_have_entropy_log_n_and_certain_ones_none() -> None:
    kept = np.zeros((1, 6, 5))
    kept[:, :, 3:] = -np.inf
    sure = np.zeros((1, 6, 5))
    sure[:, :, 1] = 500.0
    for weights, entropy, most in (
        (None, math.log(5), math.log(5)),
        (kept, math.log(3), math.log(3)),
        (sure, 0, 1.609),
    ):
        (line,) = analysis.searches(rows_of(search_row(BEST, weights))).to_dict("records")
        assert line["entropy"] == pytest.approx(entropy, abs=1e-9)
        assert line["entropy_most"] == pytest.approx(most, abs=1e-3)


def test_curves_of_a_search_epoch_by_epoch() -> None:
    weights = np.zeros((3, 6, 5))
    weights[1:, :, 1] = math.log(6)  # a softmax of 6 / 10
    line = search_row(SKIPS, weights) | {"curve_graph": [graph(BEST), None, graph(SKIPS)]}
    curves = analysis.search_curves(rows_of(line)).set_index(["operation", "epoch"])
    skip = curves.loc["skip_connect"]
    assert skip["weight"].tolist() == pytest.approx([0.2, 0.6, 0.6])
    assert skip["chosen"].tolist()[::2] == [0, 4]
    assert math.isnan(skip["chosen"][2])
    assert skip["skip"].all()
    assert skip["epochs"].tolist() == [3, 3, 3]
    p = np.array([0.6, *[0.1] * 4])
    assert skip["entropy"].tolist() == pytest.approx([math.log(5), *[-(p * np.log(p)).sum()] * 2])
    assert curves.groupby("epoch")["weight"].sum().tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(LookupError, match="curves=True"):
        analysis.search_curves(rows_of(line).drop(columns=["curve_arch", "curve_graph"]))


def test_architecture_weights_by_edge_and_those_of_the_edges_themselves() -> None:
    """PC-DARTS: a softmax over the edges that enter the same node."""
    values = [*np.zeros(30), *[0.0, 0.0, math.log(3), 0.0, 0.0, 0.0]]
    line = search_row(BEST) | {"curve_arch": [values], "arch_shape": json.dumps({"cell": [6, 5], "cell_edges": [6]})}
    found = analysis.architecture_weights(rows_of(line))
    assert len(found) == 30
    assert found["weight"].to_numpy() == pytest.approx(0.2)
    by_edge = found.groupby("edge", sort=False)["edge_weight"].first()
    assert by_edge.to_dict() == pytest.approx(
        {"0-1": 1, "0-2": 0.25, "1-2": 0.75, "0-3": 1 / 3, "1-3": 1 / 3, "2-3": 1 / 3}
    )
    assert set(found["operation"]) == set(OPS)


@pytest.mark.parametrize(
    "broken",
    [
        {"arch_shape": "["},
        {"arch_shape": json.dumps({"cell": [6, 4]})},
        {"arch_shape": json.dumps({"cell": "x"})},
        {"curve_arch": [[0.0] * 30, [0.0] * 29]},
        {"curve_arch": None},
        {"arch_ops": "3", "curve_arch": []},
    ],
)
def test_rows_whose_weights_cannot_be_read_have_none(broken: dict[str, Any]) -> None:
    df = rows_of(search_row(BEST) | broken)
    assert analysis.searches(df)["entropy"].isna().all()
    assert analysis.search_curves(df)["weight"].isna().all()
    assert analysis.architecture_weights(df).empty


def test_objective_by_target_is_a_mean_over_searches() -> None:
    found = {("cls", "darts", 1): BEST, ("cls", "darts", 2): SKIPS, ("rot", "darts", 1): BEST}
    df = rows_of(
        ladder(9),
        [cell_row(BEST, s, seed=seed) for s, seed in ((0.3, 1), (0.5, 2))],
        cell_row(SKIPS, 0.2),
        cell_row((4,) * 6, 0.04),
        [search_row(ops, task=task, recipe=name, seed=seed) for (task, name, seed), ops in found.items()],
        search_row(None, task="rot", seed=2),
    )
    table_ = analysis.search_targets(df, published={"pools": text((4,) * 6), "other": "none"})
    lines = table_.set_index(["kind", "objective_task", "algorithm"])
    assert lines.loc[("search", "cls", "darts"), ["n", "mean", "best"]].tolist() == [2, pytest.approx(0.3), 0.4]
    assert lines.loc[("search", "cls", "darts"), "std"] == pytest.approx(np.std([0.4, 0.2], ddof=1))
    assert lines.loc[("search", "rot", "darts"), ["n", "n_missing", "mean"]].tolist() == [1, 1, 0.4]
    assert math.isnan(lines.loc[("search", "rot", "darts"), "std"])
    low, high = lines.loc[("search", "cls", "darts"), ["mean_low", "mean_high"]]
    assert (low, high) == pytest.approx(stats.ttest_1samp([0.4, 0.2], 0).confidence_interval(0.95))
    low, high = lines.loc[("random cells", "", "random cells"), ["mean_low", "mean_high"]]
    assert (low, high) == pytest.approx(stats.ttest_1samp(np.arange(1, 10) / 100, 0).confidence_interval(0.95))
    assert lines.loc[("search", "cls", "darts"), "skips"] == (BEST.count(1) + SKIPS.count(1)) / 2
    assert lines.loc[("search", "rot", "darts"), "skips"] == BEST.count(1)
    assert lines.loc[("random cells", "", "random cells"), ["n", "mean", "best"]].tolist() == [9, 0.05, 0.09]
    assert lines.loc[("published", "", "pools"), "mean"] == 0.04
    assert len(lines) == 4
    matrix = analysis.search_matrix(table_)
    assert matrix["cls (%)"].tolist() == ["30.00 ± 14.14", "40.00 (1)", "5.00 ± 2.74", "4.00"]
    assert matrix["n"].tolist() == [2, 2, 9, 1]


def test_a_search_is_at_chance_where_its_supernet_has_learned_nothing() -> None:
    """3 standard errors above chance are no chance; a score of another kind has no level of chance."""
    error = math.sqrt(0.1 * 0.9 / 1000)
    for score, chance, at_chance in ((0.1, 0.1, True), (0.1 + 3 * error, 0.1, False), (0.05, None, False)):
        search = search_row(BEST) | {"score_best": score, "chance": chance, "test_targets": 1000}
        assert analysis.searches(rows_of(search, ladder(3)))["at_chance"].tolist() == [at_chance]


def test_the_report_explains_objectives_whose_searches_are_all_at_chance(tmp_path: Path) -> None:
    known = {"chance": 0.1, "test_targets": 1000}
    searches = [
        search_row(BEST, seed=seed, task=task) | known | {"score_best": score}
        for task, seed, score in (("rand", 1, 0.1), ("rand", 2, 0.09), ("cls", 1, 0.1), ("cls", 2, 0.6))
    ]
    page = analysis.report(rows_of(searches, ladder(5), cell_row(BEST, 0.9)), tmp_path, figures="none").read_text()
    (note,) = re.findall(r"Labels that cannot be learned: ([^.]*)\.", page)
    assert note == names.task_name("rand")


def test_tables_are_empty_and_typed_without_searches() -> None:
    full = rows_of(study({("cls", "darts", s): BEST for s in (1, 2)}))
    for name in ("searches", "search_targets", "search_curves", "similarity"):
        empty, whole = (analysis.compute(name, df) for df in (pd.DataFrame(population(4)), full))
        assert empty.empty
        assert len(whole)
        assert empty.dtypes.to_dict() == whole.dtypes.to_dict()


def test_a_found_cell_is_looked_for_by_its_text_in_its_own_space_alone() -> None:
    other = row(space="darts", arch=text(BEST), score_best=0.9)
    assert analysis.searches(rows_of(other, search_row(BEST)))["reason"].tolist() == ["not trained"]
