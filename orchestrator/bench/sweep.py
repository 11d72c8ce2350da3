"""`bench sweep`: trials through Ray against bare processes that train the same trials, one core each.

What a sweep adds to training is scheduling, rows, checkpoints' clocks and a driver; this tells how much that costs.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

import spaces
import workers
from orchestrator import runner
from orchestrator.execution import cores
from orchestrator.study.plan import order_of_work, plan, trial_of
from orchestrator.study.schema import Study, parse
from workers.bench.timing import conditions

_STUDY = """
name = "bench-sweep"
path = "{path}"
[[sweeps]]
space = "nasbench101"
architectures = {{ list = ["{arch}"] }}
dataset = "photos"
tasks = ["cls"]
seeds = {seeds}
recipe = "demo"
override = {{ epochs = {epochs} }}
[execution]
gpus_per_trial = 0
max_concurrent = {at_once}
"""


def _study(folder: str, trials: int, at_once: int, epochs: int) -> Study:
    """Trials of one length: the same network, other seeds."""
    arch = spaces.sample(spaces.get("nasbench101"), 1, seed=0).archs[0]
    text = _STUDY.format(path=folder, arch=arch, seeds=list(range(1, trials + 1)), at_once=at_once, epochs=epochs)
    return parse(text, "bench sweep")


def _share(trials: list[str], ready: Barrier, ended: "Queue[float]") -> None:
    """One bare process: train one trial after the other, as a script would."""
    torch.set_num_threads(1)
    todo = [workers.Trial.model_validate_json(text) for text in trials]
    workers.datasets.prepare("photos")
    workers.build_network(todo[0])  # whatever is imported late is imported now
    ready.wait()
    for trial in todo:
        workers.run(trial)
    ended.put(time.time())


def _bare(study: Study, at_once: int) -> float:
    """Seconds from the moment that all processes are ready to the end of the last."""
    trials = [trial_of(row).model_dump_json() for row in order_of_work(plan(study).table)]
    context = multiprocessing.get_context("spawn")
    ready, ended = context.Barrier(at_once + 1), context.Queue()
    team = [context.Process(target=_share, args=(trials[k::at_once], ready, ended)) for k in range(at_once)]
    for process in team:
        process.start()
    ready.wait()
    began = time.time()
    last = max(float(ended.get()) for _ in team)
    for process in team:
        process.join()
    return last - began


def _through_ray(study: Study) -> dict[str, float]:
    """The same trials as a user runs them: seconds from the first trial's start to the last row, and the rest."""
    began = datetime.now(UTC)
    runner.run(study)
    rows = pd.read_parquet(Path(study.path) / "rows")
    return {
        "seconds": (rows["finished_at"].max() - rows["started_at"].min()).total_seconds(),
        "start_up_s": (rows["started_at"].min() - pd.Timestamp(began)).total_seconds(),
        "besides_training_s": float((rows["wall_s"] - rows["train_s"]).median()),
        "trained": float((rows["status"] == "ok").sum()),
    }


def run(rounds: int, at_once: int, each: int, note: Callable[[str], None], epochs: int = 4) -> dict[str, Any]:
    """Throughput of both sides in turns, as JSON can hold it; `each` trials a core and round."""
    before = conditions(torch.device("cpu"))
    readings = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="archsweep-bench-") as folder:
            study = _study(f"{folder}/run", at_once * each, at_once, epochs)
            note(f"sweep, round {number + 1} of {rounds}: bare processes")
            bare = _bare(study, at_once)
            note(f"sweep, round {number + 1} of {rounds}: through Ray")
            ray = _through_ray(study)
        if ray["trained"] != at_once * each:
            raise RuntimeError(
                f"{ray['trained']:.0f} of {at_once * each} trials ended well; a benchmark of that says nothing"
            )
        readings.append({**ray, "bare_seconds": bare, "ratio": bare / ray["seconds"]})
    ratios = [r["ratio"] for r in readings]
    return {
        "bench": "sweep",
        "conditions": before,
        "load_after": conditions(torch.device("cpu"))["load"],
        "at_once": at_once,
        "trials": at_once * each,
        "rounds": readings,
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        **{
            key: statistics.median(r[key] for r in readings)
            for key in ("seconds", "bare_seconds", "start_up_s", "besides_training_s")
        },
    }


def on_this_machine(rounds: int, note: Callable[[str], None], *, small: bool) -> dict[str, Any]:
    """Run the bench on every core, or for seconds on one."""
    if small:
        return run(1, 1, 1, note, epochs=1)
    return run(rounds, cores.usable(), 6, note)


def show(found: dict[str, Any], out: Console) -> None:
    """The sweep's figures, a line each."""
    here = found["conditions"]
    ratio = f"{found['ratio']:.1%} ({found['ratio_min']:.1%}..{found['ratio_max']:.1%})"
    for name, value in [
        ("throughput through Ray, of bare processes'", ratio),
        (f"seconds for {found['trials']} trials, {found['at_once']} at a time", f"{found['seconds']:.1f}"),
        ("the same in bare processes", f"{found['bare_seconds']:.1f}"),
        ("start-up to the first trial, seconds", f"{found['start_up_s']:.1f}"),
        ("besides training, seconds a trial", f"{found['besides_training_s']:.3f}"),
    ]:
        out.print(f"{name:<45} {value:>24}")
    out.print(
        f"{here['device']}, torch {here['torch']}, load {here['load'][0]}; median of {len(found['rounds'])} rounds"
    )
