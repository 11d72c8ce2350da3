"""`archsweep doctor`: checks what a machine needs for a sweep, one line per finding."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.execution import cores
from orchestrator.execution.node_check import foreign_packages, plugins
from orchestrator.ray_tune import address as ray_address


@dataclass(frozen=True)
class Check:
    """One finding: ok, a note, or an error that prevents a sweep."""

    state: Literal["ok", "note", "wrong"]
    what: str
    text: str


def show(data_root: Path | None, out: Console) -> bool:
    """Print every finding; whether nothing is wrong."""
    view = Table(box=None, pad_edge=False, show_header=False)
    found = list(checks(data_root))
    colours = {"ok": "green", "note": "yellow", "wrong": "red"}
    for check in found:
        view.add_row(Text(check.state, colours[check.state]), check.what, check.text)
    out.print(view)
    return all(check.state != "wrong" for check in found)


def checks(data_root: Path | None = None) -> Iterator[Check]:
    """All findings on this machine, the fundamental ones first."""
    yield Check("ok", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _own_packages()
    yield from _libraries()
    if found := plugins():
        yield Check("ok", "plug-ins", ", ".join(found))
    yield _cores()
    yield _gpus()
    yield _ray()
    yield from _folders()
    if data_root is not None:
        yield from _data(data_root)


def _own_packages() -> Iterator[Check]:
    """Our packages: another distribution with a top-level `spaces` could be imported in place of ours."""
    for stranger in foreign_packages():
        yield Check("wrong", "packages", stranger)
    home = Path(__file__).resolve().parents[2]
    try:
        yield Check("ok", "archsweep", f"{distribution('archsweep').version} at {home}")
    except PackageNotFoundError:
        yield Check("wrong", "archsweep", f"runs from {home} but is not installed: workers would not find it")


def _libraries() -> Iterator[Check]:
    found = []
    for name in ("torch", "torchvision", "ray", "pandas", "pyarrow", "scikit-image", "nasbench-pytorch"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Check("wrong", name, "is not installed")
    yield Check("ok", "libraries", ", ".join(found))
    try:
        import torchvision  # noqa: F401
    except Exception as error:
        yield Check("note", "torchvision", f"does not import ({error}): only CIFAR-10 in its own folder needs it")


def _cores() -> Check:
    limit = cores.quota()
    why = "" if limit is None else f" (limited to {limit:g} cores by a quota)"
    return Check("ok", "cpu", f"{cores.usable()} cores usable of {os.cpu_count()}{why}")


def _gpus() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("note", "gpu", "torch finds none: trials train on the CPU")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Check("ok", "gpu", ", ".join(names))


def _ray() -> Check:
    address = ray_address.named()
    try:
        ray_address.check()
        folder = None if address else ray_address.temporary_folder()
    except ray_address.AddressError as error:
        return Check("wrong", "ray", str(error))
    if address:
        return Check("note", "ray", f"RAY_ADDRESS={address}: `run` joins that cluster, which answers")
    if folder:
        return Check("note", "ray", f"`run` starts a local Ray, its files in {folder}: TMPDIR is too long for it")
    return Check("ok", "ray", "no RAY_ADDRESS: `run` starts a local Ray on this machine")


def _folders() -> Iterator[Check]:
    from workers.datasets import cache_folder

    try:
        places = [("array cache", cache_folder())]
    except ValueError as error:
        places = []
        yield Check("wrong", "array cache", str(error))
    for what, folder in (*places, ("runs", Path("runs"))):
        there = next(p for p in (folder, *folder.absolute().parents) if os.path.exists(p))
        free = shutil.disk_usage(there).free / 1e9
        if os.access(there, os.W_OK):
            yield Check("ok" if free > 2 else "note", what, f"{folder}, {free:,.0f} GB free")
        else:
            yield Check("wrong", what, f"{folder} cannot be written")


def _data(root: Path) -> Iterator[Check]:
    from workers import datasets

    for name in datasets.names():
        try:
            dataset_id = datasets.identify(name, root)
            seen = datasets.is_read(name, dataset_id)
            yield Check("ok", name, dataset_id) if seen else Check("note", name, f"no files below {root}")
        except (OSError, ValueError) as error:
            yield Check("note", name, str(error).splitlines()[0])
