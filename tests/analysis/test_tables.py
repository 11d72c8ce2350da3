"""Rows from tables of other sources: columns or constants, averaged repeats, helpful errors."""

import datetime
from decimal import Decimal

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


@pytest.mark.parametrize("as_type", [str, int, "Int64", object, Decimal, lambda n: f"{n}.0"])
def test_neighbouring_seeds_beyond_the_floats_stay_two(as_type) -> None:
    seeds = [2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
    named = isinstance(as_type, str) or as_type is object
    column = pd.Series(seeds, dtype=as_type) if named else pd.Series([as_type(n) for n in seeds])
    df = analysis.from_table(LONG.assign(net="a", acc=[1.0, 2.0, 3.0, 4.0], run=column.array), **ARGUMENTS, seed="run")
    assert df["seed"].tolist() == seeds
    assert df["score_best"].tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "bad", [2**63, "9223372036854775808", -(2**63) - 1, 1e19, 2.0**54, 1.5, "1e400", True, "1_000", 10**400, None, b"x"]
)
def test_seeds_that_64_bits_do_not_hold_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"seed \(column 'run'\) must be whole numbers.*1 of 4 lines.*line 2"):
        analysis.from_table(LONG.assign(run=[1, 2, bad, 3]).astype({"run": object}), **ARGUMENTS, seed="run")


@pytest.mark.parametrize(
    "bad", [10**400, "1e400", True, "True", datetime.date(2020, 1, 1), pd.Timestamp(0), 1j, "0x10", [1.0], {}]
)
def test_values_that_are_no_numbers_by_their_kind_or_their_size_are_refused(bad: object) -> None:
    broken = LONG.assign(acc=pd.Series([1.0, 2.0, bad, 3.0], dtype=object).array)
    with pytest.raises(ValueError, match=r"must be finite numbers; 1 of 4 lines.*line 2"):
        analysis.from_table(broken, **ARGUMENTS)


@pytest.mark.parametrize("dtype", ["bool", "datetime64[ns]", "timedelta64[ns]", "complex128"])
def test_columns_whose_type_is_no_number_are_neither_values_nor_seeds(dtype: str) -> None:
    column = np.array([0, 1, 1, 1]).astype(dtype)
    with pytest.raises(ValueError, match="must be finite numbers; 4 of 4"):
        analysis.from_table(LONG.assign(acc=column), **ARGUMENTS)
    with pytest.raises(ValueError, match="must be whole numbers"):
        analysis.from_table(LONG.assign(run=column), **ARGUMENTS, seed="run")


def test_integers_that_python_does_not_write_out_are_told_by_their_size() -> None:
    broken = LONG.assign(acc=pd.Series([1.0, 2.0, 10**5000, 3.0], dtype=object).array)
    with pytest.raises(ValueError, match=r"first an integer of 16,610 bits on line 2"):
        analysis.from_table(broken, **ARGUMENTS)


def test_names_as_bytes_are_their_text_and_lists_are_no_names() -> None:
    binary = LONG.assign(net=["é|1".encode(), b"b", b"c", b"d"], on=[7, 7.5, "x", Decimal(3)])
    df = analysis.from_table(binary, **ARGUMENTS)
    assert df["arch"].tolist() == ["é|1", "b", "c", "d"]
    assert df["dataset"].tolist() == ["7", "7.5", "x", "3"]
    for bad in (b"\xff", ["a"], ("a",), {"a": 1}, np.array([1, 2])):
        broken = LONG.assign(net=pd.Series(["a", "b", bad, "d"], dtype=object).array)
        with pytest.raises(ValueError, match=r"arch \(column 'net'\) must be text.*1 of 4 lines.*line 2"):
            analysis.from_table(broken, **ARGUMENTS)
