"""One cluster of several machines: who may take trials, what a run does where a machine joins or dies."""

import contextlib
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from ray.cluster_utils import Cluster

from orchestrator.execution import node_check

from .conftest import Ended, Spoil, Write, cli, start, wait_for
from .test_environment import ROOT
from .test_environment import foreign as foreign  # a fixture

pytestmark = [pytest.mark.ray, pytest.mark.cluster, pytest.mark.xdist_group("clusters")]
STORE = 100 * 2**20


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A folder with archsweep of another protocol."""
    for name in node_check.PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / "changed" / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "changed" / "workers" / "trial.py"
    file.write_text(file.read_text().replace("\nPROTOCOL = ", "\nPROTOCOL = 9"))
    return tmp_path / "changed"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head that takes no trial."""
    with contextlib.chdir(tmp_path_factory.mktemp("cluster")):
        found = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE},
        )
    yield found
    found.shutdown()


@pytest.fixture
def cluster(head: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The same head; the test adds machines."""
    monkeypatch.chdir(tmp_path)
    yield head
    for node in list(head.worker_nodes):
        head.remove_node(node, allow_graceful=False)


def add(cluster: Cluster, path: Path | str | None = None) -> object:
    """A machine with one core, whose Python finds the packages of `path` first."""
    return cluster.add_node(num_cpus=1, object_store_memory=STORE, env_vars={"PYTHONPATH": str(path)} if path else {})


def test_machines_with_other_packages_are_refused_by_name(
    study: Write, cluster: Cluster, foreign: Path, changed: Path, tmp_path: Path
) -> None:
    for path in (foreign, None, changed):
        add(cluster, path)
    ended = cli("run", study(archs=1, tasks=("jig",), engine="tune"), RAY_ADDRESS=cluster.address)
    assert ended.code == 2, ended.err
    assert "2 of 3 machines" in ended.err
    assert f"{platform.node()}: package spaces comes from {foreign}" in ended.err
    assert "protocol 91, code" in ended.err
    assert "Traceback" not in ended.err
    assert not list((tmp_path / "run").glob("attempts/*"))


def test_a_wrong_machine_that_joins_later_ends_the_run_and_spoils_nothing(
    study: Write, cluster: Cluster, foreign: Path, tmp_path: Path
) -> None:
    add(cluster)
    # Long trials: one that ends while another process starts would give its place, and its machine, to the next.
    file, run = (
        study(archs=2, tasks=("jig",), epochs=100_000, engine="tune", execution="checkpoint_s = 0"),
        tmp_path / "run",
    )
    driver = start("run", file, RAY_ADDRESS=cluster.address)
    wait_for(lambda: list(run.glob("trials/*/checkpoint.pt")))
    trained = list(run.glob("trials/*/checkpoint.pt"))
    add(cluster, foreign)
    ended = Ended(driver)
    assert ended.code == 2, ended.err
    assert f"package spaces comes from {foreign}" in ended.err
    assert list(run.glob("trials/*/checkpoint.pt")) == trained
    assert not list(run.glob("*/*.parquet"))
    assert not (run / "lease.json").exists()


def test_a_cluster_is_joined_and_left_running_and_a_node_that_dies_is_not_held_against_its_trials(
    study: Write, spoil: Spoil, cluster: Cluster, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    code = """
import ray
(marks / f"node-{ray.get_runtime_context().get_node_id()}").write_text(str(os.getpid()))
while not (marks / "go").exists(): time.sleep(0.05)
"""
    path = spoil(code)["PYTHONPATH"]  # workers have the environment of their node
    add(cluster, path)
    node = add(cluster, path)
    driver = start("run", study(archs=4, tasks=("jig",), engine="tune"), RAY_ADDRESS=cluster.address)
    wait_for(lambda: len(list(marks.glob("node-*"))) == 2)  # both nodes train
    mark = marks / f"node-{node.node_id}"
    wait_for(mark.read_text)
    cluster.remove_node(node, allow_graceful=False)
    wait_for(lambda: not Path(f"/proc/{mark.read_text()}").exists())  # it outlives its node by a moment
    (marks / "go").touch()
    ended = Ended(driver)
    assert ended.code == 0, ended.out + ended.err
    assert f"connecting to {cluster.address}" in ended.out
    every = pd.read_parquet(tmp_path / "run" / "rows")
    failed = every[every["status"] == "failed"]
    assert failed["error_class"].tolist() == ["node_died"]
    assert "node has died" in failed["error_text"].iloc[0]
    assert sorted(every[every["status"] == "ok"]["attempt"]) == [1, 1, 1, 2]
    for _ in range(2):
        cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE)
    for wish, refusal in (
        ("gpus_per_trial = 2", "no machine of the cluster has more than 1 GPUs"),
        ("cpus_per_trial = 8", "cpus_per_trial = 8, but the cluster has 3 CPU cores"),
        ("gpus_per_trial = 4", "gpus_per_trial = 4, but the cluster has 2 GPUs and cannot"),
    ):
        file = study(archs=5, tasks=("jig",), engine="tune", execution=wish)
        refused = cli("run", file, RAY_ADDRESS=cluster.address)
        assert refused.code == 2
        assert refusal in refused.err
