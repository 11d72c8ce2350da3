"""The state of every trial (done, left, failed, quarantined), computed from the rows of a run alone."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from orchestrator.store.run_folder import RunStore
from workers.recipes import question

COLUMNS = ["trial_id", "attempt", "status", "error_class", "error_text", "traceback", "finished_at", "found"]

# Number of failures of one class after which a trial is quarantined until `retry`.  After an exception the trial is
# tried once more; it is quarantined at once if the same traceback comes again.
LIMITS = {"error": 3, "oom_cuda": 2, "oom_host": 3, "worker_died": 3, "timeout": 2, "node_died": 20, "oom_victim": 20}
# Failures with an external cause: the node went away, or the worker was killed to free memory for another.  They say
# nothing about the trial; the high limits above only prevent endless retries.
EXTERNAL_FAILURES = frozenset({"node_died", "oom_victim"})
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class Failure:
    """One failed attempt: its class, and a traceback that is equal for the same error."""

    attempt: int
    kind: str
    text: str
    traceback: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Failure":
        """From the columns of a row."""
        trace = _ADDRESS.sub("0x", row.get("traceback") or "")
        return cls(row["attempt"], row.get("error_class") or "error", row.get("error_text") or "", trace)

    @property
    def last_line(self) -> str:
        """The error on one line: the last line of the traceback, which names the exception."""
        lines = [line.strip() for line in (self.traceback or self.text).splitlines() if line.strip()]
        return lines[-1] if lines else self.text


def quarantined(failures: Iterable[Failure]) -> bool:
    """Whether a trial with these failures is quarantined: not tried again before `retry`."""
    counts: Counter[str] = Counter()
    traces: Counter[str] = Counter()
    for failure in failures:
        counts[failure.kind] += 1
        if failure.kind == "error":
            traces[failure.traceback] += 1
    return any(n >= LIMITS.get(kind, 3) for kind, n in counts.items()) or any(n >= 2 for n in traces.values())


@dataclass
class Ledger:
    """The state of every trial, from the rows of a run."""

    done: set[str] = field(default_factory=set)
    failures: dict[str, list[Failure]] = field(default_factory=lambda: defaultdict(list))
    found: dict[str, str] = field(default_factory=dict)  # the architectures of finished searches
    forgiven: dict[str, int] = field(default_factory=dict)  # failed attempts up to this number do not count

    @classmethod
    def of(cls, store: RunStore, rows: pa.Table | None = None) -> "Ledger":
        """Read from a run's folder; `rows`: its attempts with at least COLUMNS, where they were read already."""
        ledger = cls(forgiven=_forgiven(store))
        rows = store.attempts(COLUMNS) if rows is None else rows.select(COLUMNS)
        ok = pc.equal(rows["status"], "ok")
        ledger.done.update(rows["trial_id"].filter(ok).to_pylist())  # most rows: converted without a dict for each
        searches = rows.filter(pc.and_(ok, pc.is_valid(rows["found"])))
        ledger.found.update(zip(searches["trial_id"].to_pylist(), searches["found"].to_pylist(), strict=True))
        for row in rows.filter(pc.invert(ok)).to_pylist():
            ledger.add(row)
        return ledger

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the row of one attempt."""
        if row["status"] == "ok":
            self.done.add(row["trial_id"])
            if row.get("found"):
                self.found[row["trial_id"]] = row["found"]
        else:
            self.failures[row["trial_id"]].append(Failure.of(row))

    def counting(self, trial_id: str) -> list[Failure]:
        """The failures of a trial that were not forgiven by `retry`, oldest first."""
        past = self.forgiven.get(trial_id, 0)
        found = self.failures.get(trial_id, [])
        return sorted((f for f in found if f.attempt > past), key=lambda f: f.attempt)

    def kinds(self, trial_id: str, *, forgiven: bool = False) -> Counter[str]:
        """Number of failures of a trial by class; with `forgiven` including those that `retry` has forgiven."""
        return Counter(f.kind for f in (self.failures.get(trial_id, []) if forgiven else self.counting(trial_id)))

    def next_attempt(self, trial_id: str) -> int:
        """The number of the next attempt at a trial; the first is 1."""
        return 1 + max((f.attempt for f in self.failures.get(trial_id, [])), default=0)

    def waits(self, trial_id: str) -> bool:
        """Whether a trial is quarantined."""
        return trial_id not in self.done and quarantined(self.counting(trial_id))

    def state(self, trial_id: str) -> str:
        """`done`, `quarantined`, `failed` (will be tried again) or `left`."""
        if trial_id in self.done:
            return "done"
        if trial_id not in self.failures:  # most trials of a large study
            return "left"
        if self.waits(trial_id):
            return "quarantined"
        return "failed" if self.counting(trial_id) else "left"

    def forgive(self, store: RunStore, trial_ids: Iterable[str]) -> None:
        """Ignore past failures of these trials, now and in later launches.  The rows stay as they are."""
        self.overlook(trial_ids)
        self.keep(store)

    def overlook(self, trial_ids: Iterable[str]) -> None:
        """Ignore past failures of these trials in this object; `keep` stores that in the run's folder."""
        for trial_id in trial_ids:
            self.forgiven[trial_id] = self.next_attempt(trial_id) - 1

    def keep(self, store: RunStore) -> None:
        """Store in the run's folder which failures are ignored."""
        store.write(json.dumps(self.forgiven, indent=0, sort_keys=True).encode(), "forgiven.json")


def _forgiven(store: RunStore) -> dict[str, int]:
    """Read what `keep` stored in the run's folder."""
    try:
        return TypeAdapter(dict[str, int]).validate_json(store.read("forgiven.json") or b"{}", strict=True)
    except ValidationError:
        raise ValueError(
            f"{store.at('forgiven.json')} is not valid: expected are numbers by trial_id; remove it, and `retry` again"
        ) from None


def done_by_question(store: RunStore, planned: Collection[str]) -> dict[str, dict[str, set[str]]]:
    """Finished trials, by the question of their recipe (`workers.recipes.question`) and by its JSON.

    Empty where all recipes of the rows are among the `planned` ids: then no recipe has a second id, and the texts,
    which are long, are not read.
    """
    rows = store.attempts(["trial_id", "status", "recipe_id"])
    rows = rows.filter(pc.equal(rows["status"], "ok"))
    if not set(pc.unique(rows["recipe_id"]).to_pylist()) - {None, *planned}:
        return {}
    rows = store.attempts(["trial_id", "status", "recipe_json"])
    rows = rows.filter(pc.and_(pc.equal(rows["status"], "ok"), pc.is_valid(rows["recipe_json"])))
    found: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for line in rows.group_by("recipe_json").aggregate([("trial_id", "list")]).to_pylist():
        text = line["recipe_json"]
        try:
            found[question(text)][text] = set(line["trial_id_list"])
        except ValidationError:  # an imported table's: not a recipe of ours
            continue
    return dict(found)
