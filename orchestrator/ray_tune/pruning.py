"""Removes finished trials from Tune, so that the cost per trial does not grow with the number of trials.

Tune keeps every trial that it ever ran.  It iterates over all of them in each step, and writes the state of all, some
10 KB each, in each snapshot: a hundred thousand trials would take gigabytes and more and more time.  Replacing the
Tuner from time to time would cost more: its slots would be idle from its last start of a trial until the longest trial
ends, and the next Tuner would have to start its workers again.
"""

import contextlib
from typing import Any

from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler

_KEPT = 100  # finished trials that are kept, since messages about them may still arrive


class PruningScheduler(FIFOScheduler):
    """First in, first out; removes finished trials from Tune's controller."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        # While Tune adds a trial it does not iterate over its trials.
        prune(getattr(tune_controller, "_tune_controller", tune_controller))


class SilentReporter(TrialProgressCallback):
    """Replaces Tune's reporter, which keeps every trial even with verbose=0."""

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        """Nothing is printed."""

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Nothing is printed."""

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Nothing is printed."""


def prune(controller: Any) -> None:
    """Remove finished trials from a controller, except the last hundred.

    Written for the attributes of Ray 2.60.  With other attributes nothing is removed: Tune is slower and larger then.
    """
    if len(controller.get_trials()) <= 2 * _KEPT:
        return
    with contextlib.suppress(AttributeError):
        busy = {*controller._trial_to_actor, *controller._staged_trials, *controller._resetting_trials}
        finished = [trial for trial in controller._trials if trial.is_finished() and trial not in busy]
        gone = set(finished[:-_KEPT])
        for trial in gone:
            controller._trial_metadata.pop(trial.trial_id, None)
        for trials in (controller._live_trials, controller._stopped_trials, controller._failed_trials):
            trials -= gone
        controller._trials_to_cache -= gone
        controller._trials[:] = [trial for trial in controller._trials if trial not in gone]
        _prune_never_started(controller._actor_manager)


def _prune_never_started(manager: Any) -> None:
    """Remove tasks of workers that were requested but never started, since another worker took their trial.

    Ray 2.60 keeps one such task per trial.
    """
    queued, wanted = manager._pending_actors_to_enqueued_actor_tasks, manager._pending_actors_to_attrs
    for actor in [a for a in queued if a not in wanted and a not in manager._live_actors_to_ray_actors_resources]:
        del queued[actor]
