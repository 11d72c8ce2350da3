"""NASLib's tables of zero-cost proxies become rows: scores, seconds, accuracies, and missing values."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import analysis
import spaces
from orchestrator.importing import naslib_scores, rows

A, B = "(0, 2, 3, 2, 3, 1)", "(4, 0, 4, 1, 2, 0)"
TABLE: dict[str, Any] = {
    "cifar10": {
        A: {
            "val_accuracy": 86.06,
            "params": {"score": 0.615386, "time": 0.25},
            "synflow": {"score": 50.1, "time": 0.5},
            "jacob_cov": {"score": -20.0, "time": 0.3},
            "grasp": {"score": -1e8, "time": 0.7},
        },
        B: {
            "id": 3,
            "val_accuracy": 83.62,
            "params": {"score": 0.316346, "time": 0.125},
            "synflow": {"score": math.nan, "time": 0.5},
            "jacob_cov": {"score": -21.0, "time": 0.3},
            "grasp": {"score": 1.5, "time": 0.7},
        },
    },
    "ImageNet16-120": {A: {"val_accuracy": 36.06, "nwot": {"score": math.inf, "time": 1}}},
}


def written(folder: Path, table: Any = TABLE) -> Path:
    file = folder / "zc_nasbench201.json"
    file.write_text(json.dumps(table))
    return file


def imported(tmp_path: Path) -> pd.DataFrame:
    found = rows.add(rows.naslib(written(tmp_path), "nasbench201"), str(tmp_path / "run"))
    assert (found.rows, found.new, found.strange) == (12, 12, {})
    return analysis.load(tmp_path / "run").set_index(["dataset", "recipe", "arch"]).sort_index()


def test_scores_accuracies_and_seconds_are_rows_of_their_own(tmp_path: Path) -> None:
    df = imported(tmp_path)
    first = "|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_1x1~1|none~2|"
    params = df.loc["cifar10", "zero_cost/params", first]
    assert (params["score_best"], params["train_s"], params["metric"]) == (0.615386, 0.25, "params")
    trained = df.loc["cifar10", "val_accuracy", first]
    assert (trained["score_final"], trained["metric"]) == (86.06, "top1_percent")
    assert math.isnan(trained["train_s"])
    assert df.loc["cifar10", "zero_cost/jacov", first]["score_best"] == -20
    assert set(df["space"]) == {"nasbench201"}
    assert params["method"] == "score"
    assert pd.isna(trained["method"])
    assert df["source"].str.match(r"naslib-zc:zc_nasbench201.json#[0-9a-f]{12}").all()
    assert set(df.index.get_level_values("dataset")) == {"cifar10", "imagenet16_120"}
    assert df["graph"].notna().all()


def test_what_is_not_finite_is_missing_and_says_so(tmp_path: Path) -> None:
    df = imported(tmp_path)
    missing = df[df["score_best"].isna()]
    assert sorted(missing["metric"]) == ["grasp", "nwot", "synflow"]
    assert (missing["status"] == "ok").all()
    assert not missing["diverged"].any()
    assert missing["error_text"].str.contains("in the table, which is not finite").all()
    assert df.loc[df["score_best"].notna(), "error_text"].isna().all()


def test_a_second_import_changes_nothing(tmp_path: Path) -> None:
    imported(tmp_path)
    assert rows.add(rows.naslib(written(tmp_path), "nasbench201"), str(tmp_path / "run")).new == 0


def test_the_operations_are_those_of_the_published_strings(data: Path) -> None:
    """The accuracies of the benchmark come with both: six numbers in NASLib's order of edges, and the text."""
    table = pd.read_parquet(data / "nasbench201" / "nasbench201.parquet", columns=["arch_str", "op_tuple"])
    few = table.iloc[::97]
    file = {"cifar10": {str(ops): {"val_accuracy": 1.0} for ops in few["op_tuple"]}}
    found = naslib_scores.read(Path("x"), json.dumps(file).encode(), "nasbench201")
    assert found["arch"].tolist() == few["arch_str"].tolist()


def test_modules_and_genotypes_are_read_too() -> None:
    """Their tuples: a matrix row by row and the operations; two cells of eight (input node, operation)."""
    matrix, ops = [0, 1, 1, 0, 0, 1, 0, 0, 0], [0, 4, 1]
    module = naslib_scores.read(
        Path("x"), json.dumps({"c": {str((*matrix, *ops)): {"flops": {"score": 1}}}}).encode(), "nasbench101"
    )
    assert module["arch"].tolist() == ["c3.0_out.01"]
    assert math.isnan(module["seconds"][0])
    cell = ((0, 3), (1, 3), (0, 3), (1, 3), (1, 3), (0, 2), (0, 2), (2, 5))
    genotype = naslib_scores.read(
        Path("x"), json.dumps({"c": {str((cell, cell)): {"flops": {"score": 1}}}}).encode(), "darts"
    )
    half = "s3.0+s3.1_s3.0+s3.1_s3.1+sk.0_sk.0+d3.2"
    assert genotype["arch"].tolist() == [f"{half}:{half}"]
    assert spaces.get("darts").normal(f"{half}:{half}") == f"{half}:{half}"
    assert naslib_scores.space_of("nasbench301") == "darts"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ([], "expected .*dataset.*proxy"),
        ({"cifar10": {}}, "holds no score"),
        ({"cifar10": {"(0, 1)": {}}}, r"'\(0, 1\)' is not an architecture of nasbench201 .*2 numbers, expected 6"),
        ({"cifar10": {"(0, 1, 2, 3, 4, 5)": {}}}, "5 is not an operation; expected 0 to 4"),
        ({"cifar10": {"__import__('os')": {}}}, "is not an architecture of nasbench201"),
        ({"cifar10": {A: [1]}}, r"has \[1\]; expected an object of scores"),
        ({"cifar10": {A: {"snip": {"score": "high"}}}}, "'snip' is 'high'; expected a number"),
    ],
)
def test_another_format_is_refused_with_its_place(tmp_path: Path, table: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rows.naslib(written(tmp_path, table), "nasbench201")


def test_a_space_without_a_rule_is_refused_with_those_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"of nasbench201, nasbench101, darts, nasbench301; .*'chain'"):
        rows.naslib(written(tmp_path), "chain")
