"""Messages of the command line: names of recipes, hints, mistakes of users, errors of the program."""

import io
import json
import re
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator import runner
from orchestrator.cli import main, progress
from orchestrator.execution.job import Outcome
from orchestrator.execution.work_queue import Work
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study.plan import order_of_work, plan
from orchestrator.study.schema import load
from orchestrator.terminal import Terminal
from workers.row import SCHEMA

from .conftest import Write
from .test_cli import Said

LONGER = """
[[sweeps]]
space = "chain"
architectures = { sample = 2, seed = 0 }
dataset = "photos"
tasks = ["cls"]
recipe = "demo"
override = { epochs = 2, width = 4, batch = 32, test_batch = 32, precise_bn = 64 }
"""


@pytest.fixture
def say(archsweep):
    """Run a command in this process, at 120 columns."""
    return lambda *words: Said(*archsweep(*words, columns=120))


def test_two_recipes_of_one_run_are_told_apart_by_what_differs(study: Write, say, tmp_path: Path) -> None:
    file, run = study(archs=2, tasks=("cls",), extra=LONGER, dataset="photos"), tmp_path / "run"
    planned = say("plan", file).out
    assert "demo (epochs=1) 2 0 2" in planned
    assert "demo (epochs=2) 2 0 2" in planned
    loaded = load(str(file))
    store, trials = runner.open_run(loaded), plan(loaded)
    runner.freeze(loaded, store, trials)
    for k, row in enumerate(trials.table.to_pylist()):
        known = {name: row[name] for name in SCHEMA.names if name in row}
        made = {"launch": "l", "attempt": 1, "status": "ok", "metric": "top1", "diverged": False}
        store.publish_attempt(known | made | {"score_best": k / 10, "finished_at": datetime.now(UTC)})
    found = say("status", run).out
    assert "chain photos cls demo (epochs=1) 2" in found
    assert "chain photos cls demo (epochs=2) 2" in found
    assert "demo (epochs=1) demo (epochs=2)" in say("correlate", run, "--resamples", 0).out
    (pair,) = json.loads(say("correlate", run, "--resamples", 0, "--json").out)
    assert {pair["x_recipe"], pair["y_recipe"]} == {"demo (epochs=1)", "demo (epochs=2)"}
    cells = say("correlate", run, "--of", "cells", "--csv").out
    assert "epochs=1" in cells
    assert "epochs=2" in cells
    markdown = say("correlate", run, "--resamples", 0, "--markdown").out
    assert "epochs=1" in markdown


def test_one_recipe_keeps_its_plain_name(study: Write, say, tmp_path: Path) -> None:
    assert "demo (" not in say("plan", study(archs=1)).out


def test_only_refuses_values_that_no_planned_trial_has(study: Write, say, tmp_path: Path) -> None:
    file = study(archs=1, extra=LONGER.replace("tasks", "seeds = [7]\ntasks"))
    for only, says in [
        ("task=nosuch", "no planned trial has task = 'nosuch'; there are cls, jig"),
        ("seed=3", "no planned trial has seed = '3'; there are 1, 7"),
        ("task=jig,seed=7", "no planned trial has task = jig and seed = 7"),
    ]:
        said = say("run", file, "--only", only)
        assert said.code == 2
        assert says in said.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("help plan", "archsweep COMMAND --help"),
        ("version", "--version"),
        ("resume", "archsweep run STUDY"),
        ("logs", "log.txt"),
        ("best", "archsweep query"),
        ("studies", "archsweep list"),
        ("tables", "archsweep list"),
        ("run demo --dry-run", "archsweep plan"),
        ("correlate demo --out x.csv", "> FILE"),
        ("status demo --format json", "--json"),
    ],
)
def test_words_of_other_programs_have_a_hint(words: str, says: str, say) -> None:
    said = say(*words.split())
    assert said.code == 2
    assert says in said.err


def test_list_without_a_word_says_what_can_be_listed(say) -> None:
    said = say("list")
    assert said.code == 0
    for name in ("spaces", "datasets", "tasks", "recipes", "presets", "tables"):
        assert name in said.out
        assert say("list", name).code == 0


