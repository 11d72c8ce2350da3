"""Correlate, query and export from a shell: on a terminal, into a pipe, over several runs."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from orchestrator.store.run_folder import RunStore

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
from made_up import failed, population, write_part, write_plan, write_run

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(archsweep: Say) -> Say:
    """Exit code, standard output and the rest, at 80 columns."""
    return archsweep


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two studies, as figure 4 of the paper spans: the same architectures on two datasets."""
    return [write_run(tmp_path / name, population(9, datasets=(name,))) for name in ("cifar10", "imagenet")]


def test_a_ranking_by_luck_is_marked_on_the_terminal(say: Say, tmp_path: Path) -> None:
    rows = [row | {"test_images": 10_000, "chance": 1 / 24} for row in population(16, tasks=("cls", "jig"))]
    luck = np.random.default_rng(0).binomial(10_000, 1 / 24, 16) / 10_000
    for line, score in zip((line for line in rows if line["task"] == "jig"), luck, strict=True):
        line["score_best"] = line["score_final"] = float(score)
    run = write_run(tmp_path / "run", rows)
    _, out, _ = say("correlate", run)
    (rho,) = analysis.correlate(analysis.load(run))["rho"]
    assert f"({rho:.3f})" in out
    why = "jig: not above chance (4.17 % on 10,000 test images)"
    assert f"no signal, so rho is in parentheses, in 1 line: {why}" in out
    _, out, _ = say("correlate", run, "--of", "signal")
    assert f"no signal in 1 line: {why}" in out
    assert max(map(len, out.splitlines()[:3])) <= 80
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["no", "yes"]


def test_correlations_of_two_studies_in_every_output(say: Say, runs: list[Path]) -> None:
    expected = analysis.correlate(analysis.load(*runs))
    code, out, err = say("correlate", *runs)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 2 + len(expected) + 2 == 2 + 28 + 2  # the space, the heads; two notes
    assert "hidden columns (terminal too narrow): p, p_perm; --csv" in out.splitlines()[-2]
    assert out.splitlines()[-1] == "no value in 4 lines: no interval, as every resample gives the same"
    assert max(map(len, out.splitlines())) <= 80
    assert "cifar10 rot   imagenet cls" in out
    assert f"{expected['tau'].iloc[-1]:.3f}" in out.splitlines()[-3]
    records = json.loads(say("correlate", *runs, "--json")[1])
    assert [record["rho_low"] for record in records] == expected["rho_low"].replace(np.nan, None).tolist()
    table = pd.read_csv(io.StringIO(say("correlate", *runs, "--csv")[1]))
    assert table["p"].tolist() == expected["p"].tolist()
    assert say("correlate", *runs, "--latex")[1].count(r"\\") == 1 + len(expected)
    assert say("correlate", *runs, "--markdown")[1].count("\n") == 2 + len(expected)
    across = json.loads(say("correlate", *runs, "--json", "--across")[1])
    assert len(across) == 16
    final = json.loads(say("correlate", *runs, "--json", "--score", "params")[1])
    assert [record["rho"] for record in final] == [None] * 28, "all have as many parameters"


def test_other_tables_of_the_rows_by_name(say: Say, runs: list[Path]) -> None:
    code, out, _ = say("correlate", *runs, "--of", "means", "--json")
    assert code == 0
    assert [r["mean"] for r in json.loads(out)] == analysis.means(analysis.load(*runs))["mean"].tolist()
    assert "imagenet jig" in say("correlate", *runs, "--of", "means")[1]
    for words, wrong in [
        (("--of", "mean"), "no table 'mean'; there are correlate"),
        (("--of", "means", "--common", "pair"), "the table means has no option common"),
        (("--of", "means", "--across"), "has no pairs of cells"),
        (("--csv", "--json"), "--json and --csv are different outputs"),
        (("--score", "scoer"), "no column 'scoer'"),
    ]:
        code, out, err = say("correlate", *runs, *words)
        assert (code, out) == (2, ""), words
        assert wrong in " ".join(err.split())


