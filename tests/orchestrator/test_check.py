"""`archsweep check`: faults of a plug-in are reported in terms of the contract."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli import main as cli

SPACE = """
import spaces
from torch import nn

class Towers(spaces.Simple):
    name = "towers"

    def sample(self, rng):
        return "-".join(str(kernel) for kernel in rng.choice([1, 3, 5, 7, 9], 3))

    def normal(self, arch):
        if not arch or any(k not in "13579" for k in arch.split("-")):
            raise ValueError(f"{arch!r} is not a tower")
        return arch

    def trunk(self, arch, *, in_channels, width, depth, stem, dense=False):
        layers = []
        for kernel in self.normal(arch).split("-"):
            layers += [nn.Conv2d(in_channels, width, int(kernel), padding="same"), nn.ReLU()]
            in_channels = width
        net = nn.Sequential(*layers)
        net.out_channels = WIDTH
        return net

SPACE = Towers()
"""

Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Exit code and output of `archsweep check WORDS`."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["archsweep", "check", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return run


@pytest.mark.parametrize(("width", "code"), [("width", 0), ("width + 1", 1)])
def test_a_space_of_another_package(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: str, code: int
) -> None:
    about = tmp_path / "my_nas-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-nas\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[archsweep.spaces]\ntowers = my_towers:SPACE\n")
    (tmp_path / "my_towers.py").write_text(SPACE.replace("WIDTH", width))
    monkeypatch.syspath_prepend(tmp_path)
    try:
        ended, said = check("towers")
    finally:
        sys.modules.pop("my_towers", None)
    assert ended == code, said
    if code:
        assert "wrong  trunks map" in said
        assert "gives (2, 16, 32, 32) for 2 images of 32 px; expected (2, 17, h, h)" in said
    else:
        assert "space towers: 11 of 11 checks passed" in said


def test_a_dataset_and_a_task_of_ours(check: Check) -> None:
    assert check("photos")[0] == 0
    code, said = check("nothing")
    assert code == 2
    assert "there is no space, task or dataset 'nothing'; there are spaces chain" in said
