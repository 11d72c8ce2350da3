"""Studies in two stages: searches, then trainings of what they found."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator import runner
from orchestrator.execution.growth import Growth
from orchestrator.execution.work_queue import Work
from orchestrator.store.run_folder import RunStore
from orchestrator.study import schema as studies
from orchestrator.study import searches
from orchestrator.study.frozen import differs
from orchestrator.study.plan import plan
from workers.methods._candidates import CandidatesRun, Scored
from workers.methods.random_search import RandomSearch

from .staged import DARTS, DATA, ENGINE, RETRAIN, SEARCH, rows, study
from .staged import undisturbed as undisturbed  # a fixture
from .test_cli import Said
from .test_cli import say as say  # a fixture
from .test_rehearsal import imported

Say = Callable[..., Said]


def test_a_study_ends_with_the_rows_of_the_cells_listed_by_hand(tmp_path: Path) -> None:
    ended = runner.run(chosen := study(tmp_path / "run", DARTS, RETRAIN))
    assert (ended.exit_code, ended.trained) == (0, ended.total)
    found = rows(tmp_path / "run")
    cells = dict.fromkeys(row[6] for row in found if row[1] == "*")
    listed = RETRAIN.replace('found = "search"', f"list = {json.dumps(list(cells))}")
    assert runner.run(study(tmp_path / "listed", DARTS, listed)).exit_code == 0
    assert rows(tmp_path / "listed") == found
    planned = RunStore(chosen.path).plan()
    assert planned is not None
    assert planned.equals(plan(chosen, searches.found(chosen)).table)
    assert set(planned["trial_id"].to_pylist()) == {row[0] for row in found}
    assert runner.run(chosen).trained == 0
    assert not differs(studies.load(chosen.path), RunStore(chosen.path))
    assert runner.run(studies.load(chosen.path)).trained == 0


@contextmanager
def stopped_after_one(work: Work) -> Iterator[None]:
    work.listeners.append(lambda outcome: work.stopping.set())
    yield


def test_a_study_that_is_stopped_after_every_trial_ends_with_the_same_rows(
    tmp_path: Path, undisturbed: list[tuple[Any, ...]]
) -> None:
    codes = []
    while not codes or codes[-1]:
        codes.append(runner.run(study(tmp_path / "run"), watch=stopped_after_one).exit_code)
        assert len(codes) < 9
    assert codes == [3, 3, 3, 3, 3, 0]
    assert rows(tmp_path / "run") == undisturbed


def test_a_driver_killed_between_the_stages_resumes_from_the_rows(
    tmp_path: Path, undisturbed: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment after the row of the search was written, before the plan."""

    def killed(self: Growth, found: object) -> list[Any]:
        raise KeyboardInterrupt

    chosen = study(tmp_path / "run")
    for done in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(Growth, "add", killed)
            with pytest.raises(KeyboardInterrupt):
                runner.run(chosen, select=lambda row: row["arch"] == "*")
        assert len(rows(tmp_path / "run")) == done
    assert runner.run(chosen).exit_code == 0
    assert rows(tmp_path / "run") == undisturbed


def test_limits_and_selections_hold_for_trials_that_are_added(tmp_path: Path) -> None:
    chosen = study(tmp_path / "run")
    ended = runner.run(chosen, limit=3)
    assert (ended.trained, ended.left, ended.waiting, ended.exit_code) == (3, 3, {}, 3)
    chosen = study(tmp_path / "other")
    ended = runner.run(chosen, select=lambda row: row["seed"] != 2)
    assert (ended.trained, ended.total, ended.exit_code) == (4, 4, 0)
    ended = runner.run(chosen)
    assert (ended.trained, ended.exit_code) == (2, 0)


Fault = Callable[[pytest.MonkeyPatch], None]


def failing(patch: pytest.MonkeyPatch) -> None:
    """The search with the objective `rot` fails."""
    start = RandomSearch.start

    def wrong(self: RandomSearch, setting: Any) -> Any:
        if setting.trial.task == "rot":
            raise RuntimeError("no luck")
        return start(self, setting)

    patch.setattr(RandomSearch, "start", wrong)


def finding_nothing(patch: pytest.MonkeyPatch) -> None:
    """It ends without an architecture, as one that diverges."""
    start = RandomSearch.start

    def empty(self: RandomSearch, setting: Any) -> Any:
        run = start(self, setting)
        if setting.trial.task == "rot":
            run.columns = lambda: {"found": None}  # type: ignore[method-assign]
        return run

    patch.setattr(RandomSearch, "start", empty)


