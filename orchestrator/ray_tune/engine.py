"""The engine `tune`: runs the trials of a launch through Ray Tune.

Tune places trials, holds their resources and notices dead workers; none of its state is kept.  A searcher hands out
the trials that are left, workers publish their rows themselves, and Tune's files are deleted at the end.
"""

from __future__ import annotations

import logging
import tempfile
from typing import TYPE_CHECKING

from ray import tune

from orchestrator.execution import node_check
from orchestrator.ray_tune import failure_causes
from orchestrator.ray_tune import watch as ray_watch
from orchestrator.ray_tune.pruning import PruningScheduler
from orchestrator.ray_tune.search import JobSearcher, ResultCallback
from orchestrator.ray_tune.worker import SweepTrial

if TYPE_CHECKING:
    from orchestrator.execution.work_queue import Work
    from orchestrator.ray_tune.loggers import Loggers
    from orchestrator.study.schema_parts import Execution


def run(work: Work, execution: Execution, loggers: Loggers | None = None) -> None:
    """Run every job of `work` on the connected cluster; ray_watch.Lost if the cluster dies."""
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    failure_causes.patch_tune_oom_handling()
    failure_causes.skip_cleanup_when_lost(ray_watch.lost)
    reporter = ResultCallback(work, loggers)
    with ray_watch.guarding(last=True), tempfile.TemporaryDirectory(prefix="archsweep-tune-") as scratch:
        number = 0
        while not work.exhausted:  # one pass, unless Tune ends early
            number += 1
            _fit(work, execution, reporter, loggers is not None, scratch, str(number))
    if reporter.refusal:
        raise node_check.RefusedError(
            node_check.explain("a machine that joined while the run was at work", f"  {reporter.refusal}")
        )


def _fit(work: Work, execution: Execution, reporter: ResultCallback, per_epoch: bool, scratch: str, name: str) -> None:
    """Run one Tuner from its first to its last trial."""
    tune.Tuner(
        SweepTrial,
        tune_config=tune.TuneConfig(
            search_alg=JobSearcher(work, execution.cpus_per_trial, per_epoch),
            scheduler=PruningScheduler(),
            num_samples=-1,
            max_concurrent_trials=execution.max_concurrent,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=scratch,
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[reporter],
            verbose=0,
        ),
    ).fit()
