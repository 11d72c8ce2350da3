"""Shared fixtures: real data where it lies, one torch thread, the same examples every time.

Nothing heavy is imported here: the process that only hands out tests would wait for it too.
"""

import base64
import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Ray's default, 15, lets the workers of a test stand still while other tests compute.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  (the name that Ray reads)

# The same examples every time, and no limit on their time: machines under test are busy.
settings.register_profile("archsweep", derandomize=True, deadline=None)
settings.load_profile("archsweep")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of `--dist loadgroup`."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from tests.groups import Scheduling

    return Scheduling(config, log)


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the collector of garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _signals_as_on_a_terminal() -> None:
    """A session in the background, or under nohup, ignores them, and so would every command that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, or a skip that says how to name one."""
    folder = Path(os.environ.get("ARCHSWEEP_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set ARCHSWEEP_TEST_DATA to a folder that holds it")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a custom dataset so small that a training takes no time; see tests/pictures.py."""
    from tests import pictures as made

    return made.write(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One array cache for the session, never the user's own.

    In a session of several processes it holds the images of the package, which are many tests' and take a second.
    """
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    if "PYTEST_XDIST_WORKER" in os.environ:
        from workers import datasets

        for name in ("photos", "scenes"):
            datasets.prepare(name)


@pytest.fixture
def archsweep(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process, on a screen of `columns`: exit code, standard output, standard error."""

    def run(*words: object, columns: int = 80) -> tuple[int, str, str]:
        from orchestrator.cli import main

        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("sys.argv", ["archsweep", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks here are small: more threads than one only get in each other's way."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


def blank_figures(patch: pytest.MonkeyPatch) -> None:
    """Figures are made but files of them hold one pixel: their layout and fonts are most of a report's time."""

    from matplotlib.figure import Figure

    def write(self: Figure, out: Any, **options: Any) -> None:
        out.write(_PIXEL)

    patch.setattr(Figure, "savefig", write)
    patch.setattr(Figure, "draw_without_rendering", lambda self: None)


@pytest.fixture(autouse=True)
def _blank_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tests marked `figures` draw them to the end."""
    if request.node.get_closest_marker("figures") is None:
        blank_figures(monkeypatch)
