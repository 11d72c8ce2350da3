"""What is shown live, on a pseudo-terminal: failures, Ctrl-C, narrow, resized and closed terminals."""

import re
import signal
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.store import lease
from orchestrator.store.run_folder import RunStore

from .conftest import Write
from .warm import Screen

BAD = """
[[sweeps]]
space = "chain"
architectures = { sample = 1, seed = 5 }
dataset = "photos"
tasks = ["cls"]
recipe = "demo"
override = { epochs = 1, width = 4, precise_bn = 64, batch = 5000 }
"""
LONG = {"archs": 1, "tasks": ("jig",), "epochs": 100_000}


def rows(tmp_path: Path) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, (tmp_path / "run").glob("[ar]*/*.parquet")))


def cursor_is_back(screen: Screen) -> bool:
    """Whether the cursor, hidden while a table is live, was shown at last."""
    return screen.raw.rfind("\x1b[?25h") >= screen.raw.rfind("\x1b[?25l")


@pytest.mark.parametrize("columns", [100, 40])
def test_a_trial_that_fails_is_told_and_quarantined_and_the_others_are_trained(
    columns: int, study: Write, tmp_path: Path
) -> None:
    screen = Screen("run", study(archs=2, tasks=("cls",), epochs=4, extra=BAD), columns=columns)
    assert screen.code() == 1
    text = " ".join(screen.text.split())
    assert "failed: trial" in text
    assert "a batch of 5000" in text
    assert "tiny: 2 of 3 trials done (2 trained now), 0 left, 1 quarantined" in text
    assert sorted(rows(tmp_path)["status"]) == ["failed", "failed", "ok", "ok"]
    assert cursor_is_back(screen)
    table = [line for line in screen.text.splitlines() if line.startswith("chain")]
    assert table
    assert max(map(len, table)) <= columns
    if columns == 40:
        assert "cls" in table[-1]  # names are whole where they fit


def test_ctrl_c_drains_and_a_second_one_ends_at_once_with_the_cursor_back(study: Write, tmp_path: Path) -> None:
    screen = Screen("run", study(**LONG))
    screen.wait_for("0 of 1 trials done, 1 running")
    screen.interrupt()
    assert screen.code() == 3
    assert "1 left" in screen.text
    assert cursor_is_back(screen)
    assert not (tmp_path / "run" / "lease.json").exists()


def test_the_second_ctrl_c_gives_the_cursor_back(study: Write) -> None:
    file = study(**LONG, dataset="photos")
    file.write_text(file.read_text().replace("width = 4", "width = 64"))  # epochs of some seconds
    screen = Screen("run", file)
    screen.wait_for("0 of 1 trials done, 1 running")
    screen.interrupt()
    screen.wait_for("stopping")
    screen.interrupt()
    assert screen.code() == 130
    assert cursor_is_back(screen)


def test_a_terminal_that_is_resized_is_followed(study: Write) -> None:
    screen = Screen("run", study(**LONG), columns=120)
    screen.wait_for("1 running")
    shown = len(screen.text)
    screen.resize(40, 24)
    screen.wait_for("of")
    screen.interrupt()
    assert screen.code() == 3
    later = [line for line in screen.text[shown:].splitlines() if line.startswith("chain")]
    assert len(later[-1]) <= 40


def test_a_terminal_of_few_rows_shows_how_far_the_run_is(study: Write) -> None:
    file = study(archs=1, tasks=("cls", "rot", "col", "jig"), epochs=100_000)
    screen = Screen("run", file, rows=4)
    screen.wait_for("0 of 4 trials done, 1 running")
    screen.interrupt()
    assert screen.code() == 3


def test_a_run_whose_terminal_is_closed_trains_on_where_the_hang_up_is_ignored(study: Write, tmp_path: Path) -> None:
    """`nohup`, `disown`: the terminal is gone, each write to it fails."""
    screen = Screen("run", study(archs=2, tasks=("cls",), epochs=40), ignored=(signal.SIGHUP,))
    screen.wait_for("0 of 2 trials done, 1 running")
    screen.hang_up()
    assert screen.code() == 0
    assert list(rows(tmp_path)["status"]) == ["ok"] * 2


def test_a_run_on_a_terminal_that_cannot_show_every_character(study: Write) -> None:
    screen = Screen("run", study(archs=1, tasks=("cls",)), env={"PYTHONIOENCODING": "ascii"})
    assert screen.code() == 0
    assert screen.text.isascii()
    assert "\\u" not in screen.text
    assert re.search(r"chain +pictures +cls +1 +1 +#{16}", screen.text)


@pytest.fixture
def driven(study: Write, tmp_path: Path) -> RunStore:
    """A run that this process holds, with its plan and no row."""
    from orchestrator.study import frozen
    from orchestrator.study import schema as studies
    from orchestrator.study.plan import plan

    loaded = studies.load(str(study(archs=2)))
    store = frozen.open_run(loaded)
    frozen.freeze(loaded, store, plan(loaded))
    lease.acquire(store, "here")
    return store


def test_a_watch_follows_a_resized_terminal_and_ends_when_the_driver_has_gone(driven: RunStore) -> None:
    screen = Screen("status", driven.url, "--watch", "--every", 0.1, columns=120)
    screen.wait_for("0 of 4 trials done; driven by")
    screen.resize(40, 24)
    screen.wait_for("jig")
    lease.release(driven, "here")
    assert screen.code() == 3
    assert cursor_is_back(screen)
    table = [line for line in screen.text.splitlines() if "jig" in line]
    assert len(table[-1]) <= 40


def test_ctrl_c_ends_a_watch(driven: RunStore) -> None:
    screen = Screen("status", driven.url, "--watch", "--every", 0.1, columns=40)
    screen.wait_for("0 of 4 trials done")
    screen.interrupt()
    assert screen.code() == 130
    assert cursor_is_back(screen)
    assert "Traceback" not in screen.text
    assert driven.exists("lease.json")


def test_a_watch_ends_with_its_terminal(driven: RunStore) -> None:
    screen = Screen("status", driven.url, "--watch", "--every", 0.1)
    screen.wait_for("0 of 4 trials done")
    screen.hang_up()
    assert screen.code() != 0


@pytest.mark.parametrize("columns", [100, 40])
def test_prepare_and_bench_on_a_terminal(columns: int) -> None:
    screen = Screen("prepare", "photos", columns=columns)
    assert screen.code() == 0
    assert "768 training" in screen.text
    words = ["bench", "step", "--smoke", "--rounds", 1, "--task", "cls", "--space", "nasbench101", "--size", "p10"]
    screen = Screen(*words, columns=columns)
    assert screen.code() == 0, screen.text
    assert cursor_is_back(screen)


def test_ctrl_c_ends_a_bench() -> None:
    screen = Screen("bench", "step", "--rounds", 1000, "--smoke", "--task", "cls", "--space", "nasbench101")
    screen.wait_for("nasbench101")
    screen.interrupt()
    assert screen.code() == 130
    assert cursor_is_back(screen)
    assert "Traceback" not in screen.text
