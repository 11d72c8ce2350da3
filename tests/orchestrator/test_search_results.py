"""A study of searches in this process: its tables on the command line, and its report."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

import analysis
import spaces
from orchestrator import runner

from .test_stages import DARTS, RETRAIN, study

Archsweep = Callable[..., tuple[int, str, str]]
RANDOM = RETRAIN.replace('found = "search"', "sample = 4, seed = 0").replace("seeds = [1, 2]", "seeds = [1]")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two searches, what they found with two seeds, and four random cells with one."""
    folder = tmp_path_factory.mktemp("searches") / "run"
    assert runner.run(study(folder, DARTS, RETRAIN, RANDOM)).exit_code == 0
    return folder


def test_the_tables_of_a_real_study(run: Path) -> None:
    df = analysis.load(run, curves=True, graphs=True)
    of = spaces.searchable("nasbench201")
    found = analysis.searches(df)
    assert sorted(found["objective_task"]) == ["cls", "rot"]
    trained = df[df["arch"] != "*"].groupby("arch")["score_best"].mean()
    random = df[(df["arch"] != "*") & ~df["arch"].isin(found["found"])]
    for line in found.to_dict("records"):
        assert line["score"] == pytest.approx(trained[line["found"]])
        assert (line["n_seeds"], line["reason"]) == (2, "")
        assert line["n"] == random["arch"].nunique() <= 4
        assert 0 <= line["percentile_low"] <= line["percentile"] <= line["percentile_high"] <= 100
        ops = [op for *_, op in of.graph(line["found"])["cells"][0]["edges"]]
        assert line["ops"] == {op: ops.count(op) for op in {*ops} - {"none"}}
        assert line["skips"] == ops.count("skip_connect")
        # The weights have hardly moved from their start.
        assert line["entropy"] == pytest.approx(math.log(5), abs=1e-3)
    alike = analysis.similarity(df)
    assert alike["between"].tolist() == ["objectives"]
    assert alike["n_random"].tolist() == [random["arch"].nunique()]
    curves = analysis.search_curves(df)
    assert set(curves["operation"]) == set(of.choices()["cell"].ops)
    assert curves.groupby("trial_id")["weight"].sum().tolist() == pytest.approx([1.0, 1.0])


def test_the_tables_on_the_command_line(run: Path, archsweep: Archsweep, tmp_path: Path) -> None:
    for name in ("searches", "search_targets", "search_curves", "similarity"):
        code, out, _ = archsweep("correlate", run, "--of", name)
        assert code == 0
        assert "darts" in out or name == "similarity"
        assert max(map(len, out.splitlines())) <= 80
        assert name in archsweep("list", "tables")[1]
    assert "random cells" in archsweep("correlate", run, "--of", "search_targets")[1]
    found = json.loads(archsweep("correlate", run, "--of", "searches", "--json")[1])
    file = tmp_path / "controls.txt"
    file.write_text(f"{found[0]['found']}\n\n")
    line, *_ = json.loads(archsweep("correlate", run, "--of", "searches", "--json", "--controls", file)[1])
    assert line["n"] == 0, "a cell is not compared with itself"
    for wrong, says in (("", "the file has no line"), ("other\n", "none of the 1 architectures given as controls")):
        file.write_text(wrong)
        code, out, err = archsweep("correlate", run, "--of", "searches", "--controls", file)
        assert (code, says in err + out) == (2, True)
    assert archsweep("correlate", run, "--of", "searches", "--controls", tmp_path / "none.txt")[0] == 2


def test_the_report_has_a_section_on_searches(run: Path, archsweep: Archsweep, tmp_path: Path) -> None:
    assert archsweep("report", run, "--to", tmp_path / "all", "--resamples", "50")[0] == 0
    text = (tmp_path / "all/report.html").read_text(encoding="utf-8")
    section = text.partition('<h2 id="searches">')[2].partition("<h2 ")[0]
    for title in ("Among random cells", "Cells that were found", "How the architectures formed", "Do independent"):
        assert title in section
    assert {path.stem for path in (tmp_path / "all/figures").iterdir()} >= {"searches-nasbench201", "found-nasbench201"}
    cells = set(analysis.load(run)["found"].dropna())
    assert section.count('<figure class="cell">') == len(cells)
    rest = analysis.load(run, curves=True)
    page = analysis.report(rest[rest["arch"] != "*"], tmp_path / "none", figures="none", resamples=50)
    assert 'id="searches"' not in page.read_text(encoding="utf-8")
    page = analysis.report(rest[rest["arch"] == "*"], tmp_path / "alone", figures="none", resamples=50)
    assert "not trained" in page.read_text(encoding="utf-8")
