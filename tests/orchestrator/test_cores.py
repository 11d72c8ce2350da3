"""The number of cores that a process may use, not that of the machine."""

import io
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import preview
from orchestrator.execution import cores
from orchestrator.study.schema import load
from orchestrator.terminal import Terminal
from workers.quantities import duration

from .conftest import Write


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/job/step\n", {"job/cpu.max": "250000 100000\n", "job/step/cpu.max": "max 100000\n"}, 2.5),
        ("0::/job\n", {"cpu.max": "400000 100000\n", "job/cpu.max": "800000 100000\n"}, 4.0),
        ("0::/not/visible/here\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/../../seen/from/within\n", {"cpu.max": "100000 100000\n"}, 1.0),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        (
            "7:cpu,cpuacct:/docker/x\n1:name=systemd:/a:b\n",
            {
                "cpu,cpuacct/docker/x/cpu.cfs_quota_us": "50000\n",
                "cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        ("7:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_the_quota_is_the_least_of_a_group_and_those_above(
    groups: str, files: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    (tmp_path / "groups").write_text(groups)
    for name, text in files.items():
        file = tmp_path / "mounts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert cores.quota(tmp_path / "groups", tmp_path / "mounts") == expected


def test_a_quota_of_less_than_a_core_leaves_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "quota", lambda: 0.5)
    assert cores.usable() == 1


@pytest.mark.parametrize(
    ("usable", "execution", "at_once"),
    [
        (4, {}, 4),
        (1, {}, 1),
        (4, {"cpus_per_trial": 2}, 2),
        (4, {"cpus_per_trial": 0.5, "max_concurrent": 3}, 3),
        (4, {"engine": "inline"}, 1),
        (1, {"cpus_per_trial": 2}, 1),
    ],
)
def test_plan_reckons_with_the_cores_that_run_gives_to_ray(
    usable: int, execution: dict[str, Any], at_once: int, study: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cores, "usable", lambda: usable)
    text = "".join(f"{key} = {value!r}\n".replace("'", '"') for key, value in execution.items() if key != "engine")
    engine = execution.get("engine", "tune")
    assert preview.at_once_here(load(str(study(engine=engine, execution=text)))) == at_once


def test_plan_says_how_long_this_machine_takes(study: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cores, "usable", lambda: 3)
    printed = io.StringIO()
    found = preview.preview(load(str(study(archs=1, tasks=("jig",), engine="tune"))))
    preview.show(found, Terminal(file=printed, width=200))
    assert f"on this machine about {duration(found.left.seconds / 3)}: 3 trials at a time" in printed.getvalue()
