"""The engine `inline`: trains one trial after the other in this process, for debuggers, tests, machines without Ray."""

import time

from orchestrator.execution.job import perform
from orchestrator.execution.work_queue import Work


def run(work: Work) -> None:
    """Run every job of `work` in this process.  An exception of a trial becomes its failed row, as in every engine."""
    from workers import memory  # imports torch

    memory.freeze_collector()
    while not work.exhausted:
        job = work.take()
        if job is None:
            time.sleep(0.2)  # the trials left failed under another engine and are not yet due again
            continue
        try:
            work.finish(perform(job))
        except OSError as error:
            work.lost(job.trial_id, "publish", f"{type(error).__name__}: {error}")
