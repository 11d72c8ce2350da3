"""Of what a worker died, from what Ray says."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray.exceptions
from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError

from orchestrator.cli import progress
from orchestrator.execution.job import Outcome
from orchestrator.execution.work_queue import Work
from orchestrator.ray_tune.failure_causes import Killed, cause, error_of
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study.plan import order_of_work, plan
from orchestrator.study.schema import load
from orchestrator.terminal import Terminal

from .conftest import Write

# What Ray 2.60 says when the memory monitor has killed two workers, shortened.
OOM = """2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2) \
was 13.12GB used / 23.54GB limit (0.456270)
OOM kill reason: Memory usage 11408465920B exceeded threshold of 2527650304B (10.0% of 25276502016B limit)
Ray killed 2 worker(s) based on the killing policy
Considered workers: [
Selected to kill: (Actor(aa01): job ID=01, task name=__init__, required resources={CPU: 1}, pid=845, \
actual memory used=1.06GB, worker ID=bd0a)
Selected to kill: (Actor(bb02): job ID=01, task name=__init__, required resources={CPU: 1}, pid=846, \
actual memory used=0.11GB, worker ID=52f4)
]
Top 10 memory users: PID\tMEM(GB)\tCOMMAND
845\t1.06\tray::SweepTrial.train
{other}846\t0.11\tray::SweepTrial.train
Refer to the documentation on how to address the out of memory issue
"""
DIED = "The actor died unexpectedly before finishing this task.\n\tclass_name: SweepTrial\n"


@pytest.mark.parametrize(
    ("actor", "other", "kind"),
    [
        ("aa01", "", "oom_host"),
        ("bb02", "", "oom_victim"),
        ("aa01", "77\t8.57\tpython somebody_else.py\n", "oom_victim"),
        ("aa01", "77\t1.20\tpython somebody_else.py\n", "oom_host"),
        ("cc03", "", "oom_host"),
        ("", "", "oom_host"),
    ],
)
def test_a_victim_of_the_memory_monitor_is_told_from_the_culprit(actor: str, other: str, kind: str) -> None:
    killed = Killed(actor, "OutOfMemoryError", OOM.replace("{other}", other))
    assert cause(killed)[0] == kind
    assert cause(ray.cloudpickle.loads(ray.cloudpickle.dumps(killed)))[0] == kind


def test_a_death_of_memory_is_one_line_with_its_figures() -> None:
    killed = Killed("aa01", "OutOfMemoryError", OOM.replace("{other}", ""))
    assert cause(killed)[1] == "the worker held 1.1 GB when its machine was full (13.1 of 23.5 GB, limit 10 %)"
    unsaid = Killed("", "OutOfMemoryError", OOM.replace("{other}", ""))
    assert cause(unsaid)[1].startswith("the worker was killed when its machine was full (13.1 of")


@pytest.mark.parametrize(("other", "kind"), [("", "oom_host"), ("77\t8.57\tpython somebody_else.py\n", "oom_victim")])
def test_a_worker_killed_while_it_was_started_died_of_memory_too(other: str, kind: str, tmp_path: Path) -> None:
    """Ray gives no exception then, only the text, which Tune keeps in a file of its own."""
    _, second = (line for line in OOM.splitlines() if line.startswith("Selected to kill"))
    text = OOM.replace("{other}", other).replace(second + "\n", "").replace("Actor(aa01): job", "Task: job")
    (tmp_path / "error.txt").write_text(f"Failure # 1 (occurred at 2026-01-01_00-00-00)\n{text}")
    trial = SimpleNamespace(pickled_error_file=None, error_file=str(tmp_path / "error.txt"))
    found, said = cause(error_of(trial))
    assert found == kind
    assert said.startswith("the worker held 1.1 GB")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RayActorError("aa", DIED + "The actor is dead because its worker process has died."), "worker_died"),
        (RayActorError("aa", DIED + "The actor died because its node has died. Node Id: 70"), "node_died"),
        (RayActorError("aa", DIED + "exits with an exit code 1. The process receives a SIGTERM."), "node_died"),
        (RayActorError("aa", DIED, preempted=True), "node_died"),
        (ActorUnavailableError("RPC error: Socket closed", None), "node_died"),
        (Killed("aa", "NodeDiedError", "gone"), "node_died"),
        (RayTaskError("train", "Traceback", OSError(28, "No space left on device")), "publish"),
        (RayTaskError("train", "Traceback", KeyError("job")), "error"),
        ("a text that nobody knows", "worker_died"),
    ],
)
def test_causes(error: object, kind: str) -> None:
    assert cause(error)[0] == kind


def test_the_same_death_is_told_once_whatever_its_figures(study: Write, tmp_path: Path) -> None:
    planned = plan(load(str(study(archs=2, tasks=("jig",))))).table
    work = Work(RunStore(str(tmp_path / "run")), order_of_work(planned), Ledger(), None, len(planned))  # type: ignore[arg-type]
    printed = io.StringIO()
    with progress.watch(work, Terminal(file=printed, width=200)):
        for gb, trial_id in enumerate(work.waiting(), start=1):
            for listener in work.listeners:
                listener(Outcome(trial_id, "failed", "oom_host", f"the worker held {gb} GB"))
    assert printed.getvalue().count("oom_host: the worker held 1 GB") == 1
    assert "held 2 GB" not in printed.getvalue()
