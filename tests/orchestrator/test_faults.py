"""What befalls a run with a Ray of its own, alone and at other moments than in test_joined.py and test_engines.py."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from .conftest import Ended, Spoil, Write, cli, inline, slow, start, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.soak]
SCIENCE = ["score_best", "score_final", "best_epoch", "epochs", "train_loss", "diverged", "params", "macs", "arch"]


def rows(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "rows").set_index("trial_id").sort_index()


def as_undisturbed(found: pd.DataFrame, study: Write, tmp_path: Path, **options: object) -> None:
    """The ok rows are those of a run without faults, value by value."""
    (tmp_path / "run").rename(tmp_path / "disturbed")
    inline(study(**options))
    expected = rows(tmp_path / "run").loc[found.index]
    pd.testing.assert_frame_equal(found[SCIENCE], expected[SCIENCE], check_exact=True, check_dtype=False)


def test_a_hang_leaves_its_stack_in_the_log_of_the_trial(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    environment = spoil("ctypes.PyDLL(None).sleep(600)")
    file = study(archs=1, tasks=("jig",), engine="tune", execution="trial_timeout_s = 2")
    ended = cli("run", file, **environment)
    assert ended.code == 1, ended.out + ended.err
    every = pd.read_parquet(tmp_path / "run" / "rows").sort_values("attempt")
    assert every["error_text"].tolist() == ["the attempt did not end in 2 s", "the attempt did not end in 4 s"]
    (log,) = (tmp_path / "run").glob("trials/*/log.txt")
    assert "attempt 2, on" in log.read_text()
    assert "in befall" in log.read_text()
    assert "the attempt did not end in 4 s: killed" in log.read_text()


def test_a_broken_study_stops_itself_and_says_why(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    environment = spoil('raise FileNotFoundError("no weights on this machine")')
    ended = cli("run", study(archs=60, tasks=("jig",), engine="tune", execution="max_concurrent = 1"), **environment)
    assert ended.code == 1, ended.out + ended.err
    why = "the first 20 attempts all failed, 20 of them with error: FileNotFoundError: no weights on this machine"
    assert f"stopped: {why}" in ended.out, ended.err
    assert 20 <= len(pd.read_parquet(tmp_path / "run" / "rows")) <= 22  # those that ran at that moment
    assert not (tmp_path / "run" / "lease.json").exists()


def test_sigterm_to_the_driver_alone_drains(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    file, run = study(archs=6, epochs=40, tasks=("jig",), engine="tune", execution="checkpoint_s = 1"), tmp_path / "run"
    driver = start("run", file, **spoil(slow(0.4)))
    wait_for(lambda: list(run.glob("trials/*/checkpoint.pt")))
    driver.send_signal(signal.SIGTERM)
    ended = Ended(driver)
    assert ended.code == 3, ended.out + ended.err
    assert not (run / "lease.json").exists()
    assert not list(run.glob("attempts/*"))
    found = pd.read_parquet(run / "rows") if list(run.glob("rows/*")) else pd.DataFrame({"status": []})
    assert (found["status"] == "ok").all()
    assert list(run.glob("trials/*/checkpoint.pt"))


@pytest.mark.parametrize("at", [0, 3, 9])
def test_a_driver_killed_early_or_late(at: int, study: Write, spoil: Spoil, tmp_path: Path) -> None:
    """With nothing published yet, in the middle, and near the end."""
    file, run = study(archs=6, epochs=3, engine="tune", execution="checkpoint_s = 0"), tmp_path / "run"
    driver = start("run", file, **spoil(slow(0.3)))
    wait_for(
        lambda: len(list(run.glob("attempts/*.parquet"))) >= at and list(run.glob("trials/*/checkpoint.pt")),
    )
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    ended = cli("run", file)
    assert ended.code == 0, ended.err
    after = rows(run)
    assert len(after) == 12
    assert after.index.is_unique
    as_undisturbed(after, study, tmp_path, archs=6, epochs=3)


def test_a_full_memory_ends_one_worker_and_not_the_study(
    study: Write, spoil: Spoil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Needs 5 GiB to spare: the limit of Ray's memory monitor is what is used now and 4 GiB."""
    from ray._private import utils

    from orchestrator.study import schema as studies
    from orchestrator.study.plan import plan

    file = study(archs=3, tasks=("jig",), epochs=20, engine="tune")
    greedy = plan(studies.load(str(file))).table["trial_id"][0].as_py()
    environment = spoil(f"""
if trial.id == {greedy!r} and attempt == 1:
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20) * 64))
        time.sleep(0.1)
""")
    limit = (utils.get_used_memory() + 4 * 2**30) / utils.get_system_memory()
    ended = cli(
        "run", file, RAY_memory_usage_threshold=limit, RAY_memory_monitor_refresh_ms=200, COLUMNS=200, **environment
    )
    assert ended.code == 0, ended.out + ended.err
    every = pd.read_parquet(tmp_path / "run" / "rows")
    failed = every[every["status"] == "failed"]
    assert failed[failed["trial_id"] == greedy]["error_class"].tolist() == ["oom_host"]
    assert set(failed[failed["trial_id"] != greedy]["error_class"]) <= {"oom_victim"}
    assert (every["status"] == "ok").sum() == 3
