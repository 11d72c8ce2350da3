"""Asks every machine of the connected cluster for its environment before a trial is sent there."""

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.execution import node_check

_ANSWER_S = 120  # a machine that answers later is busy, not wrong; its workers check themselves


def check() -> None:
    """Ask every machine of the connected cluster that takes trials; RefusedError names the wrong ones and what differs.

    One wrong machine is enough: a scheduler would go on sending trials there.
    """
    nodes = {n["NodeID"]: n["NodeManagerHostname"] for n in ray.nodes() if n["Alive"] and _takes_trials(n["Resources"])}
    ask = ray.remote(num_cpus=0, max_retries=0)(_here)
    asked = {
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)).remote(): host
        for node_id, host in nodes.items()
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_S) if asked else ([], [])
    wrong = []
    for answer in answered:
        try:
            found = node_check.differences(ray.get(answer), node_check.here())
        except ray.exceptions.RayTaskError as error:  # not even this module could be imported or run there
            found = [
                f"no archsweep like the driver's is installed there ({str(error.cause or error).splitlines()[-1]})"
            ]
        except ray.exceptions.RayError:
            continue  # the machine went away meanwhile
        if found:
            wrong.append(f"  {asked[answer]}: {'; '.join(found)}")
    if wrong:
        raise node_check.RefusedError(
            node_check.explain(f"{len(wrong)} of {len(nodes)} machines of the cluster", "\n".join(sorted(wrong)))
        )


def _here() -> node_check.Environment:
    """The environment of the process that this runs in; Ray sends plain functions only, not `here`, which is cached."""
    return node_check.here()


def _takes_trials(resources: dict[str, float]) -> bool:
    return bool(resources.get("CPU") or resources.get("GPU"))
