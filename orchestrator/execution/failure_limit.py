"""Stops a launch in which nearly every attempt fails."""

from collections import Counter, deque

from orchestrator.store.trial_states import EXTERNAL_FAILURES, Failure

FIRST = 20  # the launch stops if all of its first attempts, this many, failed
LAST = 100
SHARE = 0.3  # or if more than this share of its last LAST attempts failed


class FailureLimit:
    """Counts the failed attempts of one launch."""

    def __init__(self) -> None:
        self._finished = 0
        self._last: deque[Failure | None] = deque(maxlen=LAST)

    def add(self, failure: Failure | None) -> str | None:
        """Add an attempt, None for one that succeeded; the reason to stop the launch, None to continue.

        External failures are not counted: they are caused by the cluster, not by the study.
        """
        if failure is not None and failure.kind in EXTERNAL_FAILURES:
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
