"""Stops a study that is broken: when nearly everything fails, going on only burns hours."""

from collections import Counter, deque

from orchestrator.store.trial_states import BLAMELESS, Failure

FIRST = 20  # all of so many at the beginning
LAST = 100
SHARE = 0.3  # of the last hundred


class Breaker:
    """Watches the attempts of one launch as they end."""

    def __init__(self) -> None:
        self._finished = 0
        self._last: deque[Failure | None] = deque(maxlen=LAST)

    def add(self, failure: Failure | None) -> str | None:
        """Take note of an attempt's end, None where it was good; says why the study is to stop, if it is.

        Deaths of nodes are left out: they tell of the cluster, not of the study.
        """
        if failure is not None and failure.kind in BLAMELESS:
            return None
        self._finished += 1
        self._last.append(failure)
        failed = [f for f in self._last if f is not None]
        if len(failed) == self._finished == FIRST:
            return f"the first {FIRST} attempts all failed{_mostly(failed)}"
        if len(self._last) == LAST and len(failed) > SHARE * LAST:
            return f"{len(failed)} of the last {LAST} attempts failed{_mostly(failed)}"
        return None


def _mostly(failed: list[Failure]) -> str:
    (line, n), *_ = Counter(f"{f.kind}: {f.last_line}" for f in failed).most_common(1)
    return f", {n} of them with {line}"