def test_what_is_printed_of_a_partial_run_says_so_beside_it(say: Say, tmp_path: Path) -> None:
    rows = population(9)
    write_plan(tmp_path / "x", rows)
    write_part(tmp_path / "x", rows[:30])
    code, out, err = say("correlate", tmp_path / "x", "--json")
    assert (code, err.strip()) == (0, "partial: 30 of 36 planned trials done")
    assert len(json.loads(out)) == 6
    of_pairs = json.loads(say("correlate", tmp_path / "x", "--json", "--common", "pair")[1])
    assert max(line["n"] for line in of_pairs) > json.loads(out)[0]["n"]
    code, _, _ = say("report", tmp_path / "x", "--common", "pair", "--resamples", 0, "--to", tmp_path / "report")
    assert code == 0
    assert "in both cells of the pair" in (tmp_path / "report" / "report.html").read_text()
    write_part(tmp_path / "x", rows[:1])
    assert "no two cells" in say("correlate", tmp_path / "x")[1]
    assert say("correlate", tmp_path / "x", "--csv")[1].startswith("space,x_dataset,"), "the header of an empty table"


def test_an_answer_in_sql_into_a_pipe(say: Say, runs: list[Path]) -> None:
    sql = "select dataset, seed, max(score_best) as best, 'a,\"b\x1b[2J' as odd from rows group by 1, 2 order by 1"
    best = analysis.load(*runs).groupby("dataset")["score_best"].max().tolist()
    assert [r["best"] for r in json.loads(say("query", *runs, sql, "--json")[1])] == best
    table = pd.read_csv(io.StringIO(say("query", *runs, sql, "--csv")[1]))
    assert table["best"].tolist() == best
    assert table["odd"].tolist() == ['a,"b\x1b[2J'] * 2, "into a file as it is"
    assert "\x1b" not in say("query", *runs, sql)[1]
    assert say("query", *runs, sql, "--latex")[1].startswith(r"\begin{tabular}{lrrl}")


def test_export_of_two_runs_keeps_curves_and_digits(say: Say, runs: list[Path], tmp_path: Path) -> None:
    assert say("export", *runs, tmp_path / "all.csv")[0] == 0
    table = pd.read_csv(tmp_path / "all.csv")
    assert table["run"].value_counts().to_dict() == {"cifar10": 36, "imagenet": 36}
    assert table["score_best"].tolist() == analysis.load(*runs)["score_best"].tolist()
    assert json.loads(table["curve_test_score"][0]) == [0.5, 0.9]
    assert say("export", *runs, runs[1] / "rows" / "x.csv")[0] == 2
    assert RunStore(str(runs[1])).listing("rows") == ["part-000.parquet"]


def test_the_second_table_of_across_obeys_the_options_of_the_first(say: Say, tmp_path: Path) -> None:
    rows = population(12, datasets=("cifar10", "imagenet"), tasks=("cls", "rot"))
    lost = next(line for line in rows if (line["task"], line["dataset"]) == ("rot", "imagenet"))
    lost["score_best"] = float("nan")
    run = write_run(tmp_path / "x", rows)
    for options in ({}, {"diverged": "drop"}, {"diverged": "drop", "chance": {"rot": 0.93}}, {"score": "score_final"}):
        given = {k: v for k, v in options.items() if k != "chance"}
        words = [word for k, v in given.items() for word in (f"--{k}", v)]
        words += [word for k, v in options.get("chance", {}).items() for word in ("--chance", f"{k}={v}")]
        table = analysis.random_experiment(analysis.load(run), **options).query("m == 4")  # type: ignore[arg-type]
        _, out, err = say("correlate", run, "--across", "--resamples", 0, *words)
        second = out.split("expected target score")[1].splitlines()
        for line in table.itertuples():
            (shown,) = [one for one in second if one.startswith(f"darts  {line.proxy_dataset} {line.proxy_task} ")]
            assert f" {line.n} " in shown, options
            assert f"{line.expected:.4f}" in shown, options
        assert err == ""
    _, out, err = say("correlate", run, "--across", "--csv")
    assert "--of random_experiment" in err, "what a file cannot hold beside the first table is announced"
    assert len(pd.read_csv(io.StringIO(out))) == 4


