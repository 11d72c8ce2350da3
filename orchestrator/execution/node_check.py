"""Whether a machine of the cluster would give the numbers that the driver asks for.

A worker imports what is installed on its machine, whatever the driver runs.  An older wheel, another torch, or another
distribution that also installs a top-level `spaces` would train something else under the same trial id.  This module
imports only the standard library, so that it answers even there.
"""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Decode and scale images, draw random numbers, build networks, write rows.
LIBRARIES = ("nasbench-pytorch", "numpy", "pillow", "pyarrow", "torchvision")
PACKAGES = ("orchestrator", "workers", "spaces", "analysis")
_HOME = Path(__file__).resolve().parents[2]


class RefusedError(ValueError):
    """Machines of the cluster would not train what the driver planned."""


@dataclass(frozen=True)
class Environment:
    """What a process would train with."""

    host: str
    archsweep: str  # version and protocol, for people
    code: str  # 12 hex digits over the sources that train, store and report
    torch: str | None
    strangers: tuple[str, ...]  # what is imported in place of our packages, one sentence each
    plugins: tuple[str, ...] = ()  # `space mine of distribution 1.0`: what other distributions add
    libraries: tuple[str, ...] = ()  # `numpy 2.3.1`: the others whose versions change pixels, numbers or rows

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Environment":
        """From what another version sent: fields that this one does not know are left out."""
        return cls(**{key: value for key, value in values.items() if key in cls.__dataclass_fields__})


def strangers() -> tuple[str, ...]:
    """Our packages that another distribution's would be imported for, one sentence each; normally none."""
    found = []
    for name in PACKAGES:
        spec = find_spec(name)
        places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
        place = next((Path(p).resolve() for p in places if p), None)
        if place not in (_HOME / name / "__init__.py", _HOME / name):
            found.append(
                f"package {name} comes from {place}, not from archsweep at {_HOME}: "
                "another distribution installs the same name; remove that one and install archsweep again"
            )
    return tuple(found)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _release(version: str | None) -> str | None:
    """A version without its build: a head without a GPU may hold the CPU build of the same release."""
    return version and version.partition("+")[0]


def plugins() -> tuple[str, ...]:
    """Spaces, datasets and tasks that other distributions add, without importing any; a version stands for the code."""
    return tuple(
        sorted(
            {
                f"{kind[:-1]} {point.name} of {point.dist.name} {point.dist.version}"
                for kind in ("spaces", "datasets", "tasks")
                for point in entry_points(group=f"archsweep.{kind}")
                if point.dist
            }
        )
    )


def _code() -> str:
    """A digest of the files whose code decides numbers, or how driver and worker talk; two wheels of one version may
    differ."""
    digest = hashlib.sha256()
    for file in sorted(f for name in PACKAGES[:3] for f in (_HOME / name).rglob("*.py")):
        digest.update(f"{file.relative_to(_HOME)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@cache
def here() -> Environment:
    """The environment of this process."""
    foreign = strangers()
    protocol = "?"
    if not foreign:
        from workers.trial import PROTOCOL

        protocol = str(PROTOCOL)
    torch = _version("torch")
    return Environment(
        host=platform.node(),
        archsweep=f"{_version('archsweep') or 'not installed'}, protocol {protocol}",
        code=_code(),
        torch=_release(torch),
        strangers=foreign,
        plugins=plugins(),
        libraries=tuple(f"{name} {_release(_version(name)) or 'not installed'}" for name in LIBRARIES),
    )


def differences(there: Environment, driver: Environment) -> list[str]:
    """What about `there` changes numbers, one sentence each; nothing: its rows are as good as the driver's own."""
    found = list(there.strangers)
    if not found and there.code != driver.code:
        found.append(
            f"archsweep {there.archsweep}, code {there.code} there; {driver.archsweep}, code {driver.code} here"
        )
    if lacking := sorted(set(driver.plugins) - set(there.plugins)):
        found.append(f"not there: {', '.join(lacking)}")
    if there.torch != driver.torch:
        found.append(f"torch {there.torch} there, {driver.torch} here")
    others = [pair for pair in zip(there.libraries, driver.libraries, strict=False) if pair[0] != pair[1]]
    found += [f"{theirs} there, {ours.partition(' ')[2]} here" for theirs, ours in others]
    return found


def refusal(driver: Environment) -> str | None:
    """Why this process must not train for `driver`; None where it may."""
    found = differences(here(), driver)
    return f"{here().host}: {'; '.join(found)}" if found else None


def explain(who: str, what: str) -> str:
    """The message for a person whose cluster is refused."""
    return (
        f"{who} would not give the numbers of this driver (on {platform.node()}):\n{what}\n"
        "install the driver's archsweep, plug-ins and versions there, or take the machine out of the cluster; run again"
    )
