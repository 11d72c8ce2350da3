"""Formats for programs are complete and exact; formats for readers are short and escaped."""

import io
import json
import math
import re

import made_up
import numpy as np
import pandas as pd
import pytest
from made_up import failed, population, row

import analysis
from analysis.rows.schema import frame


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    few = [row(space="chain", arch=a, task=t) for a in "ab" for t in ("cls", "rot")]  # too few to say anything
    return analysis.correlate(pd.DataFrame(population(12, datasets=("cifar10", "imagenet")) + few))


def test_json_and_csv_give_every_column_to_the_last_digit(found: pd.DataFrame) -> None:
    assert found["rho"].isna().any()
    records = json.loads(analysis.to_json(found), parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert [list(record) for record in records] == [list(found)] * len(found)
    assert [record["rho"] for record in records] == [None if math.isnan(v) else v for v in found["rho"]]
    back = pd.read_csv(
        io.StringIO(analysis.to_csv(found)),
        dtype=found.dtypes.to_dict(),
        keep_default_na=False,
        na_values={c: [""] for c in found.select_dtypes(["float", "boolean"])},
    )
    pd.testing.assert_frame_equal(back, found, check_exact=True)


def test_what_json_has_no_word_for() -> None:
    table = pd.DataFrame(
        {
            "x": [math.inf, -math.inf],
            "t": [pd.NaT, pd.Timestamp("2026-01-02", tz="UTC")],
            "n": pd.array([None, 2**62 + 1], "Int64"),
            "l": [np.array([0.1, math.nan]), {"a": 1}],
            "s": ["\x1b[2J", "é"],
        }
    )
    first, second = json.loads(analysis.to_json(table))
    assert first == {"x": None, "t": None, "n": None, "l": [0.1, None], "s": "\x1b[2J"}
    assert second == {"x": None, "t": "2026-01-02T00:00:00+00:00", "n": 2**62 + 1, "l": {"a": 1}, "s": "é"}
    assert analysis.to_json(table).isascii()
    assert analysis.to_csv(table).splitlines()[1].split(",", 3)[2:] == ["", '"[0.1, null]",\x1b[2J']
    assert json.loads(analysis.to_json(table.head(0))) == []


def test_readers_get_short_tables_that_tell_all_cells_apart(found: pd.DataFrame) -> None:
    shown = analysis.TABLES["correlate"].shown
    view = analysis.for_display(found, shown=shown)
    assert list(view) == ["space", "x", "y", "n", "dropped", "rho", "interval", "tau", "r", "p", "p_perm"]
    assert view[["space", "x", "y"]].drop_duplicates().shape[0] == len(found)
    assert {"cifar10 rot", "imagenet rot"} <= set(view["x"])
    same = found[found["x_dataset"] == found["y_dataset"]]
    one = analysis.for_display(same.query("x_dataset == 'imagenet'"), shown=shown)
    assert set(one["x"]) == {"col", "jig", "rot"}, "one dataset goes without saying"
    assert view.loc[view["space"] == "chain", ["rho", "interval"]].to_numpy().tolist() == [["–", "–"]]
    k = (view["space"] == "darts").argmax()
    assert view["rho"][k] == f"{found['rho'][k]:.3f}"
    assert view["interval"][k] == f"[{found['rho_low'][k]:.2f}, {found['rho_high'][k]:.2f}]"


def test_latex_is_a_table_and_never_a_command() -> None:
    table = pd.DataFrame(
        {"a_b": ["[x]", r"\input{/etc/passwd}", "50 % & $x^2_i$ ~"], "rho": ["-0.5", "–", "[−0.1, 1]"]}
    )
    text = analysis.to_latex(table)
    assert text.splitlines()[:4] == [r"\begin{tabular}{lr}", r"\toprule", r"a\_b & $\rho$ \\", r"\midrule"]
    assert r"{[}x{]} & $-$0.5 \\" in text
    assert r"50 \% \& \$x\textasciicircum{}2\_i\$ \textasciitilde{} & {[}$-$0.1, 1{]} \\" in text
    assert not re.search(r"\\input", text)
    assert all(line.count("&") - line.count(r"\&") == 1 for line in text.splitlines() if line.endswith(r"\\"))


@pytest.mark.parametrize("name", list(analysis.TABLES))
def test_every_named_table_can_be_shown_and_written(name: str) -> None:
    rows = population(12, datasets=("cifar10", "imagenet"), tasks=("cls", "rot"), seeds=(1, 2))
    rows = frame(made_up.table([*rows, failed(task="cls", arch="a")]))
    for df in (rows, rows.head(0)):
        table = analysis.compute(name, df)
        view = analysis.for_display(table, shown=analysis.TABLES[name].shown)
        assert len(view) == len(table)
        assert analysis.to_latex(view).count("\\\\\n") == len(table) + 1
        assert analysis.to_markdown(view).count("\n") == len(table) + 2
        assert len(json.loads(analysis.to_json(table))) == len(table)
    with pytest.raises(ValueError, match="no option colour"):
        analysis.compute(name, rows, colour="red")
    with pytest.raises(LookupError, match="there are correlate"):
        analysis.compute("none", rows)
