"""Spaces, tasks and datasets of other distributions: the README's own, and ones that are broken."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import spaces
import workers
from orchestrator import environment, runner
from orchestrator import study as studies
from orchestrator.cli import app
from workers import datasets, tasks

ROOT = Path(__file__).resolve().parents[1]
SECTION = (ROOT / "README.md").read_text().partition("## Add a space, a task, a dataset")[2].partition("\n## ")[0]


def install(where: Path, name: str, points: dict[str, dict[str, str]], modules: dict[str, str]) -> None:
    """What pip leaves of a distribution."""
    about = where / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"[{g}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for g, entries in points.items()]
    (about / "entry_points.txt").write_text("\n".join(lines))
    for module, text in modules.items():
        (where / module).parent.mkdir(parents=True, exist_ok=True)
        (where / module).write_text(text)


@pytest.fixture
def readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package that the README shows, installed."""
    blocks = re.findall(r"```python\n# (my_nas/\w+\.py)\n(.*?)```", SECTION, flags=re.DOTALL)
    assert len(blocks) == 3
    (project,) = re.findall(r"```toml\n(.*?)```", SECTION, flags=re.DOTALL)
    points = tomllib.loads(project)["project"]["entry-points"]
    install(tmp_path / "site", "my-nas", points, {"my_nas/__init__.py": "", **dict(blocks)})
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield
    for module in [m for m in sys.modules if m.split(".")[0] == "my_nas"]:
        del sys.modules[module]


@pytest.mark.usefixtures("readme")
def test_what_the_readme_adds_is_listed_and_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("spaces", "tasks", "datasets"):
        app(["list", kind], standalone_mode=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "towers" in said
    assert "upside" in said
    assert re.search(r"stripes 2 256 64 16 2x2", said)
    sweep = """
[[sweeps]]
space = "{}"
architectures = {{ sample = 1 }}
dataset = "{}"
tasks = ["{}"]
recipe = "demo"
override = {{ epochs = 2, width = 4, precise_bn = 64 }}
"""
    cells = [("towers", "stripes", "cls"), ("chain", "stripes", "upside")]
    text = f'name = "x"\npath = "{tmp_path}/run"\n[execution]\nengine = "inline"\n' + "".join(
        sweep.format(*cell) for cell in cells
    )
    assert runner.run(studies.parse(text, "x.toml")).trained == 2
    rows = pd.read_parquet(tmp_path / "run" / "rows").set_index("space")
    assert set(rows["status"]) == {"ok"}
    assert rows.loc["towers", "plugins"] == "space towers: my-nas 1.0; dataset stripes: my-nas 1.0"
    assert rows.loc["chain", "plugins"] == "dataset stripes: my-nas 1.0; task upside: my-nas 1.0"
    assert rows.loc["towers", "score_best"] > 0.9  # stripes differ, and a network sees it


@pytest.mark.usefixtures("readme")
def test_the_cost_of_a_simple_space_is_that_of_its_network() -> None:
    r = workers.recipe("demo", space="towers", dataset="photos", task="cls")
    t = workers.Trial(space="towers", arch="3-5", dataset="photos", task="cls", recipe=r)
    first, second = 3 * 8 * 9, 8 * 8 * 25
    params = first + second + 2 * 8 + 2 * 16 + 8 * 8 + 8  # weights, biases, norms, the head
    assert workers.cost(t) == (params, (first + second) * 32**2 + 8 * 8)
    assert sum(p.numel() for p in workers.build_network(t).parameters()) == params


@pytest.mark.usefixtures("readme")
def test_a_machine_without_a_plugin_is_refused_by_its_name() -> None:
    here = environment.here.__wrapped__()
    without = environment.Environment(**{**here.__dict__, "plugins": ()})
    (what,) = environment.differences(without, here)
    assert what == "not there: dataset stripes of my-nas 1.0, space towers of my-nas 1.0, task upside of my-nas 1.0"
    assert environment.differences(here, without) == []


def test_broken_plugins_are_explained_and_harm_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = {
        "archsweep.spaces": {"chain": "bad:THING", "absent": "no_such_module:SPACE", "Upper": "bad:THING"},
        "archsweep.tasks": {"half": "bad:THING", "raising": "raises:TASK"},
        "archsweep.datasets": {"other": "bad:THING"},
    }
    modules = {
        "bad.py": "class Thing:\n    name = 'half'\nTHING = Thing()\n",
        "raises.py": "1 / 0\n",
    }
    install(tmp_path, "bad", points, modules)
    install(tmp_path, "worse", {"archsweep.datasets": {"other": "bad:THING"}}, {})
    monkeypatch.syspath_prepend(tmp_path)
    for registry, name, says in (
        (spaces, "chain", "space 'chain' is offered by archsweep itself and by bad 1.0"),
        (spaces, "absent", "'absent' of bad 1.0 cannot be loaded from no_such_module:SPACE: ModuleNotFoundError"),
        (spaces, "Upper", "'Upper' of bad 1.0: a name is a small letter"),
        (tasks, "half", "'half' of bad 1.0: bad:THING lacks batch, classes, "),
        (tasks, "raising", "ZeroDivisionError"),
        (datasets, "other", "is offered by (bad|worse) 1.0 and by (bad|worse) 1.0"),
    ):
        assert name in registry.names()
        with pytest.raises(ValueError, match=says):
            registry.get(name)
    assert spaces.get("darts").name == "darts"
    with pytest.raises(LookupError, match=r"no task 'depth'; have cls, .*raising"):
        tasks.get("depth")
    for kind, well in (("spaces", "darts"), ("tasks", "jig"), ("datasets", "photos")):
        app(["list", kind], standalone_mode=False)
        said = capsys.readouterr().out
        assert well in said
        assert "cannot be used" in said


def test_finding_plugins_imports_none(tmp_path: Path) -> None:
    install(tmp_path, "bad", {"archsweep.tasks": {"raising": "raises:TASK"}}, {"raises.py": "1 / 0\n"})
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from workers import tasks; print(tasks.names())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'raising'" in done.stdout
