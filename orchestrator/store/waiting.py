"""Places in a plan for trials whose architecture is not known yet, because a search has to find it first."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.store.trial_states import Ledger

MARK = "@"  # the first letter of `trial_id` and `arch` in a waiting row; no architecture contains it
_SHOWN = 5  # searches in a message


def awaited(row: Mapping[str, Any]) -> str | None:
    """The search (trial_id) that a plan row waits for; None for a trial."""
    arch = row.get("arch")
    return arch[len(MARK) :] if isinstance(arch, str) and arch.startswith(MARK) else None


def by_search(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How many of these plan rows wait for each search."""
    return Counter(search for row in rows if (search := awaited(row)) is not None)


def total(waiting: Mapping[str, int]) -> str:
    """As `24 trainings wait for 8 searches`."""
    searches = len(waiting)
    return f"{_trainings(sum(waiting.values()))} for {searches:,} search{'es' * (searches != 1)}"


def reason(search: str, ledger: Ledger) -> str | None:
    """Why a search will find nothing without further action; None for one that is still to be run."""
    if search in ledger.done and search not in ledger.found:
        return "which found no architecture"
    return "which failed" if ledger.waits(search) else None


def lines(waiting: Mapping[str, int], ledger: Ledger, *, all_of_them: bool = True) -> list[str]:
    """A sentence for each of the first searches that others wait for, with the state of the search, and one for the
    other searches.

    Not `all_of_them`: only of searches that will find nothing without further action.
    """
    why = {search: reason(search, ledger) for search in waiting}
    chosen = {search: n for search, n in waiting.items() if all_of_them or why[search]}
    found = [
        f"{_trainings(n)} for search {search}, {why[search] or 'which is not done'}"
        for search, n in list(chosen.items())[:_SHOWN]
    ]
    if others := dict(list(chosen.items())[_SHOWN:]):
        found.append(f"{total(others)} more")
    return found


def _trainings(n: int) -> str:
    return f"{n:,} trainings wait" if n != 1 else "1 training waits"
