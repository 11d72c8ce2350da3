"""The requirements on search spaces, tasks, datasets and proxies, as checks that the tests of a plug-in can run.

One line in these tests runs them all:

    @pytest.mark.parametrize("check", workers.contracts.checks("space", SPACE), ids=str)
    def test_contract(check): check()

`archsweep check NAME` runs them from the command line, and `plan` runs the cheap ones before any training.
May import everything in `workers` except `bench`; within `workers` nothing imports it.  Imports torch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import spaces
from workers.contracts._check import Check, ContractError
from workers.contracts.cell import fits
from workers.contracts.dataset import dataset_checks
from workers.contracts.retrainable import retrainable_checks
from workers.contracts.score import score_checks
from workers.contracts.searchable import searchable_checks
from workers.contracts.space import space_checks
from workers.contracts.task import task_checks

__all__ = ["Check", "ContractError", "checks", "fits"]

_CHECKS: dict[str, Callable[..., list[Check]]] = {
    "space": space_checks,
    "task": task_checks,
    "dataset": dataset_checks,
    "score": score_checks,
}


def checks(kind: str, thing: Any, data_root: str | Path | None = None) -> list[Check]:
    """The checks of a `space`, `task`, `dataset` or `score` object, in the order in which they make sense.

    Each raises `ContractError` saying what was seen and what is expected.  `data_root` holds the images of a dataset
    that is read from files.  LookupError for another kind.
    """
    if kind not in _CHECKS:
        raise LookupError(f"no contract for {kind!r}; there are {', '.join(_CHECKS)}")
    if kind == "dataset":
        return _CHECKS[kind](thing, data_root)
    found = _CHECKS[kind](thing)
    if kind == "space" and not spaces.lacking(thing):
        found += searchable_checks(thing)
    if kind == "space" and not spaces.lacking(thing, spaces.Retrainable):
        found += retrainable_checks(thing)
    return found
