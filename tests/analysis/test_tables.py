"""Anyone's table becomes rows: names of columns or constants, averaged repeats, errors that help."""

import numpy as np
import pandas as pd
import pytest

import analysis

LONG = pd.DataFrame(
    {
        "net": ['a|1, "x"', 'a|1, "x"', "b", "b"],
        "on": ["cifar10", "cifar10", "cifar10", "svhn"],
        "acc": [90.0, 92.0, -3.5, 1e6],
        "run": [1, 2, 1, 1],
    },
    index=[7, 7, 8, 9],
)
ARGUMENTS = {"space": "mine", "arch": "net", "dataset": "on", "task": "cls", "value": "acc"}


def test_names_of_columns_and_constants() -> None:
    df = analysis.from_table(LONG, **ARGUMENTS, seed="run")
    assert set(df["space"]) == {"mine"}
    assert set(df["dataset"]) == {"cifar10", "svhn"}
    assert set(df["metric"]) == {"acc"}
    assert df["score_best"].tolist() == [90.0, 92.0, -3.5, 1e6]
    assert df["arch"].tolist()[:2] == ['a|1, "x"'] * 2
    assert df["seed"].tolist() == [1, 2, 1, 1]
    assert df["trial_id"].is_unique
    assert set(df["status"]) == {"ok"}


def test_repeats_without_a_seed_are_averaged_and_counted() -> None:
    df = analysis.from_table(LONG, **ARGUMENTS).set_index(["arch", "dataset"])
    assert df.loc[('a|1, "x"', "cifar10"), "score_best"] == 91.0
    assert df["repeats"].tolist() == [2, 1, 1]


def test_the_columns_are_those_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    from made_up import row, write_run

    run = analysis.load(write_run(tmp_path_factory.mktemp("run"), [row()]))
    df = analysis.from_table(LONG, **ARGUMENTS)
    assert list(df) == list(run)
    assert df.dtypes.to_dict() == run.dtypes.to_dict()
    assert len(analysis.means(pd.concat([df, run], ignore_index=True))) == 4


def test_an_empty_table_gives_an_empty_frame() -> None:
    df = analysis.from_table(LONG.iloc[:0], **ARGUMENTS)
    assert df.empty
    assert df.dtypes.to_dict() == analysis.from_table(LONG, **ARGUMENTS).dtypes.to_dict()


def test_a_missing_value_column_is_named_with_those_there() -> None:
    with pytest.raises(LookupError, match=r"'accuracy'.*'acc'"):
        analysis.from_table(LONG, **ARGUMENTS | {"value": "accuracy"})


@pytest.mark.parametrize("bad", [np.nan, np.inf, "n/a"])
def test_values_that_are_no_finite_numbers_are_counted_and_the_first_is_shown(bad: object) -> None:
    broken = LONG.astype({"acc": object})
    broken.iloc[2, 2] = bad
    broken.iloc[3, 2] = bad
    with pytest.raises(ValueError, match=rf"2 of 4 lines.*{bad}.*line 2 \(index 8\)"):
        analysis.from_table(broken, **ARGUMENTS)


def test_empty_names_and_seeds_that_are_no_numbers() -> None:
    with pytest.raises(ValueError, match=r"arch.*1 of 4"):
        analysis.from_table(LONG.replace({"net": {"b": None}}).iloc[[0, 1, 2, 0]], **ARGUMENTS)
    with pytest.raises(ValueError, match=r"seed.*whole numbers.*4 of 4"):
        analysis.from_table(LONG, **ARGUMENTS, seed="net")


def test_a_metric_per_line_is_not_averaged_with_another() -> None:
    mixed = pd.concat([LONG.assign(kind="top1"), LONG.assign(kind="top5")])
    df = analysis.from_table(mixed, **ARGUMENTS, metric="kind")
    assert len(df) == 6
    with pytest.raises(ValueError, match=r"mixes metrics"):
        analysis.correlate(df)
