"""Train one trial after the other in this process: for a debugger, for tests, for a machine without Ray."""

import time

from orchestrator.execution.job import perform
from orchestrator.execution.work_queue import Work


def run(work: Work) -> None:
    """Every job of `work`, here.  A trial's exception is its failed row, as under every engine."""
    from workers import memory  # imports torch

    memory.freeze_collector()
    while not work.exhausted:
        job = work.take()
        if job is None:
            time.sleep(0.2)  # what is left died of something under another engine and has to wait its time
            continue
        try:
            work.finish(perform(job))
        except OSError as error:
            work.lost(job.trial_id, "publish", f"{type(error).__name__}: {error}")
