"""Tune without a memory: one Tuner runs as many trials as a study has, at the same cost for each.

Tune keeps every trial that it ever ran.  It walks over all of them at each step, and rewrites the state of all, some
10 KB each, at each snapshot: a hundred thousand would take gigabytes and ever longer.  Ending a Tuner now and then for
a fresh one costs more: its slots stand idle from the moment that it hands out its last trial until the longest is
over, and the next has to start its workers anew.
"""

from typing import Any

from ray.tune.schedulers import FIFOScheduler

_KEPT = 100  # trials that are over; of the youngest, late messages may still come
# Tune's books of trials, besides the list of all and the snapshot's texts by id (seen with 2.60).
_SETS = ("_live_trials", "_stopped_trials", "_failed_trials", "_trials_to_cache")
_BUSY = ("_trial_to_actor", "_staged_trials", "_resetting_trials")


class Forgetful(FIFOScheduler):
    """First in, first out; Tune forgets what is over."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        # Asked to add a trial, Tune does not walk over its books.
        forget(getattr(tune_controller, "_tune_controller", tune_controller))


def forget(controller: Any) -> None:
    """Strike trials that are over from a controller's books, but for the last hundred.

    A Ray that keeps its books elsewhere remembers all, which is slower and takes more memory, nothing worse.
    """
    if not all(hasattr(controller, name) for name in ("_trials", "_trial_metadata", *_SETS, *_BUSY)):
        return
    if len(controller._trials) <= 2 * _KEPT:
        return
    busy = set().union(*(getattr(controller, name) for name in _BUSY))
    over = [trial for trial in controller._trials if trial.is_finished() and trial not in busy]
    gone = set(over[:-_KEPT])
    controller._trials[:] = [trial for trial in controller._trials if trial not in gone]
    for name in _SETS:
        getattr(controller, name).difference_update(gone)
    for trial in gone:
        controller._trial_metadata.pop(trial.trial_id, None)
