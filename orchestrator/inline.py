"""Train one trial after the other in this process: for a debugger, for tests, for a machine without Ray."""

from orchestrator.job import perform
from orchestrator.work import Work


def run(work: Work) -> None:
    """Every job of `work`, here.  A trial's exception is its failed row, as under every engine."""
    while (job := work.take()) is not None:
        work.finish(perform(job))
