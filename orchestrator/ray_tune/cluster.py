"""The Ray of a launch: connects to a cluster or starts a local Ray, and says what a trial can have there."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import ray

from orchestrator.execution import cores
from orchestrator.execution.signals import deferred
from orchestrator.ray_tune import address, failure_causes, nodes
from orchestrator.ray_tune import watch as ray_watch
from orchestrator.ray_tune.autoscaling import autoscaled

if TYPE_CHECKING:
    from orchestrator.study.schema_parts import Execution


class ResourcesError(ValueError):
    """The cluster can never provide the resources that the study requires."""


def _kill_on_shutdown() -> None:
    """Let the shutdown of a local Ray kill its processes at once: they ignore SIGTERM, and Ray waits 1 s for each."""
    node = ray._private.worker._global_node
    for running in (node.all_processes if node else {}).values():
        for info in running:
            info.process.terminate = info.process.kill


@contextlib.contextmanager
def _sigterm_handler_kept() -> Iterator[None]:
    """Keep our SIGTERM handler: `ray.init` would replace it by one that ends the process at once."""
    utils = ray._private.utils
    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


def _connect(options: dict[str, Any]) -> None:
    """Call `ray.init`; an error with a cluster that RAY_ADDRESS names becomes an AddressError."""
    named = address.named()
    if named is None:
        options |= {"address": "local", "object_store_memory": 128 * 2**20, "num_cpus": cores.usable()}
        if folder := address.temporary_folder():
            options["_temp_dir"] = str(folder)
        if declared := os.environ.get("ARCHSWEEP_LOCAL_GPUS"):
            options["num_gpus"] = int(declared)  # to test placement without GPUs
    else:
        options["address"] = address.resolved()
    with deferred(), _sigterm_handler_kept():
        try:
            ray.init(**options)
        except Exception as error:
            ray.shutdown()  # stops what was started before the error
            if named is None:
                raise
            raise address.AddressError(f"RAY_ADDRESS={named} cannot be joined: {error}") from error
    if named is None:
        address.mark_as_private()


@contextlib.contextmanager
def connected(execution: Execution, leave: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Connect to the cluster that RAY_ADDRESS names, or start a local Ray that ends with the block.

    AddressError where that cluster cannot be joined, RefusedError where its machines have another archsweep or torch
    than this process, ray_watch.Lost as soon as Ray has died; `leave` is called if this process must be killed then.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
    started_here = not ray.is_initialized()
    if started_here:
        failure_causes.silence_ray_messages()
        _connect(options)
    watch = ray_watch.Watch(started_here and address.named() is None, leave)
    watch.begin()
    try:
        with ray_watch.guarding():
            nodes.check()
        yield
    finally:
        watch.end()
        if started_here:
            _kill_on_shutdown()
            (ray_watch.shut_down if watch.lost else ray.shutdown)()


def _reachable() -> dict[str, float]:
    """The resources of the connected cluster, including those that its autoscaler can add."""
    from ray._private.state import state

    there = dict(ray.cluster_resources())
    for name, most in {**(state.get_max_resources_from_cluster_config() or {}), **autoscaled()}.items():
        there[name] = max(there.get(name, 0.0), float(most))
    return there


def _largest_machine() -> float:
    """The most GPUs that a machine of the cluster has."""
    return max((node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)


def gpus_per_trial(execution: Execution) -> float:
    """The number of GPUs per trial, a fraction for a share; ResourcesError where the cluster cannot provide that."""
    with ray_watch.guarding():
        there = _reachable()
    gpus, cpus = there.get("GPU", 0.0), there.get("CPU", 0.0)
    wish = execution.gpus_per_trial
    if wish is None:
        wish = 1.0 if gpus else 0.0
    if wish > gpus:
        raise ResourcesError(
            f"gpus_per_trial = {wish:g}, but the cluster has {gpus:g} GPUs and cannot grow more; "
            "set gpus_per_trial = 0 to train on CPUs"
        )
    if wish > 1 and not autoscaled() and wish > (most := _largest_machine()):
        raise ResourcesError(
            f"gpus_per_trial = {wish:g}, but no machine of the cluster has more than {most:g} GPUs, and a trial uses "
            "those of one machine; training across machines is the business of Ray Train"
        )
    if execution.cpus_per_trial > cpus:
        raise ResourcesError(f"cpus_per_trial = {execution.cpus_per_trial:g}, but the cluster has {cpus:g} CPU cores")
    return wish
