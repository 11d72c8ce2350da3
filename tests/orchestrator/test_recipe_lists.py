"""Sweeps over several recipes, and over all architectures of a space."""

from pathlib import Path

import pytest

import spaces
import workers
from orchestrator.store.run_folder import RunStore
from orchestrator.study import schema as studies
from orchestrator.study.frozen import differs, freeze
from orchestrator.study.plan import architectures, plan, trial_of

TEXT = """
name = "several"
path = "{path}"
[[sweeps]]
space = "nasbench101"
architectures = {{ sample = 2 }}
dataset = "cifar10"
tasks = ["cls", "rot"]
seeds = [1, 2, 3]
recipe = {recipe}
override = {{ epochs = 3 }}
"""


def study(path: Path, recipe: str = '["demo", "unnas"]') -> studies.Study:
    return studies.parse(TEXT.format(path=path, recipe=recipe), "several")


def test_trials_are_the_product_of_architectures_tasks_seeds_and_recipes(tmp_path: Path) -> None:
    both = plan(study(tmp_path)).table
    rows = both.to_pylist()
    assert len({(r["arch"], r["task"], r["seed"], r["recipe"]) for r in rows}) == 2 * 2 * 3 * 2
    for row in rows:
        trial = trial_of(row)
        assert (trial.id, trial.recipe.epochs) == (row["trial_id"], 3)
        assert (row["params"], row["macs"]) == workers.cost(trial)


def test_a_list_plans_the_trials_of_one_sweep_per_recipe(tmp_path: Path) -> None:
    apart = [set(plan(study(tmp_path, f'"{name}"')).table["trial_id"].to_pylist()) for name in ("demo", "unnas")]
    both = plan(study(tmp_path)).table["trial_id"].to_pylist()
    assert set(both) == apart[0] | apart[1]
    assert len(both) == len(apart[0]) + len(apart[1])


def test_the_study_in_the_folder_of_a_run_is_the_same_study(tmp_path: Path) -> None:
    store, chosen = RunStore(str(tmp_path)), study(tmp_path)
    freeze(chosen, store, plan(chosen))
    assert not differs(chosen, store)
    assert differs(study(tmp_path, '"demo"'), store)
    stored = studies.load(str(tmp_path))
    assert plan(stored).table.equals(plan(chosen).table)


@pytest.mark.parametrize(("space", "distinct"), [("chain", 121), ("nasbench201", 6466)])
def test_all_architectures_are_all_texts_of_the_space(space: str, distinct: int) -> None:
    """Isomorphic ones too: benchmarks have a value for each text."""
    text = TEXT.format(path="x", recipe='"demo"').replace("nasbench101", space).replace("sample = 2", "all = true")
    archs, drawn = architectures(studies.parse(text, "all").sweeps[0])
    assert drawn is None
    found = spaces.get(space)
    assert len(set(archs)) == len(archs) == spaces.enumerable(space).n_archs
    assert len({found.arch_id(arch) for arch in archs}) == distinct
    assert {found.normal(arch) for arch in archs} == set(archs)


def test_all_architectures_of_a_space_that_cannot_be_listed_are_refused_with_what_can_be_done() -> None:
    sweep = study(Path("x")).sweeps[0]
    everything = sweep.architectures.model_copy(update={"sample": None, "all": True})
    with pytest.raises(LookupError, match=r"'nasbench101' cannot be listed; draw some .*nasbench201 \(15,625\)"):
        architectures(sweep.model_copy(update={"architectures": everything}))
