"""`archsweep check`: whether a space, a task or a dataset keeps its contract."""

import traceback
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

import spaces
from orchestrator.terminal import printable
from workers import datasets, tasks

_KINDS: dict[str, Any] = {"space": spaces, "task": tasks, "dataset": datasets}


def check(name: str, data_root: Path | None, out: Console) -> bool:
    """Check what has that name and print a line for each check; whether all passed. LookupError for an unknown name."""
    found = {kind: registry for kind, registry in _KINDS.items() if name in registry.names()}
    if not found:
        known = "; ".join(f"{kind}s {', '.join(registry.names())}" for kind, registry in _KINDS.items())
        raise LookupError(f"there is no space, task or dataset {spaces.quoted(name)}; there are {known}")
    broken = [_check(kind, registry.get(name), data_root, out) for kind, registry in found.items()]
    return not any(broken)


def _check(kind: str, thing: Any, data_root: Path | None, out: Console) -> int:
    """Run the checks of one object and print a line for each; how many failed."""
    import torch

    from workers import contracts

    torch.set_num_threads(1)  # the networks of the checks are too small for more
    checks = contracts.checks(kind, thing, data_root)
    broken = 0
    for check in checks:
        try:
            check()
        except Exception as error:  # whatever the checked code raises is a finding
            broken += 1
            out.print(Text(f"wrong  {check}", "red"), soft_wrap=True)
            out.print(Text(printable(f"       {_reason(error)}")), soft_wrap=True)
        else:
            out.print(Text(f"ok     {check}"), soft_wrap=True)
    passed = len(checks) - broken
    out.print(f"{kind} {thing.name}: {passed} of {len(checks)} checks passed", soft_wrap=True)
    return broken


def _reason(error: Exception) -> str:
    """What is wrong, and the line where the checked code raised it."""
    from workers.contracts import ContractError

    if isinstance(error, ContractError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
