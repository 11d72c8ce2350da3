"""The house itself: what is shipped is valid, what README says exists, importing stays light."""

import copy
import graphlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import grimp
import pandas as pd
import pyarrow as pa
import pytest
import yaml

import analysis.rows.schema
import spaces.darts.genotype
import spaces.nasbench101.cell
from orchestrator.study.plan import architectures
from orchestrator.study.schema import PRESETS, load, presets
from workers.row import SCHEMA

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def _cluster(file: str) -> dict[str, Any]:
    """A shipped cluster file, accepted by the checks that `ray up` makes first."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())
    validate_config(prepare_config(copy.deepcopy(config)))
    return config


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
    theirs, ours = analysis.rows.SCHEMA, SCHEMA
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
        "r = workers.recipe('demo', space='chain', dataset='photos', task='cls').replace(epochs=1)\n"
        "t = workers.Trial(space='chain', arch='c3_mp', dataset='photos', task='cls', recipe=r)\n"
        "print(workers.run(t)['status'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "ok"


def test_readme_opens_with_the_two_commands_and_links_to_what_exists() -> None:
    assert README.index("make demo") < README.index("make test")
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
    for name in presets():
        assert name in README


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


def test_readme_commands_are_verbs_that_exist() -> None:
    from orchestrator.cli.main import app

    verbs = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    verbs |= {group.name for group in app.registered_groups}
    used = set(re.findall(r"^archsweep ([a-z]+)", README, flags=re.MULTILINE))
    assert used <= verbs
    assert {"plan", "run", "status", "correlate", "report"} <= used


def test_readme_python_runs() -> None:
    """Every Python block, in order, as one program."""
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    subprocess.run([sys.executable, "-c", "\n".join(blocks)], check=True, cwd=ROOT, timeout=300)


def test_architectures_are_spelled_as_their_page_says() -> None:
    page = (ROOT / "docs" / "architectures.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \| ", page, flags=re.MULTILINE))
    assert set(rows) == set(spaces.registry().own())
    for name, text in rows.items():
        arch = text.replace("\\|", "|")
        assert spaces.get(name).normal(arch) == arch
        assert f"**{name}**" in page
    for code in (*spaces.darts.genotype.OPS, *spaces.nasbench101.cell.OPS):
        assert f"`{code}`" in page
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    said = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=True).stdout.split()
    for name, arch in zip(("nasbench101", "darts"), said, strict=True):
        assert spaces.get(name).normal(arch) == arch


@pytest.mark.parametrize("name", ["unnas-cifar10", "unnas-imagenet", "unnas-across"])
def test_presets_and_readme_lead_to_the_published_architectures(name: str, tmp_path: Path) -> None:
    """With the lists that the import writes in place of its samples, a preset is a study of them."""
    text = (PRESETS / f"{name}.toml").read_text()
    for where in (text.partition("name =")[0], README.partition("## Reproduce the paper")[2].partition("\n## ")[0]):
        assert {"darts-500.txt", "nasbench101-500.txt"} <= set(re.findall(r"--into (\S+)", where))
    archs = {space: spaces.sample(spaces.get(space), 2, 1).archs for space in ("darts", "nasbench101")}
    for space, two in archs.items():
        (tmp_path / f"{space}-500.txt").write_text("\n".join(two))
        sample = re.compile(rf'(space = "{space}"\n(?:#.*\n)?architectures = )\{{.*\}}')
        text = sample.sub(rf'\1{{ file = "{space}-500.txt" }}', text)
    (tmp_path / "published.toml").write_text(text)
    for sweep in load(str(tmp_path / "published.toml")).sweeps:
        assert tuple(architectures(sweep)[0]) == archs[sweep.space]


def test_readme_imports_other_peoples_results_as_it_says(tmp_path: Path) -> None:
    """The commands of that section as one script, over files as the section describes them."""
    section = README.partition("## Other people's results")[2].partition("\n## ")[0]
    (script,) = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    ops = ["input", "conv3x3-bn-relu", "output"]
    for name, matrix in (("000907", [[0, 1, 0], [0, 0, 1], [0, 0, 0]]), ("000961", [[0, 1, 1], [0, 0, 1], [0, 0, 0]])):
        config = tmp_path / "configs/sample_based/nas_bench/cifar10/cls" / f"{name}.yaml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(yaml.safe_dump({"NAS": {"MATRIX": matrix, "OPS": ops}}))
    for cell in ("cifar10/cls/1", "cifar10/cls/2", "cifar10/rot/1", "imagenet/cls/1"):
        summary = tmp_path / "summaries/nas_bench" / cell / "sweep_summary.json"
        summary.parent.mkdir(parents=True)
        jobs = [{"job_id": "000907", "min_test_top1": 7.5}, {"job_id": "000961", "min_test_top1": [30, 6.5]}]
        summary.write_text(json.dumps({"job_summaries": jobs}))
    lines = [f"{a},{d},{e},777,{50 + a}" for a in range(3) for d in ("cifar10", "cifar100") for e in (12, 200)]
    (tmp_path / "nasbench201.csv").write_text("\n".join(["arch,dataset,epochs,seed,accuracy", *lines]))
    archsweep = f"archsweep() {{ '{sys.executable}' -c 'from orchestrator.cli.main import main; main()' \"$@\"; }}\n"
    subprocess.run(["sh", "-ec", archsweep + script], check=True, cwd=tmp_path, timeout=300)
    rows = pd.concat(pd.read_parquet(tmp_path / "runs" / run / "rows") for run in ("release", "nb201"))
    assert len(rows) == 8 + 12
    assert rows.loc[rows["space"] == "nasbench101", "params"].notna().all()
    assert (tmp_path / "runs/release/report/report.html").is_file()
