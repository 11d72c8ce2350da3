"""Spaces, tasks and datasets of other distributions: those of docs/extend.md, and ones that are broken."""

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import spaces
import workers
from orchestrator import runner
from orchestrator.cli.main import app, main
from orchestrator.execution import node_check
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study import schema as studies
from workers import datasets, tasks

Say = Callable[..., tuple[int, str]]
ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extend.md").read_text()


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
def page_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package that docs/extend.md shows, installed."""
    blocks = re.findall(r"```python\n# (my_nas/\w+\.py)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 3
    (project,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    points = tomllib.loads(project)["project"]["entry-points"]
    install(tmp_path / "site", "my-nas", points, {"my_nas/__init__.py": "", **dict(blocks)})
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield
    for module in [m for m in sys.modules if m.split(".")[0] == "my_nas"]:
        del sys.modules[module]


@pytest.mark.usefixtures("page_package")
def test_what_the_page_adds_is_listed_and_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


@pytest.mark.usefixtures("page_package")
def test_what_the_page_adds_passes_the_checks_as_the_page_runs_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n# tests/test_contracts.py\n(.*?)```", PAGE, flags=re.DOTALL)
    found: dict[str, Any] = {}
    exec(block, found)
    (mark,) = found["test_space"].pytestmark
    assert mark.args[1]
    for check in mark.args[1]:
        found["test_space"](check)
    names = re.findall(r"^archsweep check (\w+)", PAGE, flags=re.MULTILINE)
    assert set(names) == {"towers", "upside", "stripes"}
    for name in names:
        monkeypatch.setattr("sys.argv", ["archsweep", "check", name])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, capsys.readouterr().out


@pytest.mark.usefixtures("page_package")
def test_the_cost_of_a_simple_space_is_that_of_its_network() -> None:
    r = workers.recipe("demo", space="towers", dataset="photos", task="cls")
    t = workers.Trial(space="towers", arch="3-5", dataset="photos", task="cls", recipe=r)
    first, second = 3 * 8 * 9, 8 * 8 * 25
    params = first + second + 2 * 8 + 2 * 16 + 8 * 8 + 8  # weights, biases, norms, the head
    assert workers.cost(t) == (params, (first + second) * 32**2 + 8 * 8)
    assert sum(p.numel() for p in workers.build_network(t).parameters()) == params


@pytest.mark.usefixtures("page_package")
def test_a_machine_without_a_plugin_is_refused_by_its_name() -> None:
    here = node_check.here.__wrapped__()
    without = node_check.Environment(**{**here.__dict__, "plugins": ()})
    (what,) = node_check.differences(without, here)
    assert what == "not there: dataset stripes of my-nas 1.0, space towers of my-nas 1.0, task upside of my-nas 1.0"
    assert node_check.differences(here, without) == []


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
        (spaces, "Upper", "'Upper' of bad 1.0: expected a name of at most 40 lower-case"),
        (tasks, "half", "'half' of bad 1.0: bad:THING lacks batch, chance, classes, "),
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


TOWERS = re.search(r"```python\n# my_nas/space.py\n(.*?)```", PAGE, flags=re.DOTALL)[1]  # type: ignore[index]
UPSIDE = re.search(r"```python\n# my_nas/task.py\n(.*?)```", PAGE, flags=re.DOTALL)[1]  # type: ignore[index]
STUDY = """
name = "x"
path = "{path}"
[[sweeps]]
space = "{space}"
architectures = {{ {archs} }}
dataset = "photos"
tasks = ["{task}"]
recipe = "demo"
override = {{ epochs = 1, width = 4, precise_bn = 64 }}
[execution]
engine = "inline"
"""


@pytest.fixture
def say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archsweep: Callable[..., tuple[int, str, str]]
) -> Iterator[Say]:
    """Installs a module `theirs` as the space `towers`, the task `upside` or both, and calls the command line."""
    points = {"archsweep.spaces": {"towers": "theirs:SPACE"}, "archsweep.tasks": {"upside": "theirs:TASK"}}

    def run(text: str, *words: str, kinds: tuple[str, ...] = ("spaces", "tasks")) -> tuple[int, str]:
        shutil.rmtree(tmp_path / "site", ignore_errors=True)
        chosen = {f"archsweep.{kind}": points[f"archsweep.{kind}"] for kind in kinds}
        install(tmp_path / "site", "theirs", chosen, {"theirs.py": text})
        site = str(tmp_path / "site")
        monkeypatch.setattr("sys.path", [site, *(p for p in sys.path if p != site)])
        forget()
        code, out, err = archsweep(*words, columns=300)
        return code, " ".join((out + err).split())

    yield run
    forget()


def forget() -> None:
    """As a new process: the plug-in is neither imported nor found."""
    from orchestrator.study import plan
    from spaces import _registry, _simple
    from workers import trial

    sys.modules.pop("theirs", None)
    for cached in (_registry._found, _simple._counted, plan._sample, trial._normal):
        cached.cache_clear()
    importlib.invalidate_caches()


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def study(where: Path, space: str = "towers", task: str = "cls", archs: str = "sample = 2") -> str:
    file = where / "x.toml"
    file.write_text(STUDY.format(path=where / "run", space=space, task=task, archs=archs))
    return str(file)


OWN = "trunk.out_channels = width\n"
WRONG = [  # what stands in the module, instead of it, and what is said; {line} is that of the changed text
    (
        "SPACE = Towers()",
        "import sys; sys.exit(3)",
        "cannot be loaded from theirs:SPACE: SystemExit: 3 ({file}:{line})",
    ),
    ("SPACE = Towers()", "raise BaseException('no')", "SPACE: BaseException: no ({file}:{line})"),
    ("spaces.Simple", "spaces.Simpl", "module 'spaces' has no attribute 'Simpl' ({file}:{line})"),
    ("SPACE = Towers()", "SPACE = (", "SyntaxError"),
    ("SPACE = Towers()", "SPACE = Towers", "theirs:SPACE is a class; expected an object of it"),
    ("SPACE = Towers()", "SPACE = spaces", "theirs:SPACE is a module; name the object in it"),
    ("SPACE = Towers()", "SPACE = len", "theirs:SPACE lacks arch_id"),
    (OWN, "pass\n", "'towers': the trunk of 3-5-3 has no attribute out_channels"),
    (OWN, "trunk.out_channels = width + 1\n", "gives (2, 4, 32, 32); with out_channels = 5, expected (2, 5, h, w)"),
    (OWN, OWN + "        trunk.forward = lambda x: [x]\n", "gives (); with out_channels = 4"),
    ('return "-".join(str(kernel)', 'return [][3], "-".join(str(kernel)', "theirs 1.0, {file}:{line}: IndexError"),
    ("layers, channels = [", "layers, channels = [1 / 0, ", "theirs 1.0, {file}:{line}: ZeroDivisionError"),
    ("return arch\n", "import sys; sys.exit(0)\n", "theirs 1.0, {file}:{line}: SystemExit: 0"),
]


@pytest.mark.parametrize(("was", "now", "says"), WRONG)
def test_a_mistake_in_a_space_is_one_message_with_its_place_before_anything_is_trained(
    was: str, now: str, says: str, say: Say, tmp_path: Path
) -> None:
    assert was in TOWERS
    text = TOWERS.replace(was, now)
    place = {"file": tmp_path / "site" / "theirs.py", "line": line_of(TOWERS, was)}
    archs = "sample = 2" if "join" in was else 'list = ["3-5-3"]'
    code, said = say(text, "run", study(tmp_path, archs=archs), kinds=("spaces",))
    assert code == 2, said
    assert says.format(**place) in said
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()


def test_a_plugin_that_ends_the_process_harms_no_list(say: Say) -> None:
    code, said = say("import sys; sys.exit(3)", "list", "spaces", kinds=("spaces",))
    assert code == 0
    assert "darts" in said
    assert "cannot be used: space 'towers' of theirs 1.0 cannot be loaded from theirs:SPACE: SystemExit: 3" in said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("TASK = UpsideDown()", "TASK = UpsideDown"), "theirs:TASK is a class"),
        (
            ("TASK = UpsideDown()", "class T:\n    name = 'upside'\nTASK = T()"),
            "theirs:TASK lacks batch, chance, classes, ",
        ),
        (("return 2\n", "return 1 / 0\n"), "ZeroDivisionError: division by zero"),
        (
            ("return 2\n", "return 2\n\n    def network(self, trunk, dataset):\n        return lambda x: 1\n"),
            "'function'",
        ),
        (
            ("return 2\n", "return 2\n\n    def unsupported_reason(self, dataset):\n        raise ValueError('odd')\n"),
            "odd",
        ),
    ],
)
def test_a_mistake_in_a_task_is_told_in_our_words(change: tuple[str, str], says: str, say: Say, tmp_path: Path) -> None:
    code, said = say(UPSIDE.replace(*change), "plan", study(tmp_path, "chain", "upside"), kinds=("tasks",))
    assert code == 2, said
    assert says in said
    assert "pydantic" not in said
    assert "validation error" not in said


def test_a_network_that_looks_at_numbers_while_it_is_built_fits_all_the_same(say: Say, tmp_path: Path) -> None:
    """Not every trunk can be built without memory; a space with costs of its own may have such ones."""
    text = TOWERS.replace("import spaces\n", "import spaces\nimport torch\n").replace(
        "layers, channels = [", "torch.linspace(0, 1, 3).tolist(); layers, channels = ["
    )
    text = text.replace(
        "\n\nSPACE", "\n    def cost(self, arch, **_):\n        return spaces.Cost(10, 100, 4, 32)\n\n\nSPACE"
    )
    code, said = say(text, "plan", study(tmp_path), kinds=("spaces",))
    assert code == 0, said


def while_training(statement: str) -> str:
    """The page's task with a statement that only a training comes to, later than what `plan` tries."""
    method = f"    def training_loss(self, net, inputs, target):\n        {statement}\n\n\nTASK"
    return UPSIDE.replace("\nTASK", method, 1)


