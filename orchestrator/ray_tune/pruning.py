"""Tune without a memory: one Tuner runs as many trials as a study has, at the same cost for each.

Tune keeps every trial that it ever ran.  It walks over all of them at each step, and rewrites the state of all, some
10 KB each, at each snapshot: a hundred thousand would take gigabytes and ever longer.  Ending a Tuner now and then for
a fresh one costs more: its slots stand idle from the moment that it hands out its last trial until the longest is
over, and the next has to start its workers anew.
"""

import contextlib
from typing import Any

from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler

_KEPT = 100  # trials that are over; of the youngest, late messages may still come


class PruningScheduler(FIFOScheduler):
    """First in, first out; Tune forgets what is over."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        # Asked to add a trial, Tune does not walk over its books.
        forget(getattr(tune_controller, "_tune_controller", tune_controller))


class SilentReporter(TrialProgressCallback):
    """In the place of Tune's own reporter, which is there even when nothing is to be printed and keeps every trial."""

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        """Nothing is printed."""

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Nothing is printed."""

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Nothing is printed."""


def forget(controller: Any) -> None:
    """Strike trials that are over from a controller's books, but for the last hundred.

    Written for the books of Ray 2.60.  A Ray that keeps them elsewhere remembers all: slower, larger, nothing worse.
    """
    if len(controller.get_trials()) <= 2 * _KEPT:
        return
    with contextlib.suppress(AttributeError):
        busy = {*controller._trial_to_actor, *controller._staged_trials, *controller._resetting_trials}
        over = [trial for trial in controller._trials if trial.is_finished() and trial not in busy]
        gone = set(over[:-_KEPT])
        for trial in gone:
            controller._trial_metadata.pop(trial.trial_id, None)
        for book in (controller._live_trials, controller._stopped_trials, controller._failed_trials):
            book -= gone
        controller._trials_to_cache -= gone
        controller._trials[:] = [trial for trial in controller._trials if trial not in gone]
        _prune_never_started(controller._actor_manager)


def _prune_never_started(manager: Any) -> None:
    """Strike tasks of workers that were asked for, and no longer wanted when another had become free for their trial.

    Ray 2.60 keeps one such task a trial.
    """
    told, wanted = manager._pending_actors_to_enqueued_actor_tasks, manager._pending_actors_to_attrs
    for actor in [a for a in told if a not in wanted and a not in manager._live_actors_to_ray_actors_resources]:
        del told[actor]
