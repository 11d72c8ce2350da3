"""The repository: shipped files are valid, imports are light, `make` and `.ci/run` work."""

import copy
import graphlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import grimp
import pyarrow as pa
import pytest
import yaml

import analysis.rows.schema
from workers.row import SCHEMA

ROOT = Path(__file__).resolve().parents[1]


def _cluster(file: str) -> dict[str, Any]:
    """A shipped cluster file, accepted by the checks that `ray up` makes first."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())
    validate_config(prepare_config(copy.deepcopy(config)))
    return config


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version


@pytest.mark.parametrize("file", ["cluster.yaml", "docs/cluster-local.yaml"])
def test_cluster_files_are_what_ray_accepts_and_closed_to_strangers(file: str) -> None:
    config = _cluster(file)
    starts = [config[f"{kind}_start_ray_commands"][-1] for kind in ("head", "worker")]
    assert all("RAY_AUTH_MODE=token" in start for start in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "--num-cpus=0" in starts[0]
    assert "~/.ray/auth_token" in config["file_mounts"]
    assert "constraints.txt" in " ".join(config["setup_commands"])


def test_the_aws_cluster_trains_on_spot_machines_above_a_floor_that_stays() -> None:
    types = _cluster("cluster.yaml")["available_node_types"]
    spot = {name for name, kind in types.items() if "InstanceMarketOptions" in kind["node_config"]}
    floor = {name for name, kind in types.items() if kind.get("min_workers")}
    trains = {name for name, kind in types.items() if kind["resources"]["CPU"]}
    assert spot
    assert floor
    assert spot | floor == trains
    assert not spot & floor
    assert all("IamInstanceProfile" in kind["node_config"] for kind in types.values())


def test_analysis_declares_the_rows_that_workers_write() -> None:
    theirs, ours = analysis.rows.schema.SCHEMA, SCHEMA
    assert theirs.names == ours.names
    for name in ours.names:
        assert theirs.field(name).type == ours.field(name).type, name
    assert isinstance(ours, pa.Schema)


@pytest.mark.parametrize(
    ("package", "heavy"),
    [
        ("spaces", ("torch", "ray")),
        ("workers", ("torch", "ray")),
        ("analysis", ("torch", "ray", "spaces", "workers")),
        ("orchestrator.store.status", ("torch", "ray")),
        ("orchestrator.cli.main", ("torch", "ray", "numpy", "pandas", "pyarrow", "pydantic", "fsspec")),
    ],
)
def test_importing_loads_nothing_heavy(package: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {package}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module of the four packages imports of them: inside functions and for types alone too."""
    graph = grimp.build_graph("spaces", "workers", "orchestrator", "analysis")
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_no_modules_import_each_other_in_a_circle(imports: dict[str, set[str]]) -> None:
    """CycleError names a circle."""
    assert len(imports) > 200
    graphlib.TopologicalSorter(imports).prepare()


@pytest.mark.parametrize("registry", ["spaces", "workers.tasks", "workers.datasets", "workers.recipes"])
def test_shared_files_of_a_registry_import_none_of_its_entries(registry: str, imports: dict[str, set[str]]) -> None:
    inside = {module for module in imports if f"{module}.".startswith(f"{registry}.")}
    shared = {module for module in inside if module == registry or module.startswith(f"{registry}._")}
    assert inside > shared
    assert not {(module, other) for module in shared for other in imports[module] & (inside - shared)}


def test_a_worker_needs_no_ray() -> None:
    """GPU machines without Ray must be able to train."""
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "import workers, spaces\n"
        "r = workers.recipe('demo', space='chain', dataset='photos', task='cls')\n"
        "r = r.replace(epochs=1, width=2, depth=1, batch=256, precise_bn=0)\n"
        "t = workers.Trial(space='chain', arch='c3_mp', dataset='photos', task='cls', recipe=r)\n"
        "print(workers.run(t)['status'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "ok"


@pytest.mark.parametrize(
    ("target", "runs", "not_runs"), [("test", "pytest", "ruff|mypy|lint-imports"), ("check", "ruff|mypy", "pytest")]
)
def test_no_checker_stands_between_a_user_and_the_tests(target: str, runs: str, not_runs: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(runs, done.stdout)
    assert not re.search(not_runs, done.stdout)


def test_continuous_integration_runs_the_tests_whatever_the_checkers_say(tmp_path: Path) -> None:
    """With a `make` that notes what it is asked, and fails."""
    (tmp_path / "make").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ntest "$1" != "$FAILS"\n')
    (tmp_path / "make").chmod(0o755)
    for fails, code in (("check", 1), ("test", 1), ("", 0)):
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "FAILS": fails}
        done = subprocess.run([ROOT / ".ci" / "run"], env=env, check=False)
        assert done.returncode == code
        assert (tmp_path / "asked").read_text().split() == ["check", "test"]
        (tmp_path / "asked").unlink()
