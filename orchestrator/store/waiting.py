"""What trials of a plan wait for: a search that has to find their architecture, or a trial whose weights they use.

A trial whose architecture is not known yet has a place in the plan, a *waiting row*, which is never handed out.  A
trial that uses weights is planned with its id, and handed out once its base has an ok row and its weights are in the
run's folder.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger

MARK = "@"  # the first letter of `trial_id` and `arch` in a waiting row; no architecture contains it
_SHOWN = 5  # searches or trials in a message


def awaited(row: Mapping[str, Any]) -> str | None:
    """The search (trial_id) that a plan row waits for; None for a trial."""
    arch = row.get("arch")
    return arch[len(MARK) :] if isinstance(arch, str) and arch.startswith(MARK) else None


def base_of(row: Mapping[str, Any]) -> str | None:
    """The trial whose weights the trial of a plan row uses; None for a trial without one, and for a waiting row."""
    base = row.get("base")
    return base if isinstance(base, str) and awaited(row) is None else None


def bases_of(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """The trials whose weights others use."""
    return {base for row in rows if (base := base_of(row)) is not None}


@dataclass(frozen=True)
class Readiness:
    """What can be handed out: the states of all trials, and whose weights are in the run's folder."""

    ledger: Ledger
    kept: Collection[str] = ()

    @classmethod
    def of(cls, store: RunStore, ledger: Ledger, rows: Iterable[Mapping[str, Any]]) -> "Readiness":
        """From a run's folder, which is listed only if one of its plan rows uses weights."""
        return cls(ledger, store.kept_weights() if any(map(base_of, rows)) else ())

    def has_weights(self, base: str) -> bool:
        """Whether a trial is done and its weights are there."""
        return base in self.ledger.done and base in self.kept

    def state(self, row: Mapping[str, Any]) -> str:
        """`waiting`, or the state of the trial of a plan row."""
        if awaited(row) is not None:
            return "waiting"
        state = self.ledger.state(row["trial_id"])
        base = base_of(row)
        return "waiting" if state in ("left", "failed") and base is not None and not self.has_weights(base) else state

    def reason(self, trial_id: str) -> str | None:
        """Why others wait for a trial in vain, as long as nobody acts; None for one that is still to be run."""
        if trial_id in self.ledger.done:
            return "whose weights were not kept"
        return "which failed" if self.ledger.waits(trial_id) else None

    def search_reason(self, search: str) -> str | None:
        """The same for a search whose architecture others wait for."""
        if search in self.ledger.done and search not in self.ledger.found:
            return "which found no architecture"
        return "which failed" if self.ledger.waits(search) else None


@dataclass(frozen=True)
class Waits:
    """How many trials wait for each search, and for the weights of each trial, by its trial_id."""

    searches: Counter[str] = field(default_factory=Counter)
    weights: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], ready: Readiness) -> "Waits":
        """From plan rows."""
        found = cls()
        for row in rows:
            if (search := awaited(row)) is not None:
                found.searches[search] += 1
            elif (base := base_of(row)) is not None and ready.state(row) == "waiting":
                found.weights[base] += 1
        return found

    def __bool__(self) -> bool:
        return bool(self.searches or self.weights)

    @property
    def total(self) -> int:
        """All trials that wait."""
        return self.searches.total() + self.weights.total()

    @property
    def text(self) -> str:
        """As `24 trainings wait for 8 searches, 6 trials wait for the weights of 3 trials`."""
        parts = []
        if n := len(self.searches):
            parts.append(f"{_wait(self.searches.total(), 'training')} for {n:,} search{'es' * (n != 1)}")
        if n := len(self.weights):
            parts.append(f"{_wait(self.weights.total(), 'trial')} for the weights of {n:,} trial{'s' * (n != 1)}")
        return ", ".join(parts)

    def lines(self, ready: Readiness, *, all_of_them: bool = True) -> list[str]:
        """A sentence for each of the first searches and trials that others wait for, with their states, and one for the
        other ones.

        Not `all_of_them`: only of those that others wait for in vain, as long as nobody acts.
        """
        found = []
        for counts, name, kind, why in (
            (self.searches, "training", "search", ready.search_reason),
            (self.weights, "trial", "the weights of trial", ready.reason),
        ):
            reasons = {trial_id: why(trial_id) for trial_id in counts}
            chosen = {trial_id: n for trial_id, n in counts.items() if all_of_them or reasons[trial_id]}
            found += [
                f"{_wait(n, name)} for {kind} {trial_id}, {reasons[trial_id] or 'which is not done'}"
                for trial_id, n in list(chosen.items())[:_SHOWN]
            ]
            if others := Counter(dict(list(chosen.items())[_SHOWN:])):
                rest = Waits(searches=others) if counts is self.searches else Waits(weights=others)
                found.append(f"{rest.text} more")
        if any(self.has_no_weights(ready)):
            found.append("`archsweep retry STUDY --weights` trains the trials again whose weights were not kept")
        return found

    def has_no_weights(self, ready: Readiness) -> Iterable[str]:
        """The trials that are done, and whose weights were not kept."""
        return (trial_id for trial_id in self.weights if trial_id in ready.ledger.done)


def without_weights(rows: Iterable[Mapping[str, Any]], ready: Readiness) -> set[str]:
    """The finished trials whose weights others need, and which were not kept."""
    return set(Waits.of(rows, ready).has_no_weights(ready))


def check_weights(rows: Iterable[Mapping[str, Any]], ready: Readiness) -> None:
    """LookupError where trials need weights of finished trials that were not kept."""
    waits = Waits.of(rows, ready)
    missing = Counter({t: waits.weights[t] for t in waits.has_no_weights(ready)})
    if missing:
        need = "trials need" if missing.total() > 1 else "trial needs"
        finished = "finished trials" if len(missing) > 1 else "finished trial"
        raise LookupError(
            f"{missing.total():,} {need} the weights of {len(missing):,} {finished}, such as {min(missing)}, which "
            "were not kept: no trial needed them at that time. `archsweep retry STUDY --weights`, with the file of "
            "this study, trains these again; their rows stay as they are"
        )


def _wait(n: int, name: str) -> str:
    return f"{n:,} {name}s wait" if n != 1 else f"1 {name} waits"
