"""A study of proxies is planned, run, resumed and stored like trainings, without data where none is needed."""

from pathlib import Path

import pytest

import analysis
from orchestrator import runner
from orchestrator.store.run_folder import RunStore
from orchestrator.study import schema as studies
from orchestrator.study.estimate import rate_of

from .conftest import Write

SWEEPS = """
[[sweeps]]
space = "nasbench201"
architectures = {{ sample = 3, seed = 0 }}
dataset = "{dataset}"
tasks = ["cls", "rot"]
recipe = "zero_cost/params"

[[sweeps]]
space = "nasbench201"
architectures = {{ sample = 3, seed = 0 }}
dataset = "{dataset}"
tasks = ["cls", "rot"]
recipe = "zero_cost/{other}"
override = {{ width = 4, depth = 1, batch = 4 }}
"""


def write(folder: Path, dataset: str, other: str) -> studies.Study:
    head = f'name = "p"\npath = "{folder / "run"}"\ndata_root = "{folder}"\n'
    return studies.parse(
        head + SWEEPS.format(dataset=dataset, other=other) + '\n[execution]\nengine = "inline"\n', "test"
    )


def test_scores_lie_beside_trainings_in_one_run(study: Write) -> None:
    text = study(archs=2, tasks=("cls",)).read_text()
    trained = text[text.index("[[sweeps]]") : text.index("[execution]")]
    scored = trained[: trained.index("override")].replace("demo", "zero_cost/jacob_cov")
    both = studies.parse(text.replace("[execution]", scored + "override = { width = 4, batch = 8 }\n[execution]"), "x")
    assert runner.run(both).left == 0
    rows = analysis.load(both.path)
    assert set(zip(rows["recipe"], rows["method"], rows["metric"], strict=True)) == {
        ("demo", "train", "top1"),
        ("zero_cost/jacov", "score", "jacov"),
    }
    assert rows["score_best"].notna().all()
    assert set(rate_of(RunStore(both.path))) == {("chain", "cls", "train"), ("chain", "cls", "score")}


def test_a_study_of_proxies_without_images_needs_no_data(tmp_path: Path) -> None:
    whole = write(tmp_path, "cifar10", "synflow")
    assert runner.run(whole).left == 0
    rows = analysis.load(whole.path)
    assert len(rows) == 12
    assert (rows["score_best"] > 0).all()
    again = runner.run(whole)
    assert (again.left, len(analysis.load(whole.path))) == (0, 12)


def test_a_proxy_that_reads_images_asks_for_them_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cifar10"):
        runner.run(write(tmp_path, "cifar10", "snip"))
    assert not list((tmp_path / "run").glob("attempts/*"))