def test_help_is_whole_on_a_terminal_of_40_columns(
    say, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for words in (["-h"], ["correlate", "-h"], ["prepare", "-h"], ["bench", "-h"]):
        monkeypatch.setattr("sys.argv", ["archsweep", *words])
        with pytest.raises(SystemExit):
            main.main()
        text = capsys.readouterr().out
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= 40
    assert "--resamples" in say("correlate", "-h").out


def broken(kind: type[Exception]) -> object:
    """A function that raises as a library would."""
    namespace: dict[str, object] = {"kind": kind}
    exec(compile("def act(*words, **options):\n    raise kind('boom')\n", "/lib/elsewhere.py", "exec"), namespace)
    return namespace["act"]


@pytest.mark.parametrize("kind", [ValueError, OSError, LookupError, KeyError, RuntimeError])
def test_an_error_of_a_library_keeps_its_traceback_in_the_runs_folder(
    kind: type[Exception], study: Write, say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = study(archs=1, tasks=("cls",))
    loaded = load(str(file))
    runner.freeze(loaded, runner.open_run(loaded), plan(loaded))
    monkeypatch.setattr("orchestrator.cli.status_view.status", broken(kind))
    said = say("status", file)
    assert said.code == 1
    assert "boom" in said.err
    assert "Traceback" not in said.err
    (kept,) = (tmp_path / "run" / "errors").iterdir()
    assert str(kept) in said.err
    text = kept.read_text()
    assert "Traceback" in text
    assert f"{kind.__name__}: " in text


def test_a_mistake_of_ours_is_none_of_the_users(say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python itself raises at a line of ours; there is no run: the file lies in the temporary folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("orchestrator.cli.listing._tables", lambda: int("seven"))
    said = say("list", "tables")
    assert said.code == 1
    (kept,) = tmp_path.iterdir()
    assert str(kept) in said.err
    assert "ValueError: invalid literal" in kept.read_text()


def test_a_refusal_of_the_system_is_told_as_such(say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def full() -> None:
        with open("/dev/full", "w") as file:
            file.write("x")

    monkeypatch.setattr("orchestrator.cli.listing._tables", full)
    said = say("list", "tables")
    assert said.code == 2
    assert "No space left" in said.err
    assert not list(tmp_path.iterdir())


def test_a_removed_working_directory_is_named(
    study: Write, say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(archs=1)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    said = say("status", "tiny")
    assert said.code == 2
    assert "working directory was removed" in said.err


@pytest.fixture
def work(study: Write, tmp_path: Path) -> Work:
    planned = plan(load(str(study(archs=2)))).table
    return Work(RunStore(str(tmp_path / "run")), order_of_work(planned), Ledger(), None, len(planned))  # type: ignore[arg-type]


def finish_all(work: Work, console: Console) -> None:
    with progress.watch(work, console):
        for trial_id in work.waiting():
            for listener in work.listeners:
                listener(Outcome(trial_id, "failed", "error", f"boom {trial_id}"))


@pytest.mark.parametrize("make", [Terminal, Console])
def test_failures_above_a_live_table_do_not_block(make: type[Console], work: Work) -> None:
    shown = io.StringIO()
    console = make(file=shown, force_terminal=True, width=100)
    thread = threading.Thread(target=finish_all, args=(work, console), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert len(re.findall("failed: trial", shown.getvalue())) == 4


def test_a_console_that_takes_nothing_does_not_hold_up_the_work(work: Work) -> None:
    """A terminal that was stopped, a pipe whose reader sleeps."""
    woken = threading.Event()

    class Stopped(io.StringIO):
        def write(self, text: str) -> int:
            if "failed" in text:
                woken.wait(60)
            return super().write(text)

    ended = threading.Event()
    with progress.watch(work, Terminal(file=Stopped(), width=100)):
        for trial_id in work.waiting():
            for listener in work.listeners:
                listener(Outcome(trial_id, "failed", "error", f"boom {trial_id}"))
        ended.set()
        woken.set()
    assert ended.is_set()
