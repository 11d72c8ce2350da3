"""`bench packing`: how many trainings a device should run at a time, and how.

K concurrent trainings of one network, in one of these ways:

    processes   one process per training, as in a study with shared GPUs; the GPU time-slices them
    mps         one process per training, under NVIDIA's Multi-Process Service, which is started for the measurement
    streams     one process, with one captured step and one CUDA stream per training
    eager       one process with one training in eager mode: the reference of the ratios

Trainings are as in a study: UnNAS's recipe and batch, images on the device, captured steps on a GPU.
"""

import contextlib
import multiprocessing
import os
import queue
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

import torch

import workers
from workers import provenance, recipes
from workers.bench.data import training
from workers.bench.step import Cell, cells
from workers.bench.timing import conditions
from workers.cuda_graphs import Graphs, on
from workers.methods._setup import learner, recipe_of
from workers.methods.train import Training, evaluate, learning_rate, set_rate

WAYS = ("eager", "processes", "mps", "streams")
IMAGES = {"cpu": 512, "cuda": 4096}  # per split; the time of a step does not depend on it
TRIALS = 500  # architectures per cell of a study


@dataclass(frozen=True)
class Load:
    """The work of one process in one reading."""

    trial_json: str
    device: str
    captured: bool
    streams: int  # trainings in this process, each on its own stream
    seconds: float


def prepared(load: Load) -> list[Training]:
    """The trainings of a process, ready for their first step."""
    trial, device = workers.Trial.model_validate_json(load.trial_json), torch.device(load.device)
    recipe = recipe_of(trial)
    if recipe.batch > IMAGES[device.type]:
        raise ValueError(
            f"the batch of {recipe.batch} is larger than the {IMAGES[device.type]} images of this benchmark"
        )
    found = []
    for _ in range(load.streams):
        t = training(trial.task, IMAGES[device.type], recipe.batch, device)
        net, optimizer = learner(trial, device)
        record = Graphs() if load.captured and device.type == "cuda" else None
        found.append(replace(t, trial=trial, net=net, optimizer=optimizer, record=record))
        set_rate(found[-1], learning_rate(recipe, epoch=0))
    return found


def steps_for(ts: list[Training], seconds: float) -> tuple[int, float]:
    """Train all in turn, one step each, until the time is over; returns the number of steps and the seconds taken."""
    streams = [_stream(t.device) for t in ts]
    device = ts[0].device
    began, count = time.perf_counter(), 0
    epoch = 0
    while True:
        epoch += 1
        for parts in zip(*(t.parts("train", epoch, t.steps) for t in ts), strict=True):
            for t, part, stream in zip(ts, parts, streams, strict=True):
                with stream:
                    t.learning.work(part)
            count += len(ts)
            if time.perf_counter() - began >= seconds:
                _finish(device)
                return count, time.perf_counter() - began
            if device.type == "cuda" and count % (16 * len(ts)) == 0:
                _finish(device)  # limits how far the launch queue runs ahead
        _finish(device)  # before the epoch's draws are freed: other streams read them


