"""Everything that can befall a trial, done to a study; what is left at the end is the table of the undisturbed one."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from .conftest import Ended, Spoil, Write, cli, inline, slow, start, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
SCIENCE = ["score_best", "score_final", "best_epoch", "epochs", "train_loss", "diverged", "params", "macs", "arch"]


def rows(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "rows").set_index("trial_id").sort_index()


def as_undisturbed(found: pd.DataFrame, study: Write, tmp_path: Path, **options: object) -> None:
    """The ok rows are those of a run without faults, value by value."""
    (tmp_path / "run").rename(tmp_path / "disturbed")
    inline(study(**options))
    expected = rows(tmp_path / "run").loc[found.index]
    pd.testing.assert_frame_equal(found[SCIENCE], expected[SCIENCE], check_exact=True, check_dtype=False)


def test_every_fault_in_one_study(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    """Each architecture suffers its own; half a declared GPU for a trial, so that a whole one is something else."""
    from orchestrator.study import schema as studies
    from orchestrator.study.plan import plan

    file = study(
        archs=9,
        tasks=("jig",),
        engine="tune",
        execution="gpus_per_trial = 0.5\ncpus_per_trial = 0.5\ntrial_timeout_s = 15",
    )
    faults = ["once", "always", "oom_cuda", "oom_host", "killed", "long", "native", "device", "none"]
    ids = dict(zip(faults, plan(studies.load(str(file))).table["trial_id"].to_pylist(), strict=True))
    environment = spoil(f"""
ids = {ids!r}
if getattr(torch, "broken", False): raise RuntimeError("CUDA error: device-side assert triggered")
fault = next(name for name in ids if ids[name] == trial.id)
if fault == "always": raise RuntimeError("no good ever")
if attempt > 1: return
if fault == "once": raise ValueError("no good today")
if fault == "oom_cuda": raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
if fault == "oom_host": raise MemoryError("no room")
if fault == "killed": options["on_epoch"] = lambda values: os.kill(os.getpid(), signal.SIGKILL)
if fault == "long":
    def endless(values):
        while True: time.sleep(0.01)
    options["on_epoch"] = endless
if fault == "device":
    def synchronize(): raise RuntimeError("CUDA error: device-side assert triggered")
    torch.broken, torch.cuda.is_initialized, torch.cuda.synchronize = True, lambda: True, synchronize
    raise RuntimeError("CUDA error: device-side assert triggered")
if fault == "native": ctypes.PyDLL(None).sleep(600)
""")
    ended = cli("run", file, ARCHSWEEP_DEVICE="cpu", ARCHSWEEP_LOCAL_GPUS=1, **environment)
    assert ended.code == 1, ended.out + ended.err
    every = pd.read_parquet(tmp_path / "run" / "rows")
    name_of = {trial_id: name for name, trial_id in ids.items()}
    tries = {
        name_of[trial_id]: list(zip(part["error_class"].fillna("ok"), part["gpu_share"], strict=True))
        for trial_id, part in every.sort_values("attempt").groupby("trial_id")
    }
    assert tries == {
        "once": [("error", 0.5), ("ok", 0.5)],
        "always": [("error", 0.5), ("error", 0.5)],
        "oom_cuda": [("oom_cuda", 0.5), ("ok", 1.0)],
        "oom_host": [("oom_host", 0.5), ("ok", 0.5)],
        "killed": [("worker_died", 0.5), ("ok", 0.5)],
        "long": [("timeout", 0.5), ("ok", 0.5)],
        "native": [("timeout", 0.5), ("ok", 0.5)],
        "device": [("error", 0.5), ("ok", 0.5)],  # and no other trial is sent to that process
        "none": [("ok", 0.5)],
    }
    failed = every[every["status"] == "failed"].set_index("trial_id")
    assert (failed["wall_s"] > 0).all()
    assert every.groupby("trial_id")["attempt"].apply(sorted).map(lambda numbers: numbers in ([1], [1, 2])).all()
    for name, where in (("long", "in endless"), ("native", "in befall")):
        row = failed.loc[ids[name]]
        assert row["error_text"] == "the attempt did not end in 15 s"
        assert "sitecustomize.py" in row["traceback"]
        assert where in row["traceback"]
    assert f"{ids['always']}  error: RuntimeError: no good ever" in ended.out
    said = cli("status", file).out
    assert "8 of 9 trials done" in said
    assert "1 x RuntimeError: no good ever" in said
    good = rows(tmp_path / "run").query("status == 'ok'")
    as_undisturbed(good, study, tmp_path, archs=9, tasks=("jig",))


@pytest.mark.soak
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


@pytest.mark.soak
def test_a_broken_study_stops_itself_and_says_why(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    environment = spoil('raise FileNotFoundError("no weights on this machine")')
    ended = cli("run", study(archs=60, tasks=("jig",), engine="tune", execution="max_concurrent = 1"), **environment)
    assert ended.code == 1, ended.out + ended.err
    why = "the first 20 attempts all failed, 20 of them with error: FileNotFoundError: no weights on this machine"
    assert f"stopped: {why}" in ended.out, ended.err
    assert 20 <= len(pd.read_parquet(tmp_path / "run" / "rows")) <= 22  # those that ran at that moment
    assert not (tmp_path / "run" / "lease.json").exists()


@pytest.mark.soak
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


@pytest.mark.soak
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


@pytest.mark.soak
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
