"""An edited study: every command states which finished trials are no longer part of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.store.run_folder import RunStore
from orchestrator.study import frozen
from orchestrator.study import plan as planning
from orchestrator.study import schema as studies

from .conftest import Write
from .test_cli import Said
from .test_cli import say as say  # a fixture

Say = Callable[..., Said]


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_changed_value_hides_no_row_without_a_word(study: Write, say: Say, tmp_path: Path) -> None:
    file, run = study(archs=2, tasks=("cls",)), tmp_path / "run"
    assert say("run", file).code == 0
    said = say("status", file)
    assert "not in the study" not in said.out
    assert said.err == ""

    edit(file, "width = 4", "width = 6, lr = 0.05")
    told = "2 finished trials are not in the study any more (lr 0.1, now 0.05; width 4, now 6)"
    cure = "to have both, name both in the study, as by a second [[sweeps]]"
    planned = say("plan", file)
    assert told in planned.out
    assert cure in planned.out
    assert json.loads(say("plan", file, "--json").out)["left_out"] == 2
    edited = say("status", file)
    assert "2 of 2 trials done" in edited.out
    assert "was edited since the run" in edited.err
    assert f"archsweep plan {file}" in edited.err

    ran = say("run", file)
    assert told in ran.out
    assert cure in ran.out
    assert "2 trials fewer, 2 more" in ran.out
    assert told in say("status", run).out
    assert json.loads(say("status", run, "--json").out)["left_out"] == 2
    for words in (
        ("correlate", run),
        ("query", run, "select count(*) as n from rows"),
        ("export", run, tmp_path / "rows.csv"),
    ):
        said = say(*words)
        assert said.code == 0
        assert told in said.err, words
        assert told not in said.out
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 2


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("sample = 3", "sample = 1", "6 finished trials are not in the study any more (2 architectures)"),
        ("seeds = [1]", "seeds = [2, 3]", "3 finished trials are not in the study any more (seed 1, now 2, 3)"),
        ("sample = 3", "sample = 3", ""),
    ],
)
def test_what_differs_is_named(old: str, new: str, differs: str, study: Write, say: Say, tmp_path: Path) -> None:
    """Over rows that are made up: nothing is trained."""
    file = study(archs=3, tasks=("cls",), seeds=(1,) if "seeds" in old else (1, 2, 3))
    chosen = studies.load(str(file))
    store, planned = frozen.open_run(chosen), planning.plan(chosen)
    frozen.freeze(chosen, store, planned)
    of_plans = ["graph", "train_images", "test_images", "own", "executed", "after", "base"]
    for row in planned.table.drop_columns(of_plans).to_pylist():
        store.publish_attempt(row | {"launch": "a", "attempt": 1, "status": "ok"})
    edit(file, old, new)
    said = say("plan", file)
    assert differs in said.out
    assert ("not in the study" in said.out) == bool(differs)


def test_a_study_that_was_edited_in_the_run_s_folder_is_not_overwritten_in_silence(
    study: Write, say: Say, tmp_path: Path
) -> None:
    file, run = study(archs=1, tasks=("cls",)), tmp_path / "run"
    assert say("run", file).code == 0
    assert "study.toml" not in say("run", file).out
    edit(run / "study.toml", "sample = 1", "sample = 2")
    said = say("run", file)
    assert said.code == 0
    assert f"{run}/study.toml differs from this study, which replaces it: 0 trials fewer, 0 more" in said.out
    edit(run / "study.toml", "sample = 1", "sample = 2")
    assert "2 of 2 trials done (1 trained now)" in say("run", run).out


def test_the_run_of_another_study_is_not_shown_as_this_one_s(study: Write, say: Say, tmp_path: Path) -> None:
    file = study(archs=1, tasks=("cls",))
    RunStore(str(tmp_path / "run")).write(b'name = "other"\n', "study.toml")
    for verb in ("status", "plan", "run"):
        said = say(verb, file)
        assert said.code == 2
        assert "is the run of study 'other', not of 'tiny'" in said.err


def test_a_moved_data_folder_is_no_edit(study: Write, say: Say) -> None:
    file = study(archs=1, tasks=("cls",))
    assert say("run", file).code == 0
    edit(file, 'name = "tiny"', 'name = "tiny"\ndata_root = "/somewhere/else"')
    assert "was edited" not in say("status", file).err
