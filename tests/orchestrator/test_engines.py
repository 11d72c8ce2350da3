"""A Ray of the run's own: deaths, stops and a second driver lose nothing and train nothing twice."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from tests.soak import processes

from .conftest import Ended, Spoil, Write, cli, inline, slow, start, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
SCIENCE = ["score_best", "score_final", "best_epoch", "epochs", "train_loss", "diverged", "params", "macs", "arch"]


def rows(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "rows").set_index("trial_id").sort_index()


def wait_for_rows(folder: Path, n: int) -> None:
    """Wait until at least n attempts are published."""
    wait_for(
        lambda: (
            n
            <= len(list(folder.glob("attempts/*.parquet")))
            + sum(len(pd.read_parquet(p)) for p in folder.glob("rows/part-*.parquet"))
        )
    )


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


def test_a_killed_driver_loses_nothing_and_trains_nothing_twice(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    """Values included: what was in flight goes on from its checkpoint, and the table is the undisturbed one; also where
    every epoch is told to a logger."""
    one = "checkpoint_s = 0\nmax_concurrent = 1\n"
    file, run = study(archs=3, epochs=3, engine="tune", execution=one), tmp_path / "run"
    driver = start("run", file, **spoil(slow(0.4)))
    wait_for_rows(run, 2)
    trains = processes.training(driver.pid)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    wait_for(lambda: not any(map(processes.title, trains)))  # they outlive their driver and may still publish
    before = {p.name.split(".")[0] for p in run.glob("attempts/*.parquet")}
    assert 2 <= len(before) < 6
    ended = cli("run", study(archs=3, epochs=3, engine="tune", execution=one + 'loggers = ["tensorboard"]'))
    assert ended.code == 0, ended.err
    after = rows(run)
    curves = {p.name[-16:]: logged_scores(p) for p in (run / "logs").iterdir()}
    assert set(curves) == set(after.index) - before
    for trial_id, scores in curves.items():
        curve = list(after.loc[trial_id, "curve_test_score"])
        assert scores == {3 - k: pytest.approx(curve[2 - k]) for k in range(len(scores))}, "to the last epoch"
        assert len(scores) == 3 - after.loc[trial_id, "resumed"]
    assert len(after) == 6
    assert after.index.is_unique
    launches = after["launch"].value_counts()
    assert len(launches) == 2
    assert set(after.index[after["launch"] == launches.index[launches.index != after["launch"].max()][0]]) >= before
    assert f"({6 - len(before)} trained now)" in ended.out
    run.rename(tmp_path / "killed")
    inline(study(archs=3, epochs=3))
    pd.testing.assert_frame_equal(after[SCIENCE], rows(run)[SCIENCE], check_exact=True)


def test_ctrl_c_drains_and_a_second_driver_is_refused(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    file, run = study(archs=3, epochs=20, engine="tune"), tmp_path / "run"
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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux pins processes to cores")
def test_one_core_a_long_temporary_folder_and_gpus_that_are_not_wished(
    study: Write, spoil: Spoil, tmp_path: Path
) -> None:
    """Ray gets the cores that the driver may use, trials on CPUs see no GPU, and SIGTERM to all processes drains, as
    Slurm sends it."""
    one, long, run = {min(os.sched_getaffinity(0))}, tmp_path / ("d" * 90), tmp_path / "run"
    long.mkdir()
    cores = "import ray\n(marks / f'cores-{ray.cluster_resources()[\"CPU\"]:g}').touch()\n"
    environment = spoil(cores + slow(2.0, "len(list(marks.glob('*-1'))) > 2"))  # the second trial
    execution = "gpus_per_trial = 0\nkeep_checkpoints = true\ncheckpoint_s = 0"
    file = study(archs=2, tasks=("jig",), epochs=20, engine="tune", execution=execution)
    driver = start("run", file, cpus=one, TMPDIR=long, ARCHSWEEP_LOCAL_GPUS=2, **environment)
    wait_for_rows(run, 1)
    wait_for(lambda: len(list(run.glob("trials/*/checkpoint.pt"))) == 2)
    os.killpg(driver.pid, signal.SIGTERM)
    ended = Ended(driver)
    assert ended.code == 3, ended.out + ended.err
    assert "TMPDIR is too long for its sockets" in ended.out
    assert not (run / "lease.json").exists()
    assert [p.name for p in (tmp_path / "marks").glob("cores-*")] == ["cores-1"]
    found = rows(run)
    assert found["status"].tolist() == ["ok"]
    assert found["gpu_share"].tolist() == [0]
    assert "CUDA_VISIBLE_DEVICES=''" in (run / "trials" / found.index[0] / "log.txt").read_text()
    assert "1 cores usable of " in cli("doctor", cpus=one).out