def _stream(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    return torch.cuda.stream(torch.cuda.Stream(device)) if device.type == "cuda" else contextlib.nullcontext()


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def work(load: Load, ready: Barrier, answers: "Queue[dict[str, Any]]") -> None:
    """One process of a reading: prepare, warm up, wait for the others, train, evaluate; wall-clock times."""
    torch.set_num_threads(1)
    try:
        with on(torch.device(load.device)):
            answers.put(reading(load, ready))
    except Exception as error:
        ready.abort()
        answers.put({"error": f"{type(error).__name__}: {error}"})


def reading(load: Load, ready: Barrier) -> dict[str, Any]:
    """The measurements of one process."""
    ts = prepared(load)
    evaluate(ts[0])  # warm-up: algorithms are chosen, steps are captured
    for t in ts:
        t.net.train()
    steps_for(ts, 0.0)
    ready.wait()
    steps, seconds = steps_for(ts, load.seconds)
    ready.wait()
    began = time.perf_counter()
    evaluate(ts[0])
    device = ts[0].device
    return {
        "steps_per_s": steps / seconds,
        "test_images_per_s": len(ts[0].test) / (time.perf_counter() - began),
        "mode": ts[0].step_mode,
        # The limit of a GPU share applies to reserved memory.
        "peak_mem_bytes": provenance.peak_reserved(device) or provenance.peak_memory(device),
    }


def together(loads: list[Load]) -> list[dict[str, Any]]:
    """The readings of processes that start at the same time; RuntimeError says what failed in one of them."""
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(len(loads)), context.Queue()
    team = [context.Process(target=work, args=(load, ready, answers)) for load in loads]
    for process in team:
        process.start()
    found: list[dict[str, Any]] = []
    while len(found) < len(team):
        with contextlib.suppress(queue.Empty):
            found.append(answers.get(timeout=1))
        if killed := [p.exitcode for p in team if p.exitcode]:
            ready.abort()
            found += [{"error": f"a process ended with exit code {code}"} for code in killed]
    for process in team:
        process.join()
    if problems := [f["error"] for f in found if "error" in f]:
        raise RuntimeError(min(problems, key=lambda p: p.startswith("BrokenBarrierError")))
    return found


@contextlib.contextmanager
def service() -> Iterator[None]:
    """A Multi-Process Service for the processes started within the block; RuntimeError if it cannot be started.

    The GPU's compute mode does not change, and services of other users are not affected.
    """
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None:
        raise RuntimeError("nvidia-cuda-mps-control is not installed")
    with tempfile.TemporaryDirectory(prefix="archsweep-mps-") as folder:
        places = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        before = {name: os.environ.get(name) for name in places}
        os.environ |= places
        try:
            started = subprocess.run([control, "-d"], capture_output=True, text=True, timeout=60, check=False)
            if started.returncode:
                raise RuntimeError(f"the service did not start: {(started.stderr or started.stdout).strip()}")
            try:
                yield
            finally:
                subprocess.run([control], input="quit\n", text=True, capture_output=True, timeout=60, check=False)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def measure(cell: Cell, way: str, k: int, device: str, seconds: float) -> dict[str, Any]:
    """One reading of one way; `error` says why it failed."""
    load = Load(cell.trial.model_dump_json(), device, way != "eager", k if way == "streams" else 1, seconds)
    loads = [load] if way == "streams" else [load] * k
    line = {
        "space": cell.trial.space,
        "task": cell.trial.task,
        "quantile": cell.quantile,
        "arch": cell.trial.arch,
        "batch": cell.trial.recipe.batch,
        "way": way,
        "k": k,
    }
    try:
        with service() if way == "mps" else contextlib.nullcontext():
            found = together(loads)
    except RuntimeError as error:
        return {**line, "error": str(error)}
    return {
        **line,
        "steps_per_s": sum(f["steps_per_s"] for f in found),
        "test_images_per_s": sum(f["test_images_per_s"] for f in found),
        "mode": found[0]["mode"],
        "peak_mem_bytes": max(f["peak_mem_bytes"] for f in found),
    }


def hours(lines: list[dict[str, Any]], epochs: int = 100, train: int = 50_000, test: int = 10_000) -> float:
    """Device hours of `TRIALS` trainings: steps and evaluations of all epochs, at the mean speed of these lines."""
    a_trial: list[float] = [
        epochs * (train // line["batch"] / line["steps_per_s"] + test / line["test_images_per_s"]) for line in lines
    ]
    return TRIALS * sum(a_trial) / len(a_trial) / 3600


def whole_studies(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hours per (space, task), way and K, if all readings succeeded."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault((line["space"], line["task"], line["way"], line["k"]), []).append(line)
    return [
        {**dict(zip(("space", "task", "way", "k"), key, strict=True)), "hours": hours(members)}
        for key, members in groups.items()
        if not any("error" in m for m in members)
    ]


def run(
    names: list[str],
    of_spaces: list[str],
    quantiles: list[str],
    ways: list[str],
    counts: list[int],
    device: torch.device,
    note: Callable[[str], None],
    seconds: float = 5.0,
    small: bool = False,
) -> dict[str, Any]:
    """All cells in all ways, as JSON-compatible data, and the hours of a whole study (not for `small`)."""
    before = conditions(device)
    lines = []
    for cell in (c for c in cells(names, of_spaces, quantiles, 1, small) if c.rival.name == "plain"):
        if not small:
            recipe = recipes.training("unnas", space=cell.trial.space, dataset=cell.trial.dataset, task=cell.trial.task)
            cell = replace(cell, trial=cell.trial.model_copy(update={"recipe": recipe}))
        for way in ways:
            for k in counts if way != "eager" else [1]:
                note(f"packing, {cell.trial.space} {cell.trial.task} {cell.quantile}: {way}, {k} at a time")
                lines.append(measure(cell, way, k, str(device), seconds))
    return {
        "bench": "packing",
        "conditions": before,
        "load_after": conditions(device)["load"],
        "seconds": seconds,
        "lines": lines,
        "study": [] if small else whole_studies(lines),
    }
