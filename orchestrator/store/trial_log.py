"""What a trial says while it trains: a file on the worker's own disk, published whole into the trial's folder."""

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
    """Keeps a trial's lines and publishes them: after a failure, and every so often while it trains.

    The lines lie in a file from the first on, so that whoever buries the process can still publish them, together
    with the stack that the interpreter itself wrote there.
    """

    def __init__(self, store: RunStore, trial_id: str, every_s: float) -> None:
        descriptor, self.path = tempfile.mkstemp(prefix=f"archsweep-{trial_id}-", suffix=".log")
        os.close(descriptor)
        # Opened to append, since the interpreter may write a stack in between.
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
        """Write what has been said so far to the trial's folder; where that cannot be, the next time may do it."""
        self._published = time.monotonic()
        with contextlib.suppress(OSError):  # no training ends because its log cannot be written
            publish(self._store, self._trial_id, self.path)


def publish(store: RunStore, trial_id: str, path: str) -> None:
    """Write a log from this machine's disk to the trial's folder, secrets scrubbed."""
    with open(path, encoding="utf-8", errors="backslashreplace") as file:
        store.write(scrub(file.read()).encode(errors="backslashreplace"), "trials", trial_id, NAME)
