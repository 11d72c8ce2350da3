"""What searches have found, according to the rows of runs."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

import spaces
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study.schema import Study


def found(study: Study) -> Mapping[str, str]:
    """The architectures that were found, by the trial_id of the search, in the run of a study and in the runs whose
    searches it names; empty where no sweep takes what searches find."""
    places: dict[str, None] = {}
    for sweep in study.sweeps:
        for source in study.searched(sweep):
            places[source if isinstance(source, str) else study.path] = None
    return {search: arch for place in places for search, arch in Ledger.of(RunStore(place)).found.items()}


def of_run(url: str, space: str) -> list[str]:
    """The ids of the searches of a run in a space: the planned ones, in the order of the plan; without a plan, those
    that have rows.

    FileNotFoundError where there is no run, LookupError where it has no such searches.
    """
    store = RunStore(url)
    table = store.plan(["trial_id", "space", "arch"])
    if table is None and not store.listing("rows") and not store.listing("attempts"):
        raise FileNotFoundError(f"architectures of a sweep: found = {spaces.quoted(url)}, and there is no run")
    table = store.attempts(["trial_id", "space", "arch"]) if table is None else table
    ids = _of_space(table, space)
    if not ids:
        raise LookupError(
            f"architectures of a sweep: found = {spaces.quoted(url)}, and that run has no searches of the space {space}"
        )
    return ids


def _of_space(table: pa.Table, space: str) -> list[str]:
    these = pc.and_(pc.equal(table["space"], space), pc.equal(table["arch"], spaces.WHOLE))
    return list(dict.fromkeys(table.filter(these)["trial_id"].to_pylist()))
