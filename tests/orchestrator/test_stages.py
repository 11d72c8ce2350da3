"""Studies in two stages: searches, then trainings of what they found."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import spaces
from orchestrator import runner
from orchestrator.cli.progress import Progress
from orchestrator.execution.growth import Growth
from orchestrator.execution.job import Outcome, Settings
from orchestrator.execution.work_queue import Work
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study import schema as studies
from orchestrator.study import searches
from orchestrator.study.frozen import differs
from orchestrator.study.plan import Planner, order_of_work, plan
from orchestrator.terminal import Terminal
from workers import files
from workers.methods._candidates import CandidatesRun, Scored
from workers.methods.random_search import RandomSearch

from .conftest import cli
from .test_cli import Said
from .test_cli import say as say  # a fixture
from .test_rehearsal import imported

Say = Callable[..., Said]
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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    ended = runner.run(study(folder))
    assert (ended.exit_code, ended.done, ended.total, ended.trained) == (0, 6, 6, 6)
    return rows(folder)


# --- the plan ---


def test_what_is_found_replaces_its_place_in_the_plan(tmp_path: Path) -> None:
    chosen = study(tmp_path)
    before = plan(chosen).table.to_pylist()
    searching, waits = before[:2], before[2:]
    assert [(r["arch"], r["task"], r["graph"], r["after"]) for r in searching] == [
        ("*", "cls", None, None),
        ("*", "rot", None, None),
    ]
    assert all(r["params"] > 0 and r["macs"] > 0 for r in before)
    first, second = (r["trial_id"] for r in searching)
    assert [(r["after"], r["seed"]) for r in waits] == [(first, 1), (first, 2), (second, 1), (second, 2)]
    assert {r["arch"] for r in waits} == {f"@{first}", f"@{second}"}
    assert len({r["trial_id"] for r in before}) == 6
    assert all(r["trial_id"].startswith("@") for r in waits)

    by_hand = RETRAIN.replace('found = "search"', f'list = ["{CELLS[0]}"]')
    listed = plan(study(tmp_path, by_hand)).table.to_pylist()
    between = plan(chosen, {second: CELLS[0]}).table.to_pylist()
    assert between == [*searching, *listed, *waits[:2]]
    assert plan(chosen, {second: CELLS[0]}).table.equals(plan(chosen, {second: CELLS[0], "0" * 16: CELLS[1]}).table)


def test_a_cell_that_is_found_twice_or_listed_too_is_trained_once(tmp_path: Path) -> None:
    listed = RETRAIN.replace('found = "search"', f'list = ["{CELLS[1]}"]')
    chosen = study(tmp_path, listed, SEARCH, RETRAIN)
    ids = [r["trial_id"] for r in plan(chosen).table.to_pylist() if r["arch"] == "*"]
    for cells, trainings in [(CELLS[:2], 4), ((CELLS[0], CELLS[0]), 4), ((CELLS[1], CELLS[1]), 2)]:
        table = plan(chosen, dict(zip(ids, cells, strict=True))).table.to_pylist()
        assert len({r["trial_id"] for r in table}) == len(table) == 2 + trainings
        assert {r["arch"] for r in table} == {"*", CELLS[1], *cells}


def test_searches_that_others_wait_for_come_first(tmp_path: Path) -> None:
    """Whatever their seeds are; other searches are in the order of all trials."""
    late = SEARCH.replace('"search"\n', '"search"\nseeds = [7, 8]\n')
    listed = RETRAIN.replace('found = "search"', "sample = 12")

    def order(*sweeps: str) -> list[str]:
        chains = [sweep.replace("nasbench201", "chain") for sweep in sweeps]
        return [row["arch"][0] for row in order_of_work(plan(study(tmp_path, *chains)).table)]

    assert order(listed, late, RETRAIN)[:4] == ["*"] * 4
    assert "*" not in order(listed, late, RETRAIN)[4:]
    assert order(listed, late)[0] != "*"


def test_published_architectures_are_planned_by_name(tmp_path: Path) -> None:
    named = RETRAIN.replace("nasbench201", "darts").replace('found = "search"', 'named = ["darts_v2", "p_darts"]')
    archs = plan(study(tmp_path, named)).table["arch"].to_pylist()
    assert list(dict.fromkeys(archs)) == [spaces.published("darts")[name] for name in ("darts_v2", "p_darts")]
    for wrong, says in [
        (named.replace("p_darts", "q_darts"), "no published darts cell 'q_darts'; have darts_v1, darts_v2"),
        (named.replace('"darts"', '"nasbench201"'), "space 'nasbench201' has no architectures with names.*: darts"),
    ]:
        with pytest.raises(LookupError, match=says):
            plan(study(tmp_path, wrong))


@pytest.mark.parametrize(
    ("sweeps", "says"),
    [
        (
            (SEARCH + "architectures = { sample = 3 }",),
            r"sweeps\[0\]: recipe 'random_search/params' searches .*, so expected is no `archi.*sample",
        ),
        ((RETRAIN.replace('architectures = { found = "search" }', ""),), r"sweeps\[0\]: recipe 'demo' needs `archi"),
        (
            (SEARCH.replace('"random_search/params"', '["random_search/params", "demo"]').partition("override")[0],),
            "'random_search/params' searches for an architecture, and 'demo' needs `architectures`; give each a sweep",
        ),
        ((SEARCH, RETRAIN.replace('"search"', '"serach"')), r"sweeps\[1\]\.archi.*no sweep.*'serach'.*: search\. "),
        ((RETRAIN,), "sweeps that search and have a name: none"),
        ((SEARCH, SEARCH, RETRAIN), "two sweeps have the name 'search'"),
        ((RETRAIN.replace("[[sweeps]]", '[[sweeps]]\nname = "search"'),), "sweep 'search' finds nothing: its recipe"),
        ((SEARCH, RETRAIN.replace("nasbench201", "darts")), "searches the space nasbench201, and this one .* darts"),
        ((SEARCH.replace('"search"', '"a/b"'),), r"sweeps\[0\]\.name: "),
        ((RETRAIN.replace('"search"', '"runs/stages"'),), "the folder of this study itself"),
        (
            (RETRAIN.replace('"search"', '"s3:x/y"'),),
            r"\n  sweeps\[0\]\.architectures\.found: s3:x/y is not a valid path or URL",
        ),
        ((RETRAIN.replace('"search"', '""'),), r"architectures\.found: "),
        ((RETRAIN.replace('"search" }', '"search", sample = 3 }'),), "given: sample, found"),
    ],
)
def test_a_mistake_in_the_file_says_what_is_expected(sweeps: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        studies.parse('name = "stages"\n' + "".join(sweeps), "study.toml")


# --- the run ---


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


def test_a_plan_that_cannot_be_written_stops_the_launch_and_loses_nothing(
    tmp_path: Path, undisturbed: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RunStore, table: object) -> None:
        raise OSError("disk full")

    chosen = study(tmp_path / "run")

    @contextmanager
    def filling(work: Work) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(RunStore, "write_plan", full)
            patch.setattr(files, "WAITS_S", ())
            yield

    ended = runner.run(chosen, watch=filling)
    assert ended.exit_code == 1
    assert "could not be planned: disk full" in str(ended.broken)
    assert runner.run(chosen).exit_code == 0
    assert rows(tmp_path / "run") == undisturbed


def test_progress_counts_the_trials_that_are_added(tmp_path: Path) -> None:
    lines: list[str] = []

    @contextmanager
    def watched(work: Work) -> Iterator[None]:
        view = Progress(work, Terminal(width=200))
        assert "0 of 6 trials done, 0 running, 4 trainings wait for 2 searches" in view.line()
        yield
        lines.append(view.line())
        assert sum(view._total.values()) == 6

    assert runner.run(study(tmp_path / "run"), watch=watched).exit_code == 0
    assert "6 of 6 trials done" in lines[0]


def test_the_queue_grows_by_what_a_worker_published_before_it_died(tmp_path: Path) -> None:
    chosen = study(tmp_path / "run")
    planner, store = Planner(chosen), RunStore(chosen.path)
    planned = planner.plan({})
    growth = Growth(store, planner, planned, {}, lambda row: True)
    settings = Settings(store.url, "now", {}, None, 0.0, 60.0, False, None)
    todo = order_of_work(planned.table)[:2]
    work = Work(store, todo, Ledger(), settings, len(planned.table), growth)
    added: list[str] = []
    work.growth_listeners.append(added.extend)
    first, second = work.take(), work.take()
    assert first is not None
    assert second is not None
    ok = {"launch": "now", "attempt": 1, "status": "ok", "found": CELLS[0], "finished_at": datetime.now(UTC)}
    store.publish_attempt(ok | {"trial_id": first.trial_id})
    work.lost(first.trial_id, "worker_died", "killed")
    assert len(work.waiting()) == len(added) == 2
    assert (work.counts.total, work.counts.done) == (6, 1)
    work.finish(Outcome(second.trial_id, "ok", found=CELLS[0]))
    assert len(added) == 2, "the same cell"
    assert (work.counts.total, work.counts.done) == (4, 2)
    assert not work.exhausted
    assert {work.row_of(trial_id)["arch"] for trial_id in work.waiting()} == {CELLS[0]}


def test_the_queue_is_not_exhausted_while_the_trials_of_the_last_search_are_planned(tmp_path: Path) -> None:
    """Engines may ask at any moment, from any thread."""
    seen: list[Any] = []

    class Asked(Growth):
        def add(self, found: Any) -> list[dict[str, Any]]:
            seen.extend([work.exhausted, work.take()])
            return super().add(found)

    chosen = study(tmp_path / "run", SEARCH.replace('["cls", "rot"]', '["cls"]'), RETRAIN)
    planner, store = Planner(chosen), RunStore(chosen.path)
    planned = planner.plan({})
    growth = Asked(store, planner, planned, {}, lambda row: True)
    settings = Settings(store.url, "now", {}, None, 0.0, 60.0, False, None)
    work = Work(store, order_of_work(planned.table)[:1], Ledger(), settings, 3, growth)
    job = work.take()
    assert job is not None
    work.finish(Outcome(job.trial_id, "ok", found=CELLS[0]))
    assert seen == [False, None]
    assert (work.exhausted, work.left) == (False, 2)


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


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_ray_tune_trains_what_its_searches_find(tmp_path: Path, undisturbed: list[tuple[Any, ...]]) -> None:
    file = tmp_path / "study.toml"
    engine = "[execution]\nmax_concurrent = 2\ncpus_per_trial = 0.5\n"
    file.write_text(f'name = "stages"\npath = "{tmp_path / "run"}"\n{SEARCH}{RETRAIN}{engine}')
    ended = cli("run", file)
    assert (ended.code, "6 of 6 trials done (6 trained now)" in ended.out) == (0, True)
    assert rows(tmp_path / "run") == undisturbed
