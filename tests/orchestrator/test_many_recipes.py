"""Studies of many recipes on a terminal of 80 columns, and the time that scores and lookups take."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import spaces
from orchestrator import runner
from orchestrator.cli import cell_names, preview
from orchestrator.cli.score_lines import tables
from orchestrator.store.run_folder import RunStore
from orchestrator.store.scores import Scores
from orchestrator.study import schema as studies
from workers.row import parquet_bytes

PROXIES = ["params", "flops", "grad_norm", "snip", "grasp", "fisher", "synflow", "jacov", "nwot", "zen", "epe_nas"]
TEXT = """
name = "many"
path = "{path}"
[[sweeps]]
space = "nasbench201"
architectures = {{ sample = {archs} }}
dataset = "cifar10"
tasks = {tasks}
recipe = {recipes}
[execution]
engine = "inline"
"""


def study(path: Path, recipes: list[str], tasks: tuple[str, ...] = ("cls",), archs: int = 2) -> studies.Study:
    return studies.parse(TEXT.format(path=path, recipes=recipes, tasks=list(tasks), archs=archs), "many")


def printed(chosen: studies.Study) -> str:
    out = Console(file=io.StringIO(), width=80)
    preview.show(preview.preview(chosen), out)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_every_recipe_is_read_in_a_plan(tmp_path: Path) -> None:
    recipes = [f"zero_cost/{name}" for name in PROXIES]
    said = printed(study(tmp_path, recipes))
    assert [name for name in recipes if f"\n{name} " not in said] == []
    assert "all of space nasbench201, dataset cifar10, task cls" in said
    assert max(map(len, said.splitlines())) <= 80


def test_many_cells_have_one_line_for_the_variants_of_a_recipe(tmp_path: Path) -> None:
    recipes = ["demo", *(f"zero_cost/{name}" for name in PROXIES)]
    said = printed(study(tmp_path, recipes, tasks=("cls", "rot", "col"))).splitlines()
    assert sum(" demo " in line for line in said) == 3
    assert sum("zero_cost (11)      22     0    22" in line for line in said) == 3


def test_constant_parts_are_shown_where_there_is_room() -> None:
    cells = [("darts", "scenes", "cls", "demo"), ("darts", "scenes", "rot", "demo")]
    assert cell_names.shown(cells, 40) == ([0, 1, 2], "")
    assert cell_names.shown(cells, 10) == ([2], "space darts, dataset scenes")
    assert cell_names.shown(cells[:1], 3) == ([0, 1, 2], "")


def test_scores_of_many_cells_are_listed_where_they_need_attention() -> None:
    fine = Scores(20, 1.0, 2.0, 3.0, "snip", None, None, 0)
    odd = Scores(20, 1.0, 2.0, 3.0, "snip", None, None, 0, missing=7)
    found = {("darts", "scenes", "cls", f"zero_cost/{k}"): fine for k in range(41)}
    found[("darts", "scenes", "cls", "zero_cost/odd")] = odd
    table, line = tables(found, 80)
    assert not isinstance(table, str)
    assert table.row_count == 1
    assert line == "41 further cells have finite and different scores; `status --json` has their ranges"


def test_scores_are_estimated_as_scores_and_need_no_gpu(tmp_path: Path) -> None:
    """300 cells: minutes for a proxy that reads images, seconds for one that counts; a training takes months."""
    hours = {}
    for name in ("zero_cost/params", "zero_cost/synflow", "zero_cost/snip", "nasbench201"):
        found = preview.preview(study(tmp_path, [name], archs=300))
        hours[name] = found.left.seconds / 3600
        assert found.device == ("gpu" if name == "nasbench201" else "cpu")
        assert bool(found.checkpoint_bytes) == (name == "nasbench201")
    assert hours["zero_cost/params"] < hours["zero_cost/snip"] / 2
    assert hours["zero_cost/snip"] < 0.5
    assert hours["nasbench201"] > 10


@pytest.mark.parametrize("limit", [1, None])
def test_the_clock_of_a_table_is_not_the_time_of_a_lookup(tmp_path: Path, limit: int | None) -> None:
    chosen = study(tmp_path / "run", ["lookup"], archs=4)
    sweep = chosen.sweeps[0].model_copy(update={"override": {"table": str(tmp_path / "table.parquet")}})
    chosen = chosen.model_copy(update={"sweeps": (sweep,)})
    archs = spaces.enumerable("nasbench201").archs()
    same = {"space": "nasbench201", "dataset": "cifar10", "task": "cls", "recipe": "e200", "status": "ok"}
    rows = [
        same | {"arch": arch, "seed": 1, "score_best": 0.5 + k / 1e5, "train_s": 1e5} for k, arch in enumerate(archs)
    ]
    (tmp_path / "table.parquet").write_bytes(parquet_bytes(rows))
    assert runner.run(chosen, limit=limit).trained == (limit or 4)
    store = RunStore(str(tmp_path / "run"))
    assert set(store.attempts(["train_s"])["train_s"].to_pylist()) == {1e5}
    left = preview.preview(chosen).left
    assert left.seconds < 100
    assert left.count == 4 - (limit or 4)
    assert left.measured == left.count