@pytest.mark.parametrize(
    ("fault", "why"), [(failing, "which failed"), (finding_nothing, "which found no architecture")]
)
def test_the_trials_of_a_search_without_result_wait_and_the_others_are_trained(
    tmp_path: Path, say: Say, fault: Fault, why: str
) -> None:
    chosen = study(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        ended = runner.run(chosen)
    search = plan(chosen).table["trial_id"][1].as_py()
    assert (ended.exit_code, ended.left, ended.waiting) == (1, 0, {search: 2})
    assert len([row for row in rows(tmp_path / "run") if row[1] != "*"]) == 2
    said = say("run", tmp_path / "run")
    assert (said.code, "0 trained now" in said.out) == (1, True)
    assert f"2 trainings wait for search {search}, {why}" in said.out
    assert f"2 trainings wait for search {search}, {why}" in say("status", tmp_path / "run").out
    assert f"2 trainings wait for search {search}, {why}" in say("plan", tmp_path / "run").out
    assert say("status", tmp_path / "run", "--watch").code == 1
    found = json.loads(say("status", tmp_path / "run", "--json").out)
    assert (found["waiting"], found["waiting_for"]) == (2, {search: 2})
    if fault is failing:
        said = say("retry", tmp_path / "run", "--failed")
        assert (said.code, "3 of 3 trials done (3 trained now)" in said.out) == (0, True)
        assert len(rows(tmp_path / "run")) == 6


def test_plan_and_status_count_what_waits(tmp_path: Path, say: Say) -> None:
    file = tmp_path / "study.toml"
    file.write_text(f'name = "stages"\npath = "{tmp_path / "run"}"\n{SEARCH}{RETRAIN}{ENGINE}')
    assert "4 trainings wait for 2 searches" in say("plan", file).out
    assert say("run", file, "--limit", "1").code == 3
    assert "2 trainings wait for 1 search," in say("plan", file).out
    told = json.loads(say("plan", file, "--json").out)
    assert (told["total"], told["done"], told["waiting"]) == (6, 1, 2)
    said = say("status", file).out
    assert "2 trainings wait for 1 search;" in said
    assert "which" not in said
    assert say("run", file).code == 0
    assert "wait" not in say("plan", file).out
    assert "wait" not in say("status", file).out


def test_what_another_run_has_found(tmp_path: Path, undisturbed: list[tuple[Any, ...]]) -> None:
    first = study(tmp_path / "searches", SEARCH, name="searches")
    second = study(tmp_path / "run", RETRAIN.replace('"search"', f'"{tmp_path}/searches"'))
    with pytest.raises(FileNotFoundError, match="searches', and there is no run"):
        plan(second)
    assert runner.run(first, limit=1).exit_code == 3
    ended = runner.run(second)
    assert (ended.exit_code, ended.trained, sum(ended.waiting.values())) == (1, 2, 2)
    assert runner.run(first).exit_code == 0
    ended = runner.run(second)
    assert (ended.exit_code, ended.trained, ended.waiting) == (0, 2, {})
    assert sorted([*rows(tmp_path / "searches"), *rows(tmp_path / "run")]) == undisturbed
    assert not differs(studies.load(second.path), RunStore(second.path))
    with pytest.raises(LookupError, match="no searches of the space darts"):
        plan(
            study(
                tmp_path / "run", RETRAIN.replace('"search"', f'"{tmp_path}/searches"').replace("nasbench201", "darts")
            )
        )


def test_data_of_the_second_stage_is_missed_before_anything_is_searched(tmp_path: Path) -> None:
    other = RETRAIN.replace(DATA, f'{{ name = "cifar10", path = "{tmp_path}/nowhere" }}')
    with pytest.raises(FileNotFoundError, match="nowhere"):
        runner.run(study(tmp_path / "run", SEARCH, other))
    assert rows(tmp_path / "run") == []


def test_a_cell_that_a_table_lacks_stops_the_launch_or_is_left_out(tmp_path: Path) -> None:
    """Of two searches among chains; the table has what one of them finds."""
    found = {7: "c3_c5", 8: "mp_mp"}
    imported(tmp_path)
    lookup = f"""
[[sweeps]]
space = "chain"
architectures = {{ found = "search" }}
dataset = "cifar10"
tasks = ["cls"]
recipe = "lookup/short"
override = {{ table = "{tmp_path}/table" }}
"""
    chains = SEARCH.replace("nasbench201", "chain").replace(DATA, '"cifar10"').replace('["cls", "rot"]', '["cls"]')
    chains = chains.replace('"search"\n', '"search"\nseeds = [7, 8]\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CandidatesRun, "_best", lambda run: Scored(found[run._setting.trial.seed], 1.0))
        ended = runner.run(study(tmp_path / "run", chains, lookup))
        assert ended.exit_code == 1
        assert re.search("could not be planned: .*table has no short of 1 of .*, such as mp_mp; ", str(ended.broken))
        with pytest.raises(LookupError, match=r"such as mp_mp; override = \{ missing"):
            runner.run(study(tmp_path / "run", chains, lookup))
        left_out = lookup.replace('table"', 'table", missing = "leave out"')
        ended = runner.run(study(tmp_path / "run", chains, left_out))
    assert (ended.exit_code, ended.done, ended.total) == (0, 3, 3)
