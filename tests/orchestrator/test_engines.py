"""Both engines give the same rows; deaths, stops and a second driver lose nothing and train nothing twice."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from .conftest import Ended, Write, cli, start

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
SCIENCE = ["score_best", "score_final", "best_epoch", "epochs", "train_loss", "diverged", "params", "macs", "arch"]


def rows(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "rows").set_index("trial_id").sort_index()


def wait_for_rows(folder: Path, n: int, timeout: float = 120) -> int:
    """Wait until at least n attempts are published."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = len(list(folder.glob("attempts/*.parquet"))) + sum(
            len(pd.read_parquet(p)) for p in folder.glob("rows/part-*.parquet")
        )
        if found >= n:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no {n} rows in {timeout} s")


def logged_scores(folder: Path) -> dict[int, float]:
    """What a TensorBoard event file says of the test score, by epoch."""
    from tensorboardX.proto.event_pb2 import Event

    (file,) = folder.glob("events.*")
    data, scores = file.read_bytes(), {}
    while data:  # length of the record, its checksum, the record, its checksum
        end = 12 + int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12:end])
        for value in event.summary.value:
            if value.tag.endswith("test_score"):
                scores[event.step] = value.simple_value
        data = data[end + 4 :]
    return scores


def test_tune_and_inline_give_the_same_rows(study: Write, tmp_path: Path) -> None:
    tasks = ("cls", "rot", "col", "jig")
    ended = cli("run", study(archs=2, tasks=tasks, engine="tune"))
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert len(ended.out.splitlines()) < 20
    (tmp_path / "run").rename(tmp_path / "tuned")
    assert cli("run", study(archs=2, tasks=tasks)).code == 0
    tuned, inline = rows(tmp_path / "tuned"), rows(tmp_path / "run")
    assert len(tuned) == 8
    pd.testing.assert_frame_equal(tuned[SCIENCE], inline[SCIENCE], check_exact=True)
    for curve in ("curve_train_loss", "curve_test_score"):
        assert [list(c) for c in tuned[curve]] == [list(c) for c in inline[curve]]
    assert (tuned["gpu_share"] == 0).all()


def test_a_killed_driver_loses_nothing_and_trains_nothing_twice(study: Write, tmp_path: Path) -> None:
    """Values included: what was in flight goes on from its checkpoint, and the table is the undisturbed one; also where
    every epoch is told to a logger."""
    file, run = study(archs=6, epochs=3, engine="tune", execution="checkpoint_s = 0"), tmp_path / "run"
    driver = start("run", file)
    wait_for_rows(run, 4)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    time.sleep(3)  # workers outlive their driver by a moment and may still publish
    before = {p.name.split(".")[0] for p in run.glob("attempts/*.parquet")}
    assert 4 <= len(before) < 12
    logged = 'checkpoint_s = 0\nloggers = ["tensorboard"]'
    ended = cli("run", study(archs=6, epochs=3, engine="tune", execution=logged))
    assert ended.code == 0, ended.err
    after = rows(run)
    curves = {p.name[-16:]: logged_scores(p) for p in (run / "logs").iterdir()}
    assert set(curves) == set(after.index) - before
    for trial_id, scores in curves.items():
        curve = list(after.loc[trial_id, "curve_test_score"])
        assert scores == {3 - k: pytest.approx(curve[2 - k]) for k in range(len(scores))}, "to the last epoch"
        assert len(scores) == 3 - after.loc[trial_id, "resumed"]
    assert len(after) == 12
    assert after.index.is_unique
    launches = after["launch"].value_counts()
    assert len(launches) == 2
    assert set(after.index[after["launch"] == launches.index[launches.index != after["launch"].max()][0]]) >= before
    assert f"({12 - len(before)} trained now)" in ended.out
    run.rename(tmp_path / "killed")
    assert cli("run", study(archs=6, epochs=3)).code == 0
    pd.testing.assert_frame_equal(after[SCIENCE], rows(run)[SCIENCE], check_exact=True)


def test_ctrl_c_drains_and_a_second_driver_is_refused(study: Write, tmp_path: Path) -> None:
    file, run = study(archs=6, epochs=20, engine="tune"), tmp_path / "run"
    driver = start("run", file)
    wait_for_rows(run, 1)
    second = cli("run", file)
    assert second.code == 3
    assert f"process {driver.pid}" in second.err
    os.killpg(driver.pid, signal.SIGINT)  # a terminal sends it to the whole group
    ended = Ended(driver)
    assert ended.code == 3, ended.err
    assert not (run / "lease.json").exists()
    stopped = list(run.glob("trials/*/checkpoint.pt"))
    assert 1 <= len(stopped) <= 2
    assert not list(run.glob("attempts/*"))
    done = rows(run)
    assert (done["status"] == "ok").all()
    names = {p.parent.name for p in stopped}
    only = ",".join(f"trial_id={name}" for name in names)
    assert cli("run", file, "--only", only, "--engine", "inline").code == 0
    resumed = rows(run).loc[sorted(names)]
    assert (resumed["resumed"] > 0).all()
    assert (resumed["attempt"] == 1).all()
    assert not list(run.glob("trials/*"))
    pd.testing.assert_frame_equal(rows(run).loc[done.index], done)


def test_stop_from_another_terminal(study: Write, tmp_path: Path) -> None:
    file = study(archs=4, epochs=400)
    driver = start("run", file)
    end = time.monotonic() + 60
    while not (tmp_path / "run" / "lease.json").exists() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(2)
    assert "asked process" in cli("stop", file).out
    ended = Ended(driver)
    assert ended.code == 3, ended.err
    assert "no driver is at work" in cli("stop", file).out


