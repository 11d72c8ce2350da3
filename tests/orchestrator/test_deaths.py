"""Of what a worker died, from what Ray says."""

import pytest
import ray.exceptions
from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError

from orchestrator.deaths import Killed, cause

# What Ray 2.60 says when the memory monitor has killed two workers, shortened.
OOM = """2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2) was 13.12GB
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
