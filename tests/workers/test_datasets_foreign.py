"""Datasets of other distributions whose code changes: what is trained on is what the code of today gives."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workers import datasets

DATASET = """
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from workers.datasets import Small
from . import helper


@dataclass(frozen=True, kw_only=True)
class Dots(Small):
    name: str = "dots"
    classes: int = 2
    size: int = 8
    mean: tuple = (0.5, 0.5, 0.5)
    std: tuple = (0.3, 0.3, 0.3)
    train_images: int = 6
    test_images: int = 4
    level: int = 100

    def files(self, root):
        return sorted(root.glob("*.txt")) if FILES else []

    def read(self, split, root):
        from of_mine import more
        n = getattr(self, f"{split}_images")
        images = np.full((n, 8, 8, 3), self.level + helper.more() + more(), np.uint8)
        return images, np.arange(n) % 2


DATASET = Dots()
"""


class Plugin:
    """The package `my_set` with its dataset, and a module beside it; code can be changed and imported anew."""

    def __init__(self, site: Path, files: bool) -> None:
        self.site, self.root = site, site.parent / "data"
        about = site / "my_set-1.0.dist-info"
        for folder in (about, site / "my_set", self.root):
            folder.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-set\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[archsweep.datasets]\ndots = my_set.dataset:DATASET\n")
        (self.root / "list.txt").write_text("1 2 3\n")
        self.file("my_set/__init__.py").write_text("")
        self.file("my_set/helper.py").write_text("def more():\n    return 1\n")
        self.file("my_set/dataset.py").write_text(DATASET.replace("FILES", str(files)))
        self.file("of_mine.py").write_text("def more():\n    return 2\n")
        forget(site.parent)

    def file(self, name: str) -> Path:
        return (self.site if "/" in name else self.site.parent) / name

    def change(self, name: str, old: str, new: str) -> None:
        text = self.file(name).read_text()
        assert old in text
        self.file(name).write_text(text.replace(old, new))
        forget(self.site.parent)

    def level(self) -> int:
        """What every pixel is, as planned and prepared."""
        planned = datasets.identify("dots", self.root)
        found = datasets.prepare("dots", self.root, expect=planned)
        assert datasets.prepare("dots", self.root).dataset_id == planned
        return int(found.train.images[0, 0, 0, 0])


def forget(*folders: Path) -> None:
    """As for a process that begins now: nothing is imported, and all files are older."""
    for file in (path for folder in folders for path in folder.rglob("*.py")):
        os.utime(file, (1e9, 1e9))
    for module in [m for m in sys.modules if m.split(".")[0] in ("my_set", "of_mine")]:
        del sys.modules[module]
    importlib.invalidate_caches()


@pytest.fixture(params=["site-packages", "work"])
def make(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bool], Plugin]]:
    """Installed, or in a folder that is being worked in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Python itself takes files of one size and second for the same ones.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / request.param)
    yield lambda files: Plugin(tmp_path / request.param, files)
    forget()


@pytest.mark.parametrize("files", [True, False], ids=["of files", "made"])
@pytest.mark.parametrize(
    ("name", "old", "new", "level"),
    [
        ("my_set/dataset.py", "self.level +", "self.level + 7 +", 110),
        ("my_set/dataset.py", "level: int = 100", "level: int = 50", 53),
        ("my_set/dataset.py", "Dots()", "Dots(level=200)", 203),
        ("my_set/helper.py", "return 1", "return 9", 111),
        ("of_mine.py", "return 2", "return 9", 110),
    ],
    ids=["read", "field", "value", "its package", "beside it"],
)
def test_changed_code_is_read_by(
    make: Callable[[bool], Plugin], files: bool, name: str, old: str, new: str, level: int
) -> None:
    plugin = make(files)
    assert plugin.level() == 103
    plugin.change(name, old, new)
    assert plugin.level() == level
    plugin.change(name, new, old)
    assert plugin.level() == 103


