"""The house itself: what is shipped is valid, what README says exists, importing stays light."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

import analysis.rows
from orchestrator.study import presets
from workers.row import SCHEMA

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_cluster_yaml_is_one_that_ray_accepts() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    validate_config(prepare_config(config))
    assert config["available_node_types"][config["head_node_type"]]["resources"]["CPU"] == 0


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
        ("orchestrator.status", ("torch", "ray")),
    ],
)
def test_importing_loads_nothing_heavy(package: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {package}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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


def test_readme_commands_are_verbs_that_exist() -> None:
    from orchestrator.cli import app

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
