"""A trial that tells of its epochs while it trains; only where a logger wants to hear of them."""

import queue
import threading
from typing import Any

from orchestrator.execution.job import Job, Outcome, perform


class EpochStream:
    """A job at work in a thread of its own: what is told of an epoch is on its way while the next one trains."""

    def __init__(self, job: Job, cpus: int | None = None) -> None:
        self._said: queue.SimpleQueue[dict[str, Any] | Outcome | BaseException] = queue.SimpleQueue()
        threading.Thread(target=self._work, args=(job, cpus), name=f"trial {job.trial_id}", daemon=True).start()

    def _work(self, job: Job, cpus: int | None) -> None:
        try:
            self._said.put(perform(job, told=self._said.put, cpus=cpus))
        except BaseException as error:
            self._said.put(error)

    def next(self) -> dict[str, Any] | Outcome:
        """What the next epoch gave, or in the end what became of the job; raises as `perform` does."""
        said = self._said.get()
        if isinstance(said, BaseException):
            raise said
        return said
