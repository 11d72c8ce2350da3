"""How the plan of a launch grows: when a search ends, the trials of the architecture that it found are planned."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.store.waiting import MARK, Readiness, Waits, awaited
from orchestrator.study.plan import Plan, Planner, order_of_work
from workers import files


class Growth:
    """The plan of a launch and what it was made from.

    planned: the plan at the beginning.  found: what had been found then, also by other runs.  select: which rows this
    launch runs.  holds: whether the run may be written.
    """

    def __init__(
        self,
        store: RunStore,
        planner: Planner,
        planned: Plan,
        found: Mapping[str, str],
        select: Callable[[dict[str, Any]], bool],
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store, self._planner, self._found, self._select = store, planner, dict(found), select
        self._holds = holds
        self.room: int | None = None  # how many further trials may be run; None: all
        self.table: pa.Table = planned.table
        self.waiting = _waiting(self.table)  # how many trials wait for each search
        self.added: set[str] = set()  # the ids of all rows that `add` returned

    def add(self, found: Mapping[str, str]) -> list[dict[str, Any]]:
        """Plan again with what was found, replace the plan of the run, and return the new rows that are to be run.

        Raises OSError where the plan cannot be written, ValueError and LookupError where an architecture cannot be
        planned, as one that the table of a lookup lacks.
        """
        self._found |= found
        table = self._planner.plan(self._found).table
        before, self.table, self.waiting = self.table, table, _waiting(table)
        if self._holds():
            files.with_retries(lambda: self._store.write_plan(table), "the plan could not be replaced")
        new = table.filter(pc.invert(pc.is_in(table["trial_id"], value_set=before["trial_id"].combine_chunks())))
        rows = [row for row in order_of_work(new) if self._select(row) and awaited(row) is None][: self.room]
        self.added.update(row["trial_id"] for row in rows)
        if self.room is not None:
            self.room -= len(rows)
        return rows


def _waiting(table: pa.Table) -> Counter[str]:
    rows = table.filter(pc.starts_with(table["arch"], MARK)).select(["arch"]).to_pylist()
    return Waits.of(rows, Readiness(Ledger())).searches