def test_a_killed_worker_costs_one_attempt(study: Write, tmp_path: Path) -> None:
    file, run = study(archs=2, epochs=12, engine="tune", execution="max_concurrent = 1"), tmp_path / "run"
    driver = start("run", file)
    wait_for_rows(run, 1)
    end = time.monotonic() + 30
    while not (workers := _workers_of(driver.pid)) and time.monotonic() < end:
        time.sleep(0.05)  # between two trials nobody trains for a moment
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    ended = Ended(driver)
    assert ended.code == 0, ended.err
    every = pd.read_parquet(run / "rows")
    assert (every["status"] == "ok").sum() == 4
    failed = every[every["status"] == "failed"]
    assert failed["error_class"].tolist() == ["worker_died"]
    assert (failed["wall_s"] > 0).all()
    again = every[every["trial_id"] == failed["trial_id"].iloc[0]]
    assert sorted(again["attempt"]) == [1, 2]


def _workers_of(driver: int) -> list[int]:
    """The processes that train now: Ray titles them by the method they run; those that descend from this driver."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes().decode(errors="replace")
            if "SweepTrial.train" in title and _descends(int(folder.name), driver):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def test_a_trial_that_takes_too_long_is_ended(study: Write, tmp_path: Path) -> None:
    ended = cli("run", study(archs=1, tasks=("rot",), epochs=100_000, engine="tune", execution="trial_timeout_s = 6"))
    assert ended.code == 1, ended.err
    every = pd.read_parquet(tmp_path / "run" / "rows")
    assert every["error_class"].tolist() == ["timeout", "timeout"]
    assert "timeout" in ended.out


def test_tune_forgets_what_is_over_and_ends_once(study: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its books stay as small as what runs, whatever the size of the study; no slot waits for a new Tuner."""
    from ray import tune as ray_tune

    from orchestrator import runner
    from orchestrator.ray_tune import pruning
    from orchestrator.study.schema import load

    sizes, tuners, prune, fit = [], [], pruning.prune, ray_tune.Tuner.fit

    def look(controller: Any) -> None:
        prune(controller)
        sizes.append(max(len(controller._trials), len(controller._trial_metadata), len(controller._stopped_trials)))

    monkeypatch.setattr(pruning, "_KEPT", 2)
    monkeypatch.setattr(pruning, "prune", look)
    monkeypatch.setattr(ray_tune.Tuner, "fit", lambda self: tuners.append(self) or fit(self))
    file = study(archs=16, tasks=("jig",), engine="tune", execution="max_concurrent = 2")
    ended = runner.run(load(str(file)))
    assert ended.exit_code == 0
    assert len(rows(tmp_path / "run")) == 16
    assert len(sizes) == 16
    assert max(sizes) <= 8
    assert len(tuners) == 1


def test_declared_gpus_are_shared_and_never_exceed_the_wish(study: Write, tmp_path: Path) -> None:
    """Two GPUs declared to Ray, half a one for a trial: placement as on a GPU machine, trained on the CPU."""
    execution = "gpus_per_trial = 0.5\ncpus_per_trial = 0.5\nkeep_checkpoints = true"
    file = study(archs=2, epochs=20, engine="tune", execution=execution)
    ended = cli("run", file, ARCHSWEEP_DEVICE="cpu", ARCHSWEEP_LOCAL_GPUS=2)
    assert ended.code == 0, ended.err
    assert (rows(tmp_path / "run")["gpu_share"] == 0.5).all()
    logs = [p.read_text() for p in (tmp_path / "run").glob("trials/*/log.txt")]
    assert len(logs) == 4
    seen = {re.search(r"CUDA_VISIBLE_DEVICES='(\d)'", text)[1] for text in logs}
    assert seen == {"0", "1"}


def test_gpus_wished_but_impossible_and_cpu_trials_that_see_none(study: Write, tmp_path: Path) -> None:
    refused = cli("run", study(engine="tune", execution="gpus_per_trial = 1"), ARCHSWEEP_LOCAL_GPUS=0)
    assert refused.code == 2
    assert "gpus_per_trial = 1, but the cluster has 0 GPUs and cannot" in refused.err
    file = study(archs=1, tasks=("jig",), engine="tune", execution="gpus_per_trial = 0\nkeep_checkpoints = true")
    assert cli("run", file, ARCHSWEEP_LOCAL_GPUS=2).code == 0
    (text,) = [p.read_text() for p in (tmp_path / "run").glob("trials/*/log.txt")]
    assert "CUDA_VISIBLE_DEVICES=''" in text


def test_a_cluster_that_is_already_there_is_joined_and_left_running(study: Write, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20},
    )
    try:
        file = study(archs=1, tasks=("jig",), engine="tune")
        ended = cli("run", file, RAY_ADDRESS=cluster.address)
        assert ended.code == 0, ended.err
        assert f"connecting to {cluster.address}" in ended.out
        assert len(rows(tmp_path / "run")) == 1
        refused = cli(
            "run",
            study(archs=2, tasks=("jig",), engine="tune", execution="cpus_per_trial = 8"),
            RAY_ADDRESS=cluster.address,
        )
        assert refused.code == 2
        assert "cpus_per_trial = 8, but the cluster has 1 CPU cores" in refused.err
    finally:
        cluster.shutdown()
