"""Which trials of a plan a launch runs."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from orchestrator.store.waiting import Readiness, base_of


def runnable(row: Mapping[str, Any], ready: Readiness) -> bool:
    """Whether the trial of a plan row can be run now and has still to be."""
    return ready.state(row) in ("left", "failed")


def with_followers(
    rows: list[dict[str, Any]], select: Callable[[dict[str, Any]], bool], first: Collection[str]
) -> list[dict[str, Any]]:
    """The rows that are selected, the trials `first`, and the rows that wait for one of these, directly or not."""
    follow, before = set(first), -1
    while len(follow) > before:
        before = len(follow)
        follow |= {row["trial_id"] for row in rows if row["after"] in follow}
    return [row for row in rows if select(row) or row["trial_id"] in follow]


def to_run(rows: list[dict[str, Any]], ready: Readiness, limit: int | None) -> list[dict[str, Any]]:
    """The trials of a launch: those that can be run now, and those that use the weights of one of them."""
    todo = [row for row in rows if runnable(row, ready)][:limit]
    ids = {row["trial_id"] for row in todo}
    later = [row for row in rows if base_of(row) and ready.state(row) == "waiting"]
    while True:
        next_ones = [row for row in later if row["base"] in ids and row["trial_id"] not in ids]
        next_ones = next_ones if limit is None else next_ones[: limit - len(todo)]
        if not next_ones:
            return todo
        todo += next_ones
        ids |= {row["trial_id"] for row in next_ones}
