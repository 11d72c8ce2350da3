"""A cluster of one machine that was running before: what runs that join it train, and that it is left running.

The machine declares two GPUs to Ray: placement is as on a GPU machine, and trials train on the CPU.
"""

import contextlib
import json
import platform
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray.cluster_utils import Cluster

from orchestrator.study import schema as studies
from orchestrator.study.plan import plan

from . import staged
from .conftest import Ended, Write, cli, inline, spoiler
from .staged import RETRAIN, SEARCH
from .staged import undisturbed as undisturbed  # a fixture

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
SCIENCE = ["score_best", "score_final", "best_epoch", "epochs", "train_loss", "diverged", "params", "macs", "arch"]
Run = Callable[..., Ended]

# Workers have the environment of their machine, not that of the driver: they look here for what is to befall them.
SITE = """
import importlib.util, pathlib, sys

class Late:
    def find_spec(self, name, path, target=None):
        if name != "workers.attempt":
            return None
        sys.meta_path.remove(self)
        if (file := pathlib.Path({file!r})).exists():
            exec(compile(file.read_text(), str(file), "exec"), {{}})
        return importlib.util.find_spec(name)

sys.meta_path.insert(0, Late())
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def cluster(place: Path) -> Iterator[Cluster]:
    (place / "sitecustomize.py").write_text(SITE.format(file=str(place / "faults.py")))
    head = {"num_cpus": 2, "num_gpus": 2, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    head["env_vars"] = {"PYTHONPATH": str(place), "ARCHSWEEP_DEVICE": "cpu"}
    with contextlib.chdir(place):
        found = Cluster(initialize_head=True, head_node_args=head)
    yield found
    found.shutdown()


@pytest.fixture
def befall(place: Path, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Makes trainings fail or wait, as the fixture `spoil` does."""
    yield lambda faults: (place / "faults.py").write_text(spoiler(tmp_path / "marks", faults)) and None
    (place / "faults.py").unlink()


def rows(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "rows").set_index("trial_id").sort_index()


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


def test_tune_and_inline_give_the_same_rows(
    study: Write, befall: Callable[[str], None], cluster: Cluster, tmp_path: Path
) -> None:
    """Half a GPU for a trial."""
    tasks = ("cls", "rot", "col", "jig")
    # Three processes: Ray fills one GPU before it takes the other.
    execution = "gpus_per_trial = 0.5\ncpus_per_trial = 0.5\nmax_concurrent = 3\nkeep_checkpoints = true"
    befall("""
(marks / f"gpu-{os.environ['CUDA_VISIBLE_DEVICES']}").touch()
end = time.monotonic() + 60
while len(list(marks.glob("gpu-*"))) < 2 and time.monotonic() < end: time.sleep(0.05)
""")
    file = scored(study(archs=2, tasks=tasks, engine="tune", execution=execution))
    ended = cli("run", file, RAY_ADDRESS=cluster.address)
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


def test_tune_forgets_what_is_over_and_ends_once(
    study: Write, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its books stay as small as what runs, whatever the size of the study; no slot waits for a new Tuner."""
    from ray import tune as ray_tune

    from orchestrator import runner
    from orchestrator.ray_tune import pruning

    sizes, tuners, prune, fit = [], [], pruning.prune, ray_tune.Tuner.fit

    def look(controller: Any) -> None:
        prune(controller)
        sizes.append(max(len(controller._trials), len(controller._trial_metadata), len(controller._stopped_trials)))

    monkeypatch.setattr(pruning, "_KEPT", 2)
    monkeypatch.setattr(pruning, "prune", look)
    monkeypatch.setattr(ray_tune.Tuner, "fit", lambda self: tuners.append(self) or fit(self))
    file = study(archs=12, tasks=("jig",), engine="tune", execution="max_concurrent = 1\ngpus_per_trial = 0")
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    ended = runner.run(studies.load(str(file)))
    assert ended.exit_code == 0
    assert len(rows(tmp_path / "run")) == 12
    assert len(sizes) == 12
    assert max(sizes) <= 5
    assert len(tuners) == 1


def test_every_fault_in_one_study(
    study: Write, befall: Callable[[str], None], cluster: Cluster, tmp_path: Path
) -> None:
    """Each architecture suffers its own; half a GPU for a trial, so that a whole one is something else."""
    file = study(
        archs=9,
        tasks=("jig",),
        engine="tune",
        execution="gpus_per_trial = 0.5\ncpus_per_trial = 0.5\nmax_concurrent = 2\ntrial_timeout_s = 15",
    )
    faults = ["once", "always", "oom_cuda", "oom_host", "killed", "long", "native", "device", "none"]
    ids = dict(zip(faults, plan(studies.load(str(file))).table["trial_id"].to_pylist(), strict=True))
    befall(f"""
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
    ended = cli("run", file, RAY_ADDRESS=cluster.address)
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
        assert "faults.py" in row["traceback"]
        assert where in row["traceback"]
    assert f"{ids['always']}  error: RuntimeError: no good ever" in ended.out
    said = cli("status", file).out
    assert "8 of 9 trials done" in said
    assert "1 x RuntimeError: no good ever" in said
    good = rows(tmp_path / "run").query("status == 'ok'")
    (tmp_path / "run").rename(tmp_path / "disturbed")
    inline(study(archs=9, tasks=("jig",)))
    expected = rows(tmp_path / "run").loc[good.index]
    pd.testing.assert_frame_equal(good[SCIENCE], expected[SCIENCE], check_exact=True, check_dtype=False)


def test_a_cluster_of_another_ray_is_refused_in_one_message(study: Write, cluster: Cluster) -> None:
    told = {"ray_version": "2.1.0", "python_version": platform.python_version()}
    client, key = cluster.head_node.get_gcs_client(), b"CLUSTER_METADATA"
    before = client.internal_kv_get(key, namespace=b"cluster")
    client.internal_kv_put(key, json.dumps(told).encode(), True, namespace=b"cluster")
    try:
        ended = cli("run", study(archs=1, engine="tune"), RAY_ADDRESS=cluster.address)
    finally:
        client.internal_kv_put(key, before, True, namespace=b"cluster")
    assert ended.code == 2, ended.err
    assert ended.err.startswith(f"error: RAY_ADDRESS={cluster.address} cannot be joined: Version mismatch")
    assert "Ray: 2.1.0" in ended.err
    assert "Traceback" not in ended.err


def test_ray_tune_trains_what_its_searches_find_in_a_cluster_that_is_left_running(
    tmp_path: Path, study: Write, undisturbed: list[tuple[Any, ...]], cluster: Cluster
) -> None:
    file = tmp_path / "study.toml"
    engine = "[execution]\nmax_concurrent = 1\ngpus_per_trial = 0\n"
    file.write_text(f'name = "stages"\npath = "{tmp_path / "stages"}"\n{SEARCH}{RETRAIN}{engine}')
    ended = cli("run", file, RAY_ADDRESS=cluster.address)
    assert (ended.code, "6 of 6 trials done (6 trained now)" in ended.out) == (0, True)
    assert f"connecting to {cluster.address}" in ended.out
    assert staged.rows(tmp_path / "stages") == undisturbed
    refused = cli(
        "run", study(engine="tune", execution="cpus_per_trial = 8\ngpus_per_trial = 0"), RAY_ADDRESS=cluster.address
    )
    assert refused.code == 2
    assert "cpus_per_trial = 8, but the cluster has 2 CPU cores" in refused.err
