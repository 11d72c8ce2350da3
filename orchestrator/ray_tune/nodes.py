"""Checks the environment of every machine of the connected cluster before trials are sent there."""

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.execution import node_check

_ANSWER_S = 120  # a machine that responds later is busy, not wrong; its workers check themselves


def check() -> None:
    """RefusedError where machines of the cluster have another environment; it names them and the differences.

    One such machine is enough to refuse the cluster: the scheduler would continue to send trials there.
    """
    nodes = {n["NodeID"]: n["NodeManagerHostname"] for n in ray.nodes() if n["Alive"] and _takes_trials(n["Resources"])}
    ask = ray.remote(num_cpus=0, max_retries=0)(_here)
    requests = {
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)).remote(): host
        for node_id, host in nodes.items()
    }
    answered, _ = ray.wait(list(requests), num_returns=len(requests), timeout=_ANSWER_S) if requests else ([], [])
    wrong = []
    for answer in answered:
        try:
            found = node_check.differences(ray.get(answer), node_check.here())
        except ray.exceptions.RayTaskError as error:  # this module could not be imported or run there
            found = [
                f"no archsweep like the driver's is installed there ({str(error.cause or error).splitlines()[-1]})"
            ]
        except ray.exceptions.RayError:
            continue  # the machine has gone away
        if found:
            wrong.append(f"  {requests[answer]}: {'; '.join(found)}")
    if wrong:
        raise node_check.RefusedError(
            node_check.explain(f"{len(wrong)} of {len(nodes)} machines of the cluster", "\n".join(sorted(wrong)))
        )


def _here() -> node_check.Environment:
    """The environment of the process that this runs in; Ray sends plain functions only, not `here`, which is cached."""
    return node_check.here()


def _takes_trials(resources: dict[str, float]) -> bool:
    return bool(resources.get("CPU") or resources.get("GPU"))
