"""The log of a trial: a file on the worker's disk that is copied as a whole into the trial's folder."""

import contextlib
import logging
import os
import tempfile
import time
from types import TracebackType
from typing import Self

from orchestrator.store.run_folder import RunStore
from workers.scrub import scrub

NAME = "log.txt"
_LOGGERS = ("workers", "orchestrator.execution.job")


class TrialLog(logging.FileHandler):
    """Collects the log lines of a trial and publishes them: after a failure, and at intervals while it trains.

    The lines are written to a file at once, so that the watchdog can publish them after the process has died, together
    with the stack that the interpreter wrote there.
    """

    def __init__(self, store: RunStore, trial_id: str, every_s: float) -> None:
        descriptor, self.path = tempfile.mkstemp(prefix=f"archsweep-{trial_id}-", suffix=".log")
        os.close(descriptor)
        # Opened in append mode, since the interpreter may write a stack in between.
        super().__init__(self.path, "a", encoding="utf-8", errors="backslashreplace")
        self.setLevel(logging.INFO)
        self._store, self._trial_id, self._every_s = store, trial_id, every_s
        self._published = time.monotonic()
        self._before: list[tuple[logging.Logger, int, bool]] = []
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def __enter__(self) -> Self:
        for logger in map(logging.getLogger, _LOGGERS):
            self._before.append((logger, logger.level, logger.propagate))
            logger.addHandler(self)
            logger.setLevel(logging.INFO)
            logger.propagate = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for logger, level, propagate in self._before:
            logger.removeHandler(self)
            logger.setLevel(level)
            logger.propagate = propagate
        self.close()
        os.unlink(self.path)

    def handle(self, record: logging.LogRecord) -> bool:
        # Published here and not in `emit`, where logging holds the lock that every thread that logs waits for.
        handled = bool(super().handle(record))
        if time.monotonic() - self._published >= self._every_s:
            self.publish()
        return handled

    def publish(self) -> None:
        """Write the lines so far to the trial's folder; if that fails, the next call may succeed."""
        self._published = time.monotonic()
        with contextlib.suppress(OSError):  # a log that cannot be written does not end the training
            publish(self._store, self._trial_id, self.path)


def publish(store: RunStore, trial_id: str, path: str) -> None:
    """Copy a log from this machine's disk to the trial's folder, without secrets."""
    with open(path, encoding="utf-8", errors="backslashreplace") as file:
        store.write(scrub(file.read()).encode(errors="backslashreplace"), "trials", trial_id, NAME)
