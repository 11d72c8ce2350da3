"""The time left of a run, estimated from its finished trials.

The time of a trial is a constant of its cell plus a part proportional to its multiply-adds.  So a line is fitted for
each cell, once it has two finished trials; before that there is only a lower bound.  The number of trials that run at a
time is measured too, since starts of processes and pauses between trials are in no trial's own time.
"""

import threading
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

_SURE = 2  # finished trials that every cell needs for an estimate


@dataclass
class _Cell:
    """Finished trials of a cell: sizes in multiply-adds and seconds; number and total size of the trials left."""

    sizes: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    left: int = 0
    size_left: float = 0.0

    def line(self, extra: float) -> tuple[float, float]:
        """(a, b) of seconds = a + b * size, both at least 0; `extra` seconds are added to every trial.

        Fitted by least squares, with a prior, half constant and half proportional, for few or equal sizes.
        """
        n = len(self.sizes)
        size, time = sum(self.sizes) / n, sum(self.seconds) / n + extra
        if size <= 0:
            return time, 0.0
        weight = (0.3 * size) ** 2
        both = sum((s - size) * (t + extra - time) for s, t in zip(self.sizes, self.seconds, strict=True))
        slope = (both + weight * time / (2 * size)) / (sum((s - size) ** 2 for s in self.sizes) + weight)
        slope = min(max(slope, 0.0), time / size)
        return time - slope * size, slope

    def least(self) -> float:
        """A lower bound of the seconds of the trials left, from the mean of the finished ones."""
        if not self.sizes:
            return 0.0
        time, size = sum(self.seconds) / len(self.seconds), sum(self.sizes) / len(self.sizes)
        return min(time * self.left, time * self.size_left / size if size > 0 else 0.0)


class TimeLeft:
    """Estimates the seconds left from the starts and ends of trials.  Thread-safe."""

    def __init__(self, trials: Mapping[str, tuple[Hashable, float]], now: float) -> None:
        """`trials`: cell and multiply-adds of each trial to train; all times are of one monotonic clock."""
        self._trials: dict[str, tuple[Hashable, float]] = {}
        self._cells: dict[Hashable, _Cell] = defaultdict(_Cell)
        self._open: set[str] = set()
        self._began: dict[str, float] = {}  # of the running ones
        self._start = self._event = now
        self._first: tuple[float, float] | None = None  # when the first one ended, and how long it took
        self._ended, self._done_s, self._most = 0, 0.0, 1
        self._gaps: list[float] = []
        self._lock = threading.Lock()
        self.add(trials)

    def add(self, trials: Mapping[str, tuple[Hashable, float]]) -> None:
        """Further trials to train: cell and multiply-adds of each."""
        with self._lock:
            self._trials |= trials
            self._open |= trials.keys()
            for cell, size in trials.values():
                self._cells[cell].left += 1
                self._cells[cell].size_left += size

    def ended(
        self,
        trial_id: str,
        now: float,
        running: Iterable[str],
        whole: float | None,
        training: float | None,
        *,
        ok: bool,
    ) -> None:
        """Report the end of an attempt: `whole` seconds in the worker, `training` of them in its epochs.

        `running`: the trials that still run.
        """
        with self._lock:
            began = self._began.pop(trial_id, self._event)
            self._see([*running, trial_id])
            took = max(now - began, 0.0) if whole is None else whole
            if training is not None:
                self._gaps.append(max(took - training, 0.0))
                took = training
            self._event = now
            if self._first is None and ok:
                self._first = now, took
            if self._first is not None:
                self._ended += 1
                self._done_s += took
            if ok and trial_id in self._open:
                cell, size = self._trials[trial_id]
                self._cells[cell].sizes.append(size)
                self._cells[cell].seconds.append(took)
                self._settle(trial_id)
            self._began.pop(trial_id, None)

    def given_up(self, trial_ids: Iterable[str]) -> None:
        """Report trials that will not be trained in this launch."""
        with self._lock:
            for trial_id in set(trial_ids) & self._open:
                self._settle(trial_id)

    def seconds(self, now: float, running: Iterable[str]) -> tuple[float, bool] | None:
        """Seconds left, and whether that is an estimate (else a lower bound); None before the first trial has ended."""
        with self._lock:
            self._see(running)
            if self._first is None:
                return None
            if any(len(cell.sizes) < _SURE for cell in self._cells.values() if cell.left):
                # As if only training took time from now on, with as many trials at a time as there were at most.
                return sum(cell.least() for cell in self._cells.values()) / self._most, False
            lines = {key: cell.line(self._extra) for key, cell in self._cells.items() if cell.sizes}
            since = max(self._first[0] - self._first[1] - self._extra, self._start)  # start-up is not repeated
            left = sum(a * self._cells[key].left + b * self._cells[key].size_left for key, (a, b) in lines.items())
            worked, longest = self._done_s + self._extra * self._ended, 0.0
            for trial_id, began in self._began.items():
                cell, size = self._trials[trial_id]
                age = max(now - max(began, since), 0.0)
                whole = lines[cell][0] + lines[cell][1] * size
                still = max(whole - age, whole / 10, age / 4)  # a trial that takes longer than expected
                worked += min(age, whole)
                left, longest = left - whole + still, max(longest, still)
            at_once = worked / max(now - since, 1e-9)
            return max(left / min(at_once, self._most), longest), True

    @property
    def _extra(self) -> float:
        """Seconds of a trial besides its training, the lower quartile: the first trial of a process takes longer."""
        return sorted(self._gaps)[len(self._gaps) // 4] if self._gaps else 0.0

    def _see(self, running: Iterable[str]) -> None:
        """Add running trials; a new one is taken to have begun when the last one ended."""
        running = set(running) & self._open
        self._most = max(self._most, len(running))
        self._began = {t: self._began.get(t, self._event) for t in running | self._began.keys() & running}

    def _settle(self, trial_id: str) -> None:
        cell, size = self._trials[trial_id]
        self._open.discard(trial_id)
        self._began.pop(trial_id, None)
        self._cells[cell].left -= 1
        self._cells[cell].size_left -= size
