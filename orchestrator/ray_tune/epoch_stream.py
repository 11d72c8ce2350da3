"""A trial that reports its epochs while it trains; only used where a study has loggers."""

import queue
import threading
from typing import Any

from orchestrator.execution.job import Job, Outcome, perform


class EpochStream:
    """Runs a job in a thread of its own: the result of an epoch is sent while the next one trains."""

    def __init__(self, job: Job, cpus: int | None = None) -> None:
        self._results: queue.SimpleQueue[dict[str, Any] | Outcome | BaseException] = queue.SimpleQueue()
        threading.Thread(target=self._work, args=(job, cpus), name=f"trial {job.trial_id}", daemon=True).start()

    def _work(self, job: Job, cpus: int | None) -> None:
        try:
            self._results.put(perform(job, on_epoch=self._results.put, cpus=cpus))
        except BaseException as error:
            self._results.put(error)

    def next(self) -> dict[str, Any] | Outcome:
        """The result of the next epoch, or after the last one the outcome of the job; raises as `perform` does."""
        result = self._results.get()
        if isinstance(result, BaseException):
            raise result
        return result
