"""The progress of a run: a live table on a terminal, a few plain lines elsewhere."""

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from orchestrator.cli.time_left import TimeLeft
from orchestrator.execution.job import Outcome
from orchestrator.execution.work_queue import DEATHS, Work
from orchestrator.store.recipe_names import named
from orchestrator.store.waiting import Waits
from orchestrator.study.estimate import multiply_adds, recipe_of
from orchestrator.terminal import has_unicode, live, printable
from workers.quantities import duration

_CELL = ("space", "dataset", "task")
_LIKE = ("space", "dataset_id", "task", "recipe_id")  # trials of equal duration, except for their size
_MAX_PRINTED_FAILURES = 20  # different failures that are printed at once; further ones are only counted
_MAX_INTERVAL_S = 3600.0  # between two lines of a long run without a terminal
_BAR = 16  # characters
_WIDTH_FOR_BARS = 70  # columns of a terminal
_CLOSE_S = 5.0  # for printing the last lines, where a terminal does not accept output


class Progress:
    """Counts outcomes by cell and shows them.

    Lines are printed by a separate thread: a terminal that does not accept output must not stop the work.  Nothing is
    printed while the lock is held, since printing above a live table draws the table, which acquires the lock.
    """

    def __init__(self, work: Work, console: Console) -> None:
        self._work, self._console = work, console
        self._began = time.monotonic()
        self._total: Counter[tuple[str, ...]] = Counter()
        self._ok: Counter[tuple[str, ...]] = Counter()
        self._failed: Counter[tuple[str, ...]] = Counter()
        self._errors: Counter[str] = Counter()
        self._recipes: dict[str, str] = {}
        self._several = False
        self._left = TimeLeft({}, self._began)
        self._next_line = self._began + 10
        self._lock = threading.Lock()
        self._examples: dict[tuple[str, ...], dict[str, Any]] = {}  # a plan row of each cell
        self._add(work.waiting())
        self._lines: queue.SimpleQueue[Text | None] = queue.SimpleQueue()
        self._printer = threading.Thread(target=self._print, name="progress", daemon=True)
        work.listeners.append(self._on_outcome)
        work.growth_listeners.append(self._add)

    def _add(self, trial_ids: list[str]) -> None:
        """Count further trials that are to be trained."""
        with self._lock:
            for trial_id in trial_ids:
                cell = self._cell(trial_id)
                self._total[cell] += 1
                self._examples.setdefault(cell, self._work.row_of(trial_id))
            rows = self._examples.values()
            self._recipes = named(rows) if all("recipe_id" in row for row in rows) else {}
            lines = {self._shown(cell) for cell in self._total}
            self._several = len({line[:3] for line in lines}) < len(lines)
        self._left.add({t: self._kind_and_size(self._work.row_of(t)) for t in trial_ids})

    def _cell(self, trial_id: str) -> tuple[str, ...]:
        row = self._work.row_of(trial_id)
        return *(row[k] for k in _CELL), str(row.get("recipe_id"))

    def _shown(self, cell: tuple[str, ...]) -> tuple[str, ...]:
        """A cell with the name of its recipe, which is longer once there are two recipes of one name."""
        return *cell[:3], self._recipes.get(cell[3], "")

    @staticmethod
    def _kind_and_size(row: dict[str, Any]) -> tuple[tuple[Any, ...], float]:
        return tuple(row[k] for k in _LIKE), multiply_adds(row, recipe_of(row))

    def _on_outcome(self, outcome: Outcome) -> None:
        cell = self._cell(outcome.trial_id)
        self._time(outcome)
        with self._lock:
            if outcome.status == "ok":
                self._ok[cell] += 1
            elif outcome.status == "failed":
                self._failed[cell] += 1
            new = self._new_failure(outcome)
        for line in new:
            self._lines.put(line)
        if not self._console.is_terminal and time.monotonic() >= self._next_line:
            elapsed = time.monotonic() - self._began
            self._next_line = time.monotonic() + min(30 + elapsed / 10, _MAX_INTERVAL_S)  # fewer and fewer lines
            self._lines.put(Text(self.line(just_ended=True)))

    def _new_failure(self, outcome: Outcome) -> list[Text]:
        """Lines about a failure that was not printed before; the lock must be held."""
        if outcome.status != "failed":
            return []
        text = f"{outcome.error_class}: {''.join((outcome.error_text or '').splitlines()[:1])[:160]}"
        kind = outcome.error_class if outcome.error_class in DEATHS else text  # their figures differ each time
        self._errors[kind] += 1
        if self._errors[kind] > 1 or len(self._errors) > _MAX_PRINTED_FAILURES:
            return []
        cell = " ".join(self._shown(self._cell(outcome.trial_id))[: 3 + self._several])
        lines = [Text(printable(f"failed: trial {outcome.trial_id} ({cell}): {text}"), "red")]
        if len(self._errors) == _MAX_PRINTED_FAILURES:
            lines.append(Text("further failures are only counted; `archsweep status` shows them by class"))
        return lines

    def _print(self) -> None:
        while (line := self._lines.get()) is not None:
            self._console.print(line)

    @contextlib.contextmanager
    def printing(self) -> Iterator[None]:
        """Print lines during the block, and the remaining ones at its end."""
        self._printer.start()
        try:
            yield
        finally:
            self._lines.put(None)
            self._printer.join(_CLOSE_S)

    def _time(self, outcome: Outcome) -> None:
        """Update the estimate of the time left."""
        if outcome.status == "interrupted":
            return
        trial_id, ok, running = outcome.trial_id, outcome.status == "ok", self._work.running
        # The times of a table are not spent here.
        training = None if recipe_of(self._work.row_of(trial_id)).rehearsed else outcome.train_s
        self._left.ended(trial_id, time.monotonic(), running, outcome.wall_s, training, ok=ok)
        if not ok and trial_id not in self._work.waiting():
            self._left.given_up([trial_id, *self._work.given_up(trial_id)])

    def _left_text(self) -> str:
        """The time left, as the end of a line; "" before the first trial has ended."""
        found = self._left.seconds(time.monotonic(), self._work.running)
        if found is None:
            return ""
        seconds, sure = found
        return f"; {'about' if sure else 'at least'} {duration(seconds)} left"

    def _by_line(self, counts: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
        lines: Counter[tuple[str, ...]] = Counter()
        for cell, n in counts.items():
            lines[self._shown(cell)] += n
        return lines

    def line(self, just_ended: bool = False) -> str:
        """The state of the run on one line; `just_ended`: a trial has ended, and the next one has not started yet."""
        counts = self._work.counts
        more = just_ended and not self._work.stopping.is_set() and bool(self._work.waiting())
        text = f"{counts.done:,} of {counts.total:,} trials done, {len(self._work.running) + more} running"
        if counts.failed:
            text += f", {counts.failed} failed attempts"
        if self._work.waiting_for:
            text += f", {Waits(self._work.waiting_for).text}"
        if self._work.stopping.is_set():
            return text + "; stopping: running trials end after their epoch"
        return text + self._left_text()

    def __rich__(self) -> Group:
        """The most important line first: a terminal cuts off what does not fit."""
        table = Table(box=None, pad_edge=False)
        for name in (*_CELL, "recipe")[: 3 + self._several]:
            table.add_column(name, no_wrap=name != "recipe")  # where room is short, this one takes two lines
        for name in ("done", "of", "failed"):
            table.add_column(name, justify="right", no_wrap=True)
        roomy = self._console.width >= _WIDTH_FOR_BARS
        if roomy:
            table.add_column("", no_wrap=True)
        with self._lock:
            planned, ok, failed = map(self._by_line, (self._total, self._ok, self._failed))
        for cell, of in planned.items():
            bars = [_bar(ok[cell] / of, has_unicode(self._console))] if roomy else []
            table.add_row(*cell[: 3 + self._several], str(ok[cell]), str(of), str(failed[cell] or ""), *bars)
        return Group(Text(self.line()), table)


def _bar(share: float, unicode: bool) -> Text:
    """A bar of which this share is done; without colours the rest must look different."""
    done = round(_BAR * share)
    return Text("━" * done, "green") + Text(("━" if unicode else "-") * (_BAR - done), "dim")


@contextlib.contextmanager
def watch(work: Work, console: Console) -> Iterator[None]:
    """Show the progress of a launch during the block."""
    view = Progress(work, console)
    waits = f"; {Waits(work.waiting_for).text}" if work.waiting_for else ""
    if not console.is_terminal:
        console.print(
            f"{work.left:,} trials to train, {work.counts.done:,} of {work.counts.total:,} done before{waits}"
        )
    shown = live(console, view, refresh_per_second=2) if console.is_terminal else contextlib.nullcontext()
    with shown, view.printing():
        yield