def test_a_batch_that_no_network_fits_is_refused_before_anything_is_trained(say: Say, tmp_path: Path) -> None:
    short = UPSIDE.replace("return torch.stack", "answers = answers[:-1]\n        return torch.stack")
    code, said = say(short, "run", study(tmp_path, "chain", "upside", "sample = 1"), kinds=("tasks",))
    assert code == 2, said
    assert "two images became 4 inputs and 3 targets; expected 4 of each" in said
    assert not (tmp_path / "run").exists()


def test_a_plugin_that_exits_while_it_trains_is_a_failed_trial(say: Say, tmp_path: Path) -> None:
    ends = while_training("raise SystemExit(3)")
    code, said = say(ends, "run", study(tmp_path, "chain", "upside", "sample = 1"), kinds=("tasks",))
    assert code == 1, said
    rows = pd.read_parquet(tmp_path / "run" / "rows")
    assert set(rows["error_text"]) == {"SystemExit: 3"}


def test_a_retry_that_is_refused_forgives_nothing(say: Say, tmp_path: Path) -> None:
    """The plug-in is gone by then; with it back, `retry` forgives and trains."""
    fails = while_training("assert 0")
    file, run = study(tmp_path, "chain", "upside", "sample = 1"), str(tmp_path / "run")
    assert say(fails, "run", file, kinds=("tasks",))[0] == 1
    code, said = say(fails, "retry", run, "--failed", kinds=("spaces",))
    assert (code, "no task 'upside'" in said, "retrying" in said) == (2, True, False)
    assert not RunStore(run).exists("forgiven.json")
    code, said = say(UPSIDE, "retry", run, "--failed", kinds=("tasks",))
    assert (code, "retrying 1 trial" in said, "1 of 1 trials done" in said) == (0, True, True), said
    assert len(Ledger.of(RunStore(run)).forgiven) == 1


def test_finding_plugins_imports_none(tmp_path: Path) -> None:
    install(tmp_path, "bad", {"archsweep.tasks": {"raising": "raises:TASK"}}, {"raises.py": "1 / 0\n"})
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from workers import tasks; print(tasks.names())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'raising'" in done.stdout