def test_unchanged_code_and_files_are_not_read_twice(make: Callable[[bool], Plugin]) -> None:
    plugin = make(True)
    plugin.level()
    plugin.file("of_mine.py").write_text("def more():\n    return 2\n")
    plugin.change("my_set/dataset.py", "from of_mine", "(root / 'read').touch(); from of_mine")
    plugin.level()
    (plugin.root / "read").unlink()
    plugin.level()
    assert not (plugin.root / "read").exists()
    (plugin.root / "list.txt").write_text("4 5 6 7\n")
    plugin.level()
    assert (plugin.root / "read").exists()


@pytest.mark.parametrize("files", [True, False], ids=["of files", "made"])
def test_what_the_code_of_before_read_is_not_taken_for_that_of_now(make: Callable[[bool], Plugin], files: bool) -> None:
    """A process that imported the code, as a notebook does, goes on with it when the file is changed."""
    plugin = make(files)
    assert plugin.level() == 103
    file = plugin.file("my_set/helper.py")
    file.write_text(file.read_text().replace("return 1", "return 9"))
    assert plugin.level() == 103
    forget(plugin.site.parent)
    assert plugin.level() == 111


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("np.full((n,", "np.full((n + 1,", r"\(6,\) int64; expected \(7,\) whole numbers"),
        ("n = getattr", "n = 1 + getattr", r"7 images, and train_images says 6"),
        ("8, 8, 3)", "3, 8, 8)", r"\(6, 3, 8, 8\) uint8; expected \(N, 8, 8, 3\) uint8"),
        ("np.uint8", "np.int64", r"\(6, 8, 8, 3\) int64; expected \(N, 8, 8, 3\) uint8"),
        ("% 2", "% 3", r"labels 0 to 2; expected 0 to 1"),
        ("% 2", "% 2 / 2", r"\(6,\) float64; expected \(6,\) whole numbers"),
        ("np.arange(n) % 2", "[0] * n", r"a list; expected an array \(6,\) whole numbers"),
    ],
)
@pytest.mark.parametrize("files", [True, False], ids=["of files", "made"])
def test_what_the_facts_do_not_say_is_refused(
    make: Callable[[bool], Plugin], files: bool, old: str, new: str, says: str
) -> None:
    plugin = make(files)
    plugin.level()
    plugin.change("my_set/dataset.py", old, new)
    for ask in (datasets.identify, datasets.prepare):
        with pytest.raises(ValueError, match=rf"dataset dots: read\('train'\) gives {says}"):
            ask("dots", plugin.root)


def test_images_that_are_others_each_time_are_refused_with_a_hint(tmp_path: Path) -> None:
    dataset = notebook("FILES = iter(range(100))", "self.level", "next(FILES)")
    planned = datasets.identify(dataset, None, tmp_path)
    with pytest.raises(ValueError, match=rf"{planned} was planned; .*does its `read` give other images"):
        datasets.prepare(dataset, None, tmp_path, expect=planned)


def notebook(before: str = "", old: str = "", new: str = "") -> datasets.Dataset:
    """The dataset as it would be written in a notebook: no file holds its code."""
    text = DATASET.replace("if FILES else []", "if False else []").replace("from . import helper", before)
    text = text.replace("from of_mine import more", "").replace("+ helper.more() + more()", "").replace(old, new)
    space: dict[str, Any] = {"__name__": "__notebook__"}
    exec(text, space)
    return space["DATASET"]


def test_a_dataset_of_a_notebook_is_read_each_time(tmp_path: Path) -> None:
    for level in (100, 7):
        dataset = notebook("", "level: int = 100", f"level: int = {level}")
        planned = datasets.identify(dataset, None, tmp_path)
        found = datasets.prepare(dataset, None, tmp_path, expect=planned)
        assert found.train.images.max() == level
        assert datasets.prepare(dataset, None, tmp_path).dataset_id == planned
