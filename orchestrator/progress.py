"""A run as it goes: one live table on a terminal, few plain lines elsewhere."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.estimate import duration, multiply_adds, recipe_of
from orchestrator.job import Outcome
from orchestrator.time_left import TimeLeft
from orchestrator.work import Work

_CELL = ("space", "dataset", "task")
_LIKE = ("space", "dataset_id", "task", "recipe_id")  # trials that take alike long, but for their size
_TOLD = 20  # different failures told as they come; a log of thousands more helps nobody
_SELDOM_S = 3600.0  # between two lines of a long run where nobody looks on


class Progress:
    """Counts outcomes by cell and shows them."""

    def __init__(self, work: Work, console: Console) -> None:
        self._work, self._console = work, console
        self._began = time.monotonic()
        self._total: Counter[tuple[str, ...]] = Counter()
        self._ok: Counter[tuple[str, ...]] = Counter()
        self._failed: Counter[tuple[str, ...]] = Counter()
        self._errors: Counter[str] = Counter()
        for trial_id in work.waiting():
            self._total[self._cell(trial_id)] += 1
        self._left = TimeLeft({t: self._kind_and_size(work.row_of(t)) for t in work.waiting()}, self._began)
        self._next_line = self._began + 10
        self._lock = threading.Lock()
        work.listeners.append(self._hear)

    def _cell(self, trial_id: str) -> tuple[str, ...]:
        row = self._work.row_of(trial_id)
        return tuple(row[k] for k in _CELL)

    @staticmethod
    def _kind_and_size(row: dict[str, Any]) -> tuple[tuple[Any, ...], float]:
        return tuple(row[k] for k in _LIKE), multiply_adds(row, recipe_of(row))

    def _hear(self, outcome: Outcome) -> None:
        self._time(outcome)
        with self._lock:
            cell = self._cell(outcome.trial_id)
            if outcome.status == "ok":
                self._ok[cell] += 1
            elif outcome.status == "failed":
                self._failed[cell] += 1
                text = f"{outcome.error_class}: {''.join((outcome.error_text or '').splitlines()[:1])[:160]}"
                self._errors[text] += 1
                if self._errors[text] == 1 and len(self._errors) <= _TOLD:
                    self._console.print(f"failed: trial {outcome.trial_id} ({' '.join(cell)}): {text}", style="red")
                    if len(self._errors) == _TOLD:
                        self._console.print("further failures are counted only; `archsweep status` tells them by kind")
        if not self._console.is_terminal and time.monotonic() >= self._next_line:
            elapsed = time.monotonic() - self._began
            self._next_line = time.monotonic() + min(30 + elapsed / 10, _SELDOM_S)  # ever fewer lines
            self._console.print(self.line())

    def _time(self, outcome: Outcome) -> None:
        """Let the estimate of the time left know of an end."""
        if outcome.status == "interrupted":
            return
        trial_id, ok, running = outcome.trial_id, outcome.status == "ok", list(self._work.running)
        self._left.ended(trial_id, time.monotonic(), running, outcome.wall_s, outcome.train_s, ok=ok)
        if not ok and trial_id not in self._work.waiting():
            self._left.given_up([trial_id])

    def _left_text(self) -> str:
        """How long it still takes, as the end of a line; "" before the first end."""
        found = self._left.seconds(time.monotonic(), list(self._work.running))
        if found is None:
            return ""
        seconds, sure = found
        return f"; {'about' if sure else 'at least'} {duration(seconds)} left"

    def line(self) -> str:
        """Where the run stands, on one line."""
        counts = self._work.counts
        text = f"{counts.done:,} of {counts.total:,} trials done, {len(self._work.running)} running"
        if counts.failed:
            text += f", {counts.failed} failed attempts"
        if self._work.stopping.is_set():
            return text + "; stopping: running trials end after their epoch"
        return text + self._left_text()

    def __rich__(self) -> Table:
        table = Table(title=None, caption=Text(self.line()), caption_justify="left", box=None, pad_edge=False)
        for name in _CELL:
            table.add_column(name, no_wrap=True)
        for name in ("done", "of", "failed"):
            table.add_column(name, justify="right")
        table.add_column("", no_wrap=True)
        with self._lock:
            for cell, total in self._total.items():
                ok, failed = self._ok[cell], self._failed[cell]
                bar = Text("━" * round(16 * ok / total), "green") + Text("━" * (16 - round(16 * ok / total)), "dim")
                table.add_row(*cell, str(ok), str(total), str(failed or ""), bar)
        return table


@contextlib.contextmanager
def watch(work: Work, console: Console) -> Iterator[None]:
    """Show a launch while it lasts."""
    view = Progress(work, console)
    if not console.is_terminal:
        console.print(f"{work.left:,} trials to train, {work.counts.done:,} of {work.counts.total:,} done before")
        yield
        return
    with Live(view, console=console, refresh_per_second=2, transient=False):
        yield
