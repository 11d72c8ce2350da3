"""Studies in two stages of a second or two, for the tests of such studies."""

from pathlib import Path
from typing import Any

import pytest

import spaces
from orchestrator import runner
from orchestrator.store.run_folder import RunStore
from orchestrator.study import schema as studies

DATA = '{ name = "shapes", kind = "scenes", images = [64, 32], size = 16, classes = 4 }'
SEARCH = f"""
[[sweeps]]
name = "search"
space = "nasbench201"
dataset = {DATA}
tasks = ["cls", "rot"]
recipe = "random_search/params"
override = {{ candidates = 2 }}
"""
DARTS = SEARCH.replace("random_search/params", "darts").replace(
    "candidates = 2", "epochs = 1, width = 2, depth = 1, batch = 16, test_batch = 32, precise_bn = 0"
)
RETRAIN = f"""
[[sweeps]]
space = "nasbench201"
architectures = {{ found = "search" }}
dataset = {DATA}
tasks = ["cls"]
seeds = [1, 2]
recipe = "demo"
override = {{ epochs = 1, width = 2, depth = 1, batch = 32, test_batch = 32, precise_bn = 0 }}
"""
ENGINE = """
[execution]
engine = "inline"
"""
SCIENCE = ("trial_id", "arch", "task", "seed", "score_best", "train_loss", "found", "curve_test_score")
NB201 = spaces.searchable("nasbench201")
CELLS = spaces.sample(NB201, 3, 0).archs


def study(folder: Path, *sweeps: str, name: str = "stages") -> studies.Study:
    text = f'name = "{name}"\npath = "{folder}"\n' + "".join(sweeps or (SEARCH, RETRAIN)) + ENGINE
    return studies.parse(text, "study.toml")


def rows(folder: Path) -> list[tuple[Any, ...]]:
    """What the finished trials measured, by trial."""
    table = RunStore(str(folder)).attempts(["status", *SCIENCE]).to_pylist()
    return sorted(tuple(map(str, (row[name] for name in SCIENCE))) for row in table if row["status"] == "ok")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    ended = runner.run(study(folder))
    assert (ended.exit_code, ended.done, ended.total, ended.trained) == (0, 6, 6, 6)
    return rows(folder)
