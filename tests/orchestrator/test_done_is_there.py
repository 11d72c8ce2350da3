"""The final message of a run agrees with the content of its folder."""

import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchestrator import runner
from orchestrator.execution.work_queue import Work
from orchestrator.store import lease
from orchestrator.store.run_folder import RunStore
from orchestrator.study import schema as studies

from .conftest import Write
from .test_cli import Said
from .test_cli import say as say  # a fixture

Say = Callable[..., Said]


def after(n: int, act: Callable[[], object]) -> Callable[[Work], contextlib.AbstractContextManager[None]]:
    """A watcher that does something when so many trials have ended."""

    @contextlib.contextmanager
    def watch(work: Work) -> Iterator[None]:
        ended: list[object] = []

        def hear(outcome: object) -> None:
            ended.append(outcome)
            if len(ended) == n:
                act()

        work.listeners.append(hear)
        yield

    return watch


def _remove(run: Path) -> None:
    shutil.rmtree(run)


def _remove_one_row(run: Path) -> None:
    next((run / "attempts").iterdir()).unlink()


def _remove_plan(run: Path) -> None:
    (run / "plan.parquet").unlink()


@pytest.mark.parametrize(
    ("harm", "says", "trains"),
    [
        (_remove, "no longer in {run}: 1 finished row, study.toml, plan.parquet;", 1),
        (_remove_one_row, "no longer in {run}: 1 finished row;", 1),
        (_remove_plan, "no longer in {run}: plan.parquet;", 0),
    ],
)
def test_a_run_whose_folder_was_taken_away_says_so(
    harm: Callable[[Path], None], says: str, trains: int, study: Write, tmp_path: Path
) -> None:
    file, run = study(archs=2, tasks=("cls",)), tmp_path / "run"
    ended = runner.run(studies.load(str(file)), watch=after(1, lambda: harm(run)))
    assert ended.exit_code == 1
    assert says.format(run=run) in str(ended.broken)
    assert (ended.total, ended.trained, ended.done, ended.left) == (2, 2, 2 - trains, trains)
    again = runner.run(studies.load(str(file)))
    assert (again.exit_code, again.trained, again.done) == (0, trains, 2)
    assert pd.read_parquet(run / "rows")["trial_id"].nunique() == 2


def test_a_row_that_is_damaged_while_a_run_is_at_work_is_told_at_its_end(
    study: Write, tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmed: list[Path] = []

    def harm() -> None:
        if harmed:
            return
        [row] = (tmp_path / "run" / "attempts").iterdir()
        whole = bytearray(row.read_bytes())
        whole[len(whole) // 3] ^= 1
        row.write_bytes(whole)
        harmed.append(row)

    file = study(archs=2, tasks=("cls",))
    monkeypatch.setattr("orchestrator.cli.progress.watch", lambda work, out: after(1, harm)(work))
    said = say("run", file)
    assert said.code == 1
    [damaged] = harmed
    assert "2 of 2" not in said.out
    assert f"attempts/{damaged.name} is not a valid Parquet file of rows" in said.out
    assert "remove it, and `run` trains what is then missing" in said.out
    assert say("run", file).code == say("status", file).code == 2
    damaged.unlink()
    assert "2 of 2 trials done (1 trained now)" in say("run", file).out


@pytest.mark.parametrize("folder", ["attempts", "rows", "trials"])
def test_a_folder_that_takes_no_files_is_noticed_before_anything_is_trained(
    folder: str, study: Write, tmp_path: Path, say: Say
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / folder).write_text("a file where a folder should be")
    said = say("run", study(archs=1, tasks=("cls",)))
    assert said.code == 2
    assert f"{tmp_path}/run/{folder} cannot be written" in said.err
    assert [path.name for path in (tmp_path / "run").iterdir()] == [folder]


def test_the_lease_is_renewed_while_data_is_prepared(
    study: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding may take hours, a lease lives for two minutes."""
    monkeypatch.setattr(lease, "LIFE_S", 8.0)
    store = RunStore(str(tmp_path / "run"))
    expires: list[float] = []
    enough = threading.Event()
    prepare = runner.datasets.prepare

    def slow(*args: Any, **options: Any) -> Any:
        while len(set(expires)) < 3 and not enough.wait(0.05):
            held = lease.current(store)
            assert held is not None
            expires.append(held.expires)
        return prepare(*args, **options)

    monkeypatch.setattr(runner.datasets, "prepare", slow)
    limit = threading.Timer(60, enough.set)
    limit.start()
    ended = runner.run(studies.load(str(study(archs=1, tasks=("cls",)))))
    limit.cancel()
    assert len(set(expires)) >= 3
    assert ended.exit_code == 0
    assert not store.exists(lease.NAME)


def test_a_run_that_was_lost_while_data_was_prepared_trains_nothing(
    study: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LIFE_S", 1.0)
    store = RunStore(str(tmp_path / "run"))
    theirs = threading.Event()
    monkeypatch.setattr(
        "orchestrator.execution.heartbeat.Heartbeat._lose",
        _told(theirs),
    )

    prepare = runner.datasets.prepare

    def taken(*args: Any, **options: Any) -> Any:
        other = lease.Lease.mine("theirs")
        store.write(lease.encoded(other), lease.NAME)
        assert theirs.wait(60)
        return prepare(*args, **options)

    monkeypatch.setattr(runner.datasets, "prepare", taken)
    ended = runner.run(studies.load(str(study(archs=1, tasks=("cls",)))))
    assert (ended.trained, ended.left, ended.exit_code) == (0, 1, 3)
    assert lease.held(store, "theirs")


def _told(event: threading.Event) -> Callable[..., None]:
    """A method that sets an event when it has done its work."""
    from orchestrator.execution.heartbeat import Heartbeat

    lose = Heartbeat._lose

    def method(self: Heartbeat, why: str) -> None:
        lose(self, why)
        event.set()

    return method


def test_damaged_files_of_the_run_are_named(study: Write, tmp_path: Path, say: Say) -> None:
    file, run = study(archs=1, tasks=("cls",)), tmp_path / "run"
    assert say("run", file).code == 0
    plan = bytearray((run / "plan.parquet").read_bytes())
    plan[len(plan) // 3] ^= 1
    (run / "plan.parquet").write_bytes(plan)
    for words in (("status", run), ("query", run, "select 1"), ("retry", run, "--failed")):
        said = say(*words)
        assert said.code == 2
        assert "run/plan.parquet" in said.err
        assert "writes a new one" in said.err
    said = say("run", file)
    assert said.code == 0
    assert "plan.parquet is not a valid plan" in said.out
    assert say("status", run).code == 0
    (run / "study.toml").write_bytes(b'name = "\xff"')
    for verb, what in (("run", file), ("plan", file), ("run", run), ("status", file)):
        said = say(verb, what)
        assert said.code == 2
        assert f"{run}/study.toml is not a valid study: TOML is UTF-8 text" in said.err


def test_a_relative_cache_is_the_same_folder_for_whoever_runs_the_folder_later(
    study: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runner.run(studies.load(str(study(archs=1, tasks=("cls",), execution='cache_dir = "cache"'))))
    frozen = studies.load(str(tmp_path / "run"))
    assert frozen.execution.cache_dir == str(tmp_path / "cache")
    assert json.dumps(frozen.model_dump(mode="json"))
