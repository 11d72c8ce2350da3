"""Both engines give the same rows; deaths, stops and a second driver lose nothing and train nothing twice."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.soak import processes

from .conftest import Ended, Spoil, Write, cli, inline, slow, start, wait_for

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


def test_tune_and_inline_give_the_same_rows(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    """Two GPUs declared to Ray, half a one for a trial: placement as on a GPU machine, trained on the CPU."""
    tasks = ("cls", "rot", "col", "jig")
    execution = "gpus_per_trial = 0.5\ncpus_per_trial = 0.5\nkeep_checkpoints = true"
    both = spoil("""
(marks / f"gpu-{os.environ['CUDA_VISIBLE_DEVICES']}").touch()
end = time.monotonic() + 60
while len(list(marks.glob("gpu-*"))) < 2 and time.monotonic() < end: time.sleep(0.05)
""")
    file = study(archs=2, tasks=tasks, engine="tune", execution=execution)
    ended = cli("run", file, ARCHSWEEP_DEVICE="cpu", ARCHSWEEP_LOCAL_GPUS=2, **both)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert len(ended.out.splitlines()) < 20
    logs = [p.read_text() for p in (tmp_path / "run").glob("trials/*/log.txt")]
    assert len(logs) == 8
    assert {re.search(r"CUDA_VISIBLE_DEVICES='(\d)'", text)[1] for text in logs} == {"0", "1"}
    (tmp_path / "run").rename(tmp_path / "tuned")
    inline(study(archs=2, tasks=tasks))
    tuned, alone = rows(tmp_path / "tuned"), rows(tmp_path / "run")
    assert len(tuned) == 8
    pd.testing.assert_frame_equal(tuned[SCIENCE], alone[SCIENCE], check_exact=True)
    for curve in ("curve_train_loss", "curve_test_score"):
        assert [list(c) for c in tuned[curve]] == [list(c) for c in alone[curve]]
    assert (tuned["gpu_share"] == 0.5).all()


def test_a_killed_driver_loses_nothing_and_trains_nothing_twice(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    """Values included: what was in flight goes on from its checkpoint, and the table is the undisturbed one; also where
    every epoch is told to a logger."""
    file, run = study(archs=6, epochs=3, engine="tune", execution="checkpoint_s = 0"), tmp_path / "run"
    driver = start("run", file, **spoil(slow(0.4)))
    wait_for_rows(run, 4)
    trains = processes.training(driver.pid)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    wait_for(lambda: not any(map(processes.title, trains)))  # they outlive their driver and may still publish
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
    inline(study(archs=6, epochs=3))
    pd.testing.assert_frame_equal(after[SCIENCE], rows(run)[SCIENCE], check_exact=True)


def test_ctrl_c_drains_and_a_second_driver_is_refused(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    file, run = study(archs=6, epochs=20, engine="tune"), tmp_path / "run"
    driver = start("run", file, **spoil(slow(1.0, "trial.task == 'jig'")))
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


def test_a_killed_worker_costs_one_attempt(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    file, run = study(archs=2, epochs=6, engine="tune", execution="max_concurrent = 1"), tmp_path / "run"
    driver = start("run", file, **spoil(slow(0.4)))
    wait_for_rows(run, 1)
    wait_for(lambda: processes.training(driver.pid), 60)  # between two trials none trains for a moment
    for pid in processes.training(driver.pid):
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


def test_tune_forgets_what_is_over_and_ends_once(study: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its books stay as small as what runs, whatever the size of the study; no slot waits for a new Tuner."""
    from ray import tune as ray_tune

    from orchestrator import runner
    from orchestrator.ray_tune import pruning
    from orchestrator.study.schema import load

    books, tuners, strike, fit = [], [], pruning.forget, ray_tune.Tuner.fit

    def look(controller: Any) -> None:
        strike(controller)
        books.append(max(len(controller._trials), len(controller._trial_metadata), len(controller._stopped_trials)))

    monkeypatch.setattr(pruning, "_KEPT", 2)
    monkeypatch.setattr(pruning, "forget", look)
    monkeypatch.setattr(ray_tune.Tuner, "fit", lambda self: tuners.append(self) or fit(self))
    file = study(archs=16, tasks=("jig",), engine="tune", execution="max_concurrent = 2")
    ended = runner.run(load(str(file)))
    assert ended.exit_code == 0
    assert len(rows(tmp_path / "run")) == 16
    assert len(books) == 16
    assert max(books) <= 8
    assert len(tuners) == 1


def test_gpus_wished_but_impossible_and_cpu_trials_that_see_none(study: Write, tmp_path: Path) -> None:
    refused = cli("run", study(engine="tune", execution="gpus_per_trial = 1"), ARCHSWEEP_LOCAL_GPUS=0)
    assert refused.code == 2
    assert "gpus_per_trial = 1, but the cluster has 0 GPUs and cannot" in refused.err
    file = study(archs=1, tasks=("jig",), engine="tune", execution="gpus_per_trial = 0\nkeep_checkpoints = true")
    assert cli("run", file, ARCHSWEEP_LOCAL_GPUS=2).code == 0
    (text,) = [p.read_text() for p in (tmp_path / "run").glob("trials/*/log.txt")]
    assert "CUDA_VISIBLE_DEVICES=''" in text
    assert rows(tmp_path / "run")["gpu_share"].tolist() == [0]


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
