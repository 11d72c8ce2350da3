"""A machine that holds another archsweep, or another distribution's `spaces`, trains nothing."""

import dataclasses
import json
import platform
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from orchestrator.execution import node_check

from .conftest import Ended, Write, cli, start

ROOT = Path(__file__).resolve().parents[2]
HERE = node_check.here()


def test_builds_of_one_torch_agree_and_releases_do_not() -> None:
    assert node_check.differences(HERE, HERE) == []
    assert "+" not in (HERE.torch or "")
    older = dataclasses.replace(HERE, torch="2.0.1")
    assert node_check.differences(older, HERE) == [f"torch 2.0.1 there, {HERE.torch} here"]


def test_versions_that_change_pixels_numbers_or_rows_are_compared() -> None:
    for name in ("numpy", "pillow", "pyarrow", "torchvision"):
        (mine,) = [text for text in HERE.libraries if text.startswith(f"{name} ")]
        other = tuple(f"{name} 0.1" if text == mine else text for text in HERE.libraries)
        there = dataclasses.replace(HERE, libraries=other)
        assert node_check.differences(there, HERE) == [f"{name} 0.1 there, {mine.partition(' ')[2]} here"]


@pytest.mark.parametrize("package", ["orchestrator", "workers", "spaces"])
def test_a_change_of_any_package_that_a_worker_runs_is_seen(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in node_check.PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("1")
    monkeypatch.setattr(node_check, "_HOME", tmp_path)
    before = node_check._code()
    (tmp_path / package / "a.py").write_text("2")
    assert node_check._code() != before


def test_what_a_newer_driver_says_is_understood_as_far_as_it_is_known() -> None:
    values = dataclasses.asdict(HERE) | {"unheard_of": 1}
    assert node_check.Environment.read(values) == HERE


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with a top-level `spaces` of another distribution."""
    package = tmp_path / "foreign" / "spaces"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("GPU = lambda function: function\n")
    return package.parent


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A folder with archsweep of another protocol."""
    for name in node_check.PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / "changed" / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "changed" / "workers" / "trial.py"
    file.write_text(file.read_text().replace("\nPROTOCOL = ", "\nPROTOCOL = 9"))
    return tmp_path / "changed"


def test_a_shadowed_driver_is_refused_before_anything(
    study: Write, foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the folder a command is called from comes before PYTHONPATH
    ended = cli("run", study(), PYTHONPATH=foreign)
    assert ended.code == 2, ended.err
    assert f"package spaces comes from {foreign}" in ended.err
    assert not (tmp_path / "run").exists()
    said = " ".join(cli("doctor", PYTHONPATH=foreign).out.split())  # a long path breaks lines
    assert "another distribution" in said


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head that takes no trial; the test adds machines."""
    monkeypatch.chdir(tmp_path)
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    found = Cluster(initialize_head=True, head_node_args=head)
    yield found
    found.shutdown()


def add(cluster: Cluster, path: Path | None = None) -> object:
    """A machine with one core, whose Python finds the packages of `path` first."""
    return cluster.add_node(
        num_cpus=1, object_store_memory=100 * 2**20, env_vars={"PYTHONPATH": str(path)} if path else {}
    )


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_machines_with_other_packages_are_refused_by_name(
    study: Write, cluster: Cluster, foreign: Path, changed: Path, tmp_path: Path
) -> None:
    shadowed = add(cluster, foreign)
    file = study(archs=1, tasks=("jig",), engine="tune")
    ended = cli("run", file, RAY_ADDRESS=cluster.address)
    assert ended.code == 2, ended.err
    assert "1 of 1 machines" in ended.err
    assert f"{platform.node()}: package spaces comes from {foreign}" in ended.err
    assert "Traceback" not in ended.err
    cluster.remove_node(shadowed)

    add(cluster)
    add(cluster, changed)
    ended = cli("run", file, RAY_ADDRESS=cluster.address)
    assert ended.code == 2, ended.err
    assert "1 of 2 machines" in ended.err
    assert "protocol 91, code" in ended.err
    assert not list((tmp_path / "run").glob("attempts/*"))


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_a_cluster_of_another_ray_is_refused_in_one_message(study: Write, cluster: Cluster, tmp_path: Path) -> None:
    told = {"ray_version": "2.1.0", "python_version": platform.python_version()}
    cluster.head_node.get_gcs_client().internal_kv_put(
        b"CLUSTER_METADATA", json.dumps(told).encode(), True, namespace=b"cluster"
    )
    ended = cli("run", study(archs=1, engine="tune"), RAY_ADDRESS=cluster.address)
    assert ended.code == 2, ended.err
    assert ended.err.startswith(f"error: RAY_ADDRESS={cluster.address} cannot be joined: Version mismatch")
    assert "Ray: 2.1.0" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
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
    end = time.monotonic() + 120
    while not (trained := list(run.glob("trials/*/checkpoint.pt"))) and time.monotonic() < end:
        time.sleep(0.1)
    assert trained
    add(cluster, foreign)
    ended = Ended(driver)
    assert ended.code == 2, ended.err
    assert f"package spaces comes from {foreign}" in ended.err
    assert list(run.glob("trials/*/checkpoint.pt")) == trained
    assert not list(run.glob("*/*.parquet"))
    assert not (run / "lease.json").exists()
