"""Compares the environment of a worker machine with that of the driver: both must give the same numbers.

A worker imports what is installed on its machine, whatever the driver runs.  An older wheel, another torch, or another
distribution that also installs a top-level `spaces` would train something else under the same trial id.  This module
imports only the standard library, so that it works on such machines too.
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

# They decode and scale images, draw random numbers, build networks, write rows.
LIBRARIES = ("nasbench-pytorch", "numpy", "pillow", "pyarrow", "torchvision")
PACKAGES = ("orchestrator", "workers", "spaces", "analysis")
_HOME = Path(__file__).resolve().parents[2]


class RefusedError(ValueError):
    """Machines of the cluster would not compute what the driver planned."""


@dataclass(frozen=True)
class Environment:
    """The versions that a process trains with."""

    host: str
    archsweep: str  # version and protocol, for people
    code: str  # 12 hex digits of a digest of the sources that train, store and report
    torch: str | None
    foreign_packages: tuple[str, ...]  # packages imported in place of ours, one sentence each
    plugins: tuple[str, ...] = ()  # `space mine of distribution 1.0`: what other distributions add
    libraries: tuple[str, ...] = ()  # `numpy 2.3.1`: the others whose versions change pixels, numbers or rows

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Environment":
        """From the values that another version sent; unknown fields are ignored."""
        return cls(**{key: value for key, value in values.items() if key in cls.__dataclass_fields__})


def foreign_packages() -> tuple[str, ...]:
    """Packages of other distributions that are imported in place of ours, one sentence each; normally none."""
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
    """A version without its build: a head node without a GPU may have the CPU build of the same release."""
    return version and version.partition("+")[0]


def plugins() -> tuple[str, ...]:
    """Spaces, datasets and tasks of other distributions, without importing any; the version stands for the code."""
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
    """A digest of the files whose code determines numbers, or how driver and worker communicate; two wheels of one
    version may differ."""
    digest = hashlib.sha256()
    for file in sorted(f for name in PACKAGES[:3] for f in (_HOME / name).rglob("*.py")):
        digest.update(f"{file.relative_to(_HOME)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@cache
def here() -> Environment:
    """The environment of this process."""
    foreign = foreign_packages()
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
        foreign_packages=foreign,
        plugins=plugins(),
        libraries=tuple(f"{name} {_release(_version(name)) or 'not installed'}" for name in LIBRARIES),
    )


def differences(there: Environment, driver: Environment) -> list[str]:
    """The differences of `there` that could change numbers, one sentence each; empty: its rows equal the driver's."""
    found = list(there.foreign_packages)
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
    """The error message for a cluster that is refused."""
    return (
        f"{who} would not give the numbers of this driver (on {platform.node()}):\n{what}\n"
        "install the driver's archsweep, plug-ins and versions there, or take the machine out of the cluster; run again"
    )
