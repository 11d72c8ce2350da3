"""A machine that holds another archsweep, or another distribution's `spaces`, trains nothing."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.execution import node_check

from .conftest import Write

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


def test_a_worker_can_report_another_spaces(foreign: Path) -> None:
    """What Ray imports on a machine must not fail there: its message would be that of a worker that died."""
    env = {**os.environ, "PYTHONPATH": str(foreign)}
    subprocess.run([sys.executable, "-c", "import orchestrator.ray_tune.worker"], env=env, check=True, timeout=240)


def test_a_shadowed_driver_is_refused_before_anything(
    study: Write, foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the folder a command is called from comes before PYTHONPATH

    def shadowed(*words: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "from orchestrator.cli.main import main; main()", *map(str, words)]
        env = {**os.environ, "COLUMNS": "200", "PYTHONPATH": str(foreign)}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)

    ended = shadowed("run", study())
    assert ended.returncode == 2, ended.stderr
    assert f"package spaces comes from {foreign}" in ended.stderr
    assert not (tmp_path / "run").exists()
    said = " ".join(shadowed("doctor").stdout.split())  # a long path breaks lines
    assert "another distribution" in said