def test_counts_are_numbers_and_ids_where_nothing_is_rounded(say: Say, tmp_path: Path) -> None:
    rows = population(5, datasets=("cifar10", "imagenet"), tasks=("cls", "rot"))
    text = "a cause that takes many more than ninety characters to tell, " * 3 + "\nand a second line"
    rows += [failed(arch=f"darts000{k}", seed=2, error_text=text) for k in range(3)]
    run = write_run(tmp_path / "x", rows)
    cells = json.loads(say("correlate", run, "--of", "cells", "--json")[1])
    best = analysis.means(analysis.load(run)).groupby(["dataset_id", "task"])["mean"].max()
    assert len(cells) == 4
    for cell in cells:
        assert cell["space"] == "darts"
        assert cell["best"] == best[cell["dataset_id"], cell["task"]]
        assert cell["recipe_id"] == f"unnas-darts-{cell['task']}"
        assert cell["hours"] == pytest.approx(36 * (8 if cell["failed"] else 5) / 3600)
        assert cell["failed"] == 3 * (cell["dataset"] == "cifar10" and cell["task"] == "cls")
    (failure,) = json.loads(say("correlate", run, "--of", "failures", "--json")[1])
    assert failure["text"] == text.splitlines()[0]
    assert (failure["attempts"], failure["trials"]) == (3, 3)
    ids = analysis.load(run).query("status == 'failed'")["trial_id"]
    assert failure["trial_ids"] == sorted(ids)
    assert "trial_ids" not in say("correlate", run, "--of", "failures")[1]


def test_why_numbers_are_missing_stands_below_the_table(say: Say, tmp_path: Path) -> None:
    rows = population(8, tasks=("cls", "rot", "jig"))
    for line in rows:
        line["score_best"] = 1.0 if line["task"] == "rot" else line["score_best"]
    run = write_run(tmp_path / "x", rows)
    for table in ("correlate", "rho_by_seeds", "compare_proxies"):
        out = " ".join(say("correlate", run, "--of", table)[1].split())
        assert "rot: all 8 have the same score" in out, table
    assert "all 8" not in say("correlate", run, "--of", "correlate", "--markdown")[1]
    alone = write_run(tmp_path / "alone", population(1))
    assert "no value in 6 lines: 1 architecture to compare (3 are needed)" in say("correlate", alone)[1]
    one = write_run(tmp_path / "one", population(12, tasks=("cls",)))
    out = say("correlate", one)[1]
    assert "one cell only" in out
    assert "yet" not in out, "nothing more is to come"


def test_a_level_of_chance_is_one_score_or_one_for_each_task(say: Say, tmp_path: Path) -> None:
    run = write_run(tmp_path / "x", population(9, tasks=("cls", "rot")))
    df = analysis.load(run)
    for words, chance in ((("0.93",), 0.93), (("rot=0.94", "cls=0.9"), {"rot": 0.94, "cls": 0.9})):
        flags = [part for word in words for part in ("--chance", word)]
        (line,) = json.loads(say("correlate", run, "--json", "--resamples", 0, *flags)[1])
        expected = analysis.correlate(df, resamples=0, chance=chance).iloc[0]
        assert (line["rho"], line["x_diverged"], line["rule"]) == tuple(expected[["rho", "x_diverged", "rule"]])
    for words, wrong in ((("much",), "--chance much"), (("rot=x",), "TASK=SCORE"), (("0.1", "rot=0.2"), "one score")):
        flags = [part for word in words for part in ("--chance", word)]
        code, _, err = say("correlate", run, *flags)
        assert code == 2
        assert wrong in " ".join(err.split())
