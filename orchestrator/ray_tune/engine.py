"""Fan out through Ray Tune.

Tune places trials, holds their resources and notices dead workers; it remembers nothing for us.  A searcher hands
out what is still to do, workers publish their rows themselves, and Tune's own state is thrown away.

Workers import this module to find `SweepTrial`: it loads no more than a trial needs, so that a machine with foreign
packages comes as far as saying so.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

# Read by Tune when it is imported or when a run begins.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # its per-trial files cost more than a row
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # the first Ctrl-C drains; that is ours to do
os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the other reporter prints even when it is told not to
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
# A lost connection is no verdict: wait until the cluster says whether it was the worker or its whole node that died.
os.environ.setdefault("RAY_timeout_ms_task_wait_for_death_info", "60000")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # CPU trials hide the GPUs themselves

import ray
import torch
from ray import tune
from ray.tune.search import Searcher

from orchestrator.execution import cores, node_check
from orchestrator.execution.heartbeat import held_back
from orchestrator.execution.job import Job, Outcome, perform
from orchestrator.ray_tune import address, failure_causes
from orchestrator.ray_tune import watch as ray_watch
from orchestrator.ray_tune.autoscaling import autoscaled
from orchestrator.ray_tune.epoch_stream import Epochs
from orchestrator.ray_tune.pruning import Forgetful, Unreported
from workers import memory
from workers.cuda_graphs import capture_failed

if TYPE_CHECKING:
    from orchestrator.execution.loggers import Loggers
    from orchestrator.execution.work_queue import Work
    from orchestrator.study.schema import Execution


class ResourcesError(ValueError):
    """The cluster can never give what the study wishes."""


class SweepTrial(tune.Trainable):
    """One trial a step, or where loggers listen one epoch; the process stays for the next trial that wants as much
    room."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([config["room"]])

    _epochs: Epochs | None

    def setup(self, config: dict[str, Any]) -> None:
        self._job, self._epochs = Job.from_json(config["job"]), None
        self._tells, self._cpus = config["tells"], _cores(config["room"])
        self._refusal = node_check.refusal(node_check.Environment.read(config["driver"]))
        share = self._job.settings.gpus
        if not share:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves it unset, and a CPU trial would see every GPU
        elif share < 1 and torch.cuda.is_available():
            # Ray keeps the books, nothing more: a trial that outgrows its share fails alone, not its neighbours.
            torch.cuda.set_per_process_memory_fraction(share)
        if not self._refusal:
            memory.freeze_collector()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job, self._epochs = Job.from_json(new_config["job"]), None
        self._cpus = _cores(new_config["room"])
        return True

    def step(self) -> dict[str, Any]:
        if self._refusal:
            return {"done": True, "refusal": self._refusal, "outcome": Outcome(self._job.trial_id, "interrupted")}
        if self._tells:
            self._epochs = self._epochs or Epochs(self._job, self._cpus)
            told = self._epochs.next()
            if isinstance(told, dict):
                return {"epoch": told}
            outcome = told
        else:
            outcome = perform(self._job, cpus=self._cpus)
        # Where the row is published the trial is settled, and the next one gets a new process.
        if outcome.status != "interrupted" and (capture_failed() or _device_is_broken()):
            os._exit(1)
        return {"done": True, "outcome": outcome}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        return None

    def load_checkpoint(self, checkpoint: Any) -> None:
        return None


def _cores(room: dict[str, float]) -> int:
    """Threads that a trial may use beside its own work on a GPU."""
    return max(1, int(room["CPU"]))


def _device_is_broken() -> bool:
    """Whether this process can use its GPU no more: after an illegal access or an assertion on the device, say."""
    if not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


class _Here:
    """An object of this process that Tune wants to copy and to save; its state is thrown away, so neither happens."""

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Feeder(_Here, Searcher):
    """Hands out jobs of `work` until nothing will come any more."""

    def __init__(self, work: Work, cpus: float, tells: bool) -> None:
        super().__init__()
        self._work, self._cpus, self._tells = work, cpus, tells
        self._driver = asdict(node_check.here())

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True  # there is nothing to search for

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._work.exhausted:
            return str(Searcher.FINISHED)
        job = self._work.take()
        if job is None:
            return None  # what runs now may fail and come back
        room = _room(job, self._cpus)
        return {"job": job.to_json(), "room": room, "driver": self._driver, "tells": self._tells}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        return None  # the callback knows the job

    def save(self, checkpoint_path: str) -> None:
        return None

    def restore(self, checkpoint_path: str) -> None:
        return None


class _Reporter(_Here, Unreported):
    """Tells `work` how each job ended, and loggers how it goes."""

    def __init__(self, work: Work, loggers: Loggers | None) -> None:
        super().__init__()
        self._work, self._loggers = work, loggers
        self._began: dict[str, float] = {}
        self.refusal: str | None = None  # of a machine that joined with another environment while we ran

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._began[trial.config["job"]["trial_id"]] = time.monotonic()
        if self._loggers:
            self._loggers.began(Job.from_json(trial.config["job"]))

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        # Booked here, before Tune asks the searcher again: it ends only when all jobs are settled.
        if "refusal" in result:
            self.refusal = result["refusal"]
            self._work.stopping.set()  # the scheduler would go on sending trials there
        if "outcome" in result:
            self._began.pop(result["outcome"].trial_id, None)
            self._work.finish(result["outcome"])
        if self._loggers:
            self._log(trial.config["job"]["trial_id"], result)

    def _log(self, trial_id: str, result: dict[str, Any]) -> None:
        assert self._loggers
        if "outcome" in result:
            self._loggers.ended(trial_id, result["outcome"].status == "ok")
        elif "epoch" in result:
            self._loggers.epoch(trial_id, result["epoch"])

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        job = Job.from_json(trial.config["job"])
        if self._loggers:
            self._loggers.ended(job.trial_id, ok=False)
        ray_watch.check()  # what dies with Ray is not held against the trial
        error = failure_causes.error_of(trial)
        kind, text = failure_causes.cause(error)
        now = time.monotonic()
        seconds = now - self._began.pop(job.trial_id, now)
        if kind == "worker_died" and seconds >= (job.settings.timeout_s or math.inf):
            kind, text = (
                "timeout",
                f"the attempt did not end in {job.settings.timeout_s:g} s",
            )  # its row was not written
        self._work.lost(job.trial_id, kind, text, ran_s=seconds, details=str(error) if text not in str(error) else "")


