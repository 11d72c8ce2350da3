"""A disk that is full or read-only in the middle of a run: a clear stop, nothing half-written, a whole run later."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from .conftest import Ended, Spoil, Write, start, wait_for

# Tries to publish follow each other quickly here.
_SOON = "from workers import files\nfiles.WAITS_S = (0.1, 0.2)\n"

# The second epoch does not end before the harm is done; the first has left a checkpoint.
_WAIT = """
def told(values):
    while values["training_iteration"] > 1 and not (marks / "go").exists(): time.sleep(0.01)
options["on_epoch"] = told
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of the test's own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> None:
    """Not a byte is left."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


def empty(disk: Path) -> None:
    (disk / "ballast").unlink()


def read_only(disk: Path) -> None:
    # A file that is just being written keeps the disk from it.
    for _ in range(200):
        if not subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True, check=False).returncode:
            return
        time.sleep(0.02)
    raise AssertionError("the disk would not become read-only")


def writable(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@pytest.mark.parametrize(
    ("harm", "mend", "says"),
    [(fill, empty, "No space left on device"), (read_only, writable, "Read-only file system")],
    ids=["full", "read-only"],
)
def test_a_disk_that_fails_in_the_middle_of_a_run(
    study: Write,
    spoil: Spoil,
    disk: Path,
    harm: Callable[[Path], None],
    mend: Callable[[Path], None],
    says: str,
    tmp_path: Path,
) -> None:
    file = study(archs=2, tasks=("cls",), epochs=6, execution="checkpoint_s = 0")
    run = disk / "run"
    file.write_text(file.read_text().replace(str(file.parent / "run"), str(run)))
    site = Path(spoil(_WAIT)["PYTHONPATH"], "sitecustomize.py")
    process = start("run", file, first=_SOON + site.read_text())
    wait_for(lambda: list(run.glob("trials/*/checkpoint.pt")) or process.poll() is not None)
    assert process.poll() is None, process.out + process.err
    harm(disk)
    (tmp_path / "marks" / "go").touch()
    ended = Ended(process)
    assert ended.code == 1, ended.out + ended.err
    assert "Traceback" not in ended.out + ended.err
    assert says in ended.out
    assert f"{run}/attempts" in ended.out
    assert not list(run.glob("**/_*")), "a part of a file is left"
    told = Ended(start("run", file))
    assert told.code == 2, told.out + told.err  # as long as it lasts
    assert says in told.err
    assert Ended(start("status", run)).code == 0
    mend(disk)
    again = Ended(start("run", file))
    assert again.code == 0, again.out + again.err
    rows = pd.read_parquet(run / "rows")
    assert len(rows) == rows["trial_id"].nunique() == 2
    assert set(rows["status"]) == {"ok"}
    assert set(rows["attempt"]) == {1}
    assert rows["resumed"].max() > 0
