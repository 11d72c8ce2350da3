"""Both engines give the same rows; deaths, stops and a second driver lose nothing and train nothing twice."""

import os
import re
import signal
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


def scored(file: Path) -> Path:
    """With the scores of the networks that were trained for rotations."""
    text = file.read_text()
    sweep = (
        text.split("[[sweeps]]")[1].split("[execution]")[0].partition("override")[0].replace("demo", "robustness/clean")
    )
    sweep = re.sub(r"tasks = .*", 'tasks = ["rot"]', sweep)
    text = text.replace("[[sweeps]]", '[[sweeps]]\nname = "trained"')
    file.write_text(f'{text}\n[[sweeps]]\nweights = "trained"{sweep}')
    return file


def test_tune_and_inline_give_the_same_rows(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    """Two GPUs declared to Ray, half a one for a trial: placement as on a GPU machine, trained on the CPU."""
    tasks = ("cls", "rot", "col", "jig")
    # Three processes: Ray fills one GPU before it takes the other.
    execution = "gpus_per_trial = 0.5\ncpus_per_trial = 0.5\nmax_concurrent = 3\nkeep_checkpoints = true"
    both = spoil("""
(marks / f"gpu-{os.environ['CUDA_VISIBLE_DEVICES']}").touch()
end = time.monotonic() + 60
while len(list(marks.glob("gpu-*"))) < 2 and time.monotonic() < end: time.sleep(0.05)
""")
    file = scored(study(archs=2, tasks=tasks, engine="tune", execution=execution))
    ended = cli("run", file, ARCHSWEEP_DEVICE="cpu", ARCHSWEEP_LOCAL_GPUS=2, **both)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert len(ended.out.splitlines()) < 20
    logs = [p.read_text() for p in (tmp_path / "run").glob("trials/*/log.txt")]
    assert len(logs) == 10
    assert {re.search(r"CUDA_VISIBLE_DEVICES='(\d)'", text)[1] for text in logs} == {"0", "1"}
    (tmp_path / "run").rename(tmp_path / "tuned")
    inline(scored(study(archs=2, tasks=tasks)))
    tuned, alone = rows(tmp_path / "tuned"), rows(tmp_path / "run")
    assert len(tuned) == 10
    scores = tuned["base"].dropna()
    assert (tuned.loc[scores.index, "score_final"] == tuned.loc[scores, "score_final"].to_list()).all()
    assert len(scores) == 2
    pd.testing.assert_frame_equal(tuned[SCIENCE], alone[SCIENCE], check_exact=True)
    assert [list(c) for c in tuned["curve_test_score"]] == [list(c) for c in alone["curve_test_score"]]
    losses = [each["curve_train_loss"].dropna() for each in (tuned, alone)]
    assert [list(c) for c in losses[0]] == [list(c) for c in losses[1]]
    assert (tuned["gpu_share"] == 0.5).all()


def test_a_killed_driver_loses_nothing_and_trains_nothing_twice(study: Write, spoil: Spoil, tmp_path: Path) -> None:
    """Values included: what was in flight goes on from its checkpoint, and the table is the undisturbed one; also where
    every epoch is told to a logger."""
    one = "checkpoint_s = 0\nmax_concurrent = 1"
    file, run = study(archs=6, epochs=3, engine="tune", execution=one), tmp_path / "run"
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
    file = study(archs=12, tasks=("jig",), engine="tune", execution="max_concurrent = 1")
    ended = runner.run(load(str(file)))
    assert ended.exit_code == 0
    assert len(rows(tmp_path / "run")) == 12
    assert len(sizes) == 12
    assert max(sizes) <= 5
    assert len(tuners) == 1


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