def _room(job: Job, cpus: float) -> dict[str, float]:
    """What a job holds of a node: its share, or every core of one that has room for it."""
    gpus = job.settings.gpus
    if job.alone:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fitting = [node["CPU"] for node in nodes if node.get("CPU", 0.0) >= cpus and node.get("GPU", 0.0) >= gpus]
        cpus = min(fitting, default=cpus)  # of the smallest: a larger one can take it too, should that one go away
    return {"CPU": cpus} | ({"GPU": gpus} if gpus else {})


def _end_at_once() -> None:
    """Let the shutdown of our own Ray not ask its deaf processes first, a second each."""
    node = ray._private.worker._global_node
    for running in (node.all_processes if node else {}).values():
        for info in running:
            info.process.terminate = info.process.kill


@contextlib.contextmanager
def _no_handler_of_rays() -> Iterator[None]:
    """`ray.init` puts a handler of SIGTERM in the place of ours, which ends the process at once."""
    utils = ray._private.utils
    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


def _connect(options: dict[str, Any]) -> None:
    """`ray.init`; what is wrong with a cluster that was named is one AddressError."""
    named = address.named()
    if named is None:
        options |= {"address": "local", "object_store_memory": 128 * 2**20, "num_cpus": cores.usable()}
        if folder := address.temporary_folder():
            options["_temp_dir"] = str(folder)
        if declared := os.environ.get("ARCHSWEEP_LOCAL_GPUS"):
            options["num_gpus"] = int(declared)  # to try placement out where there are fewer or none
    else:
        options["address"] = address.resolved()
    with held_back(), _no_handler_of_rays():
        try:
            ray.init(**options)
        except Exception as error:
            ray.shutdown()  # what was started before the error
            if named is None:
                raise
            raise address.AddressError(f"RAY_ADDRESS={named} cannot be joined: {error}") from error
    if named is None:
        address.mark_as_private()


@contextlib.contextmanager
def cluster(execution: Execution, leave: Callable[[], None] = lambda: None) -> Iterator[None]:
    """A connection to the cluster that RAY_ADDRESS names, else a Ray of this machine's own that ends with us.

    AddressError where that cluster cannot be joined, RefusedError where machines of it hold another archsweep or
    torch than this process, ray_watch.Lost as soon as Ray has died; `leave` is called where this process has to be
    ended then.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
    started_here = not ray.is_initialized()
    if started_here:
        failure_causes.hush_ray()
        _connect(options)
    watch = ray_watch.Watch(started_here and address.named() is None, leave)
    watch.begin()
    try:
        with ray_watch.guarding():
            node_check.check_nodes()
        yield
    finally:
        watch.end()
        if started_here:
            _end_at_once()
            (ray_watch.shut_down if watch.lost else ray.shutdown)()


def _reachable() -> dict[str, float]:
    """What the connected cluster has, or can scale to where an autoscaler told it so."""
    from ray._private.state import state

    there = dict(ray.cluster_resources())
    for name, most in {**(state.get_max_resources_from_cluster_config() or {}), **autoscaled()}.items():
        there[name] = max(there.get(name, 0.0), float(most))
    return there


def gpus_of_a_trial(execution: Execution) -> float:
    """What a trial holds of a GPU on the connected cluster; ResourcesError where that can never be had."""
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
    if execution.cpus_per_trial > cpus:
        raise ResourcesError(f"cpus_per_trial = {execution.cpus_per_trial:g}, but the cluster has {cpus:g} CPU cores")
    return wish


def run(work: Work, execution: Execution, loggers: Loggers | None = None) -> None:
    """Every job of `work`, on the connected cluster; ray_watch.Lost where that dies."""
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    failure_causes.teach_tune()
    failure_causes.spare_cleanup(ray_watch.lost)
    reporter = _Reporter(work, loggers)
    with ray_watch.guarding(last=True), tempfile.TemporaryDirectory(prefix="archsweep-tune-") as scratch:
        number = 0
        while not work.exhausted:  # once, unless Tune ends of its own accord
            number += 1
            _fit(work, execution, reporter, loggers is not None, scratch, str(number))
    if reporter.refusal:
        raise node_check.RefusedError(
            node_check.explain("a machine that joined while the run was at work", f"  {reporter.refusal}")
        )


def _fit(work: Work, execution: Execution, reporter: _Reporter, tells: bool, scratch: str, name: str) -> None:
    """One Tuner, from its first trial to its last."""
    tune.Tuner(
        SweepTrial,
        tune_config=tune.TuneConfig(
            search_alg=_Feeder(work, execution.cpus_per_trial, tells),
            scheduler=Forgetful(),
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
