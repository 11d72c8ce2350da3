"""The recipes and queries of docs/ work on generated runs, and the example on the published table."""

import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import analysis
from orchestrator.cli import main

sys.path.insert(0, str(Path(__file__).parent / "analysis"))
from made_up import failed, population, write_part, write_plan, write_run

ROOT = Path(__file__).parents[1]
CELL = json.dumps({"cells": [{"nodes": ["in", "out"], "edges": [[0, 1, "sep_conv_3x3"], [0, 1, "none"]]}]})


def blocks(file: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / file).read_text(), flags=re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The commands of shell blocks as words, comments left out."""
    words = shlex.split(text, comments=True)
    starts = [k for k, word in enumerate(words) if word == "archsweep"] + [len(words)]
    return [words[start + 1 : end] for start, end in itertools.pairwise(starts)]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two studies: one of two seeds with failures, an architecture to come and graphs; one on another dataset."""
    rows = population(12, seeds=(1, 2))
    for line in rows:
        line["graph"] = CELL
    bad = [
        failed(arch="darts0012", attempt=n, task="cls", host=host, error_class="oom_cuda")
        for n, host in ((1, "a"), (2, "b"))
    ]
    write_plan(tmp_path / "runs/my-study", rows + population(13, seeds=(1, 2)))
    write_part(tmp_path / "runs/my-study", rows + bad)
    write_run(tmp_path / "runs/other", population(12, datasets=("imagenet",), seeds=(1,)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_recipes_in_pandas(runs: Path) -> None:
    found: dict[str, Any] = {}
    exec("\n".join(blocks("docs/cookbook.md", "python")), found)
    df = analysis.load("runs/my-study")
    assert found["best"].groupby("task").size().to_dict() == dict.fromkeys(("cls", "col", "jig", "rot"), 5)
    top = df[df["task"] == "rot"].groupby("arch")["score_best"].mean().idxmax()
    assert found["best"].query("task == 'rot'")["arch"].iloc[0] == top
    one = df[df["task"] == "jig"].groupby("arch")["score_best"].std()
    assert found["spread"].loc[("darts", "cifar10", "jig"), "seeds"] == pytest.approx((one**2).mean() ** 0.5)
    assert found["left"]["trials"].tolist() == [2] * 4
    assert found["curves"].groupby("trial_id").size().unique().tolist() == [2]
    assert found["curves"].loc[0, "train_loss"].tolist() == [2.0, 1.0]
    assert found["hours"]["sum"].sum() == pytest.approx(len(df) * 40 / 3600)
    assert found["wide"].shape == (12, 8)
    assert len(found["across"]) == 16
    assert found["text"].count(r"\\") == 17
    assert not found["failures"].empty
    assert len(found["by_size"]) == 4
    assert set(found["among_best"]["n"]) == {6}


def test_the_functions_of_the_page_on_statistics(runs: Path) -> None:
    found: dict[str, Any] = {"analysis": analysis}
    exec("\n".join(blocks("docs/statistics.md", "python")), found)
    assert not found["curved"].empty


@pytest.mark.parametrize("file", ["docs/cookbook.md", "docs/resume.md", "docs/rows.md"])
def test_the_queries_answer(file: str, runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    asked = [words for block in blocks(file, "sh") for words in commands(block) if words[0] == "query"]
    assert asked
    for words in asked:
        given = [word for word in words if not word.startswith("--")]
        monkeypatch.setattr("sys.argv", ["archsweep", *given, "--json"])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out = capsys.readouterr().out
        assert ended.value.code == 0, given
        answer = json.loads(out)
        assert answer, given
        assert all(value is not None for line in answer for value in line.values()), given


@pytest.mark.data
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_the_example_with_published_accuracies(whole: bool, data: Path, tmp_path: Path) -> None:
    """Its blocks as they stand; correlations as computed from the same accuracies by other means.

    `pytest -m soak` runs all; else the cells are not described, which takes most of the time, nor asked about in SQL.
    """
    file = data / "nasbench201" / "nasbench201.parquet"
    if not file.is_file():
        pytest.skip(f"no {file}")
    shutil.copy(file, tmp_path)
    archsweep = f"archsweep() {{ '{sys.executable}' -c 'from orchestrator.cli.main import main; main()' \"$@\"; }}\n"
    said = ""
    for language, block in re.findall(
        r"```(python|sh)\n(.*?)```", (ROOT / "docs/example-nasbench201.md").read_text(), flags=re.DOTALL
    ):
        if not whole:
            block = "" if "archsweep query" in block else block.replace("--space nasbench201", "--space NB201")
            block = block.replace("--csv", "--resamples 0 --csv")
        program = [sys.executable, "-c", block] if language == "python" else ["sh", "-ec", archsweep + block]
        done = subprocess.run(program, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=300)
        said += done.stdout
    assert "93,750 of 93,750 rows are new" in said
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert set(pairs["n"]) == {15625}
    sides = ["x_dataset", "x_recipe", "y_dataset", "y_recipe"]
    rho = {frozenset([(a, b), (c, d)]): round(r, 4) for a, b, c, d, r in pairs[[*sides, "rho"]].itertuples(index=False)}
    schedules = {"cifar10": 0.8705, "cifar100": 0.8242, "imagenet16_120": 0.8090}
    datasets = {
        ("cifar10", "cifar100"): 0.9802,
        ("cifar100", "imagenet16_120"): 0.9636,
        ("cifar10", "imagenet16_120"): 0.9593,
    }
    known = {frozenset([(name, "e12"), (name, "e200")]): value for name, value in schedules.items()}
    known |= {frozenset([(a, "e200"), (b, "e200")]): value for (a, b), value in datasets.items()}
    assert {pair: rho[pair] for pair in known} == known
    assert re.search(r"1003 +0\.604", said), "of the thousand best, in Python"
    if whole:
        assert re.search(r"1003 +0\.604215", said), "Spearman's rho with the mean of equal ranks"
        assert re.search(r"5 +24 +93.409\d+ +94.363\d+", said)
