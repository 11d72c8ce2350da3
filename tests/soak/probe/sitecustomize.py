"""Loaded by every Python process of a campaign: records trainings, compacts often, ends during a compaction on request.

ARCHSWEEP_SOAK names the folder of the notes.  `events.jsonl` there gets a line when a worker begins a job and one when
it ends it.  A file `compactor` there holds a number: of so many more steps the compactor survives each, then it dies.
"""

import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path

_NOTES = Path(os.environ["ARCHSWEEP_SOAK"])
_FOLD_AT = 3  # new rows


def _note(**values):
    """One line, appended at once."""
    line = json.dumps({"time": time.time(), "pid": os.getpid(), **values}) + "\n"
    file = os.open(_NOTES / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, line.encode())
    os.close(file)


def _job(module):
    perform = module.perform

    def noted(job, **options):
        what = {"trial_id": job.trial_id, "launch": job.settings.launch, "attempt": job.attempt}
        _note(event="begin", **what)
        status = "raised"
        try:
            outcome = perform(job, **options)
            status = outcome.status
            return outcome
        finally:
            _note(event="end", status=status, **what)

    module.perform = noted


def _store(module):
    compact = module.RunStore.compact

    def die(step):
        told = _NOTES / "compactor"
        if not told.exists():
            return
        left = int(told.read_text())
        told.write_text(str(left - 1))
        if left <= 0:
            told.unlink()
            _note(event="compactor", step=step)
            os.kill(os.getpid(), signal.SIGKILL)

    module.RunStore.compact = lambda self: compact(self, die)


def _heartbeat(module):
    module._COMPACT_AT = _FOLD_AT


class _Probe:
    """Changes modules of ours as they are imported."""

    changes = {  # noqa: RUF012
        "orchestrator.execution.job": _job,
        "orchestrator.store.run_folder": _store,
        "orchestrator.execution.heartbeat": _heartbeat,
    }

    def find_spec(self, name, path, target=None):
        change = self.changes.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Probe())
