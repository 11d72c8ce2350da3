"""Run one trial from the first epoch, or from its checkpoint, to its row."""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import spaces
from workers import checkpoint, datasets, files, malloc, memory, provenance, tasks
from workers.cuda_graphs import Graphs, Recorder, on
from workers.data.agreement import check_left_out_images
from workers.data.loader import Resident, Source, Streamed
from workers.methods.train import Training, evaluate, precise_bn, train_epoch
from workers.network import build_network, cost
from workers.streams import seed_of
from workers.trial import Trial

log = logging.getLogger(__name__)
Told = Callable[[dict[str, float]], None]


class Interrupted(Exception):
    """A training stopped between two epochs because it was asked to; the message says whether a checkpoint was kept."""


@dataclass
class Progress:
    """What a training has shown so far; a list has one value an epoch."""

    train_loss: list[float] = field(default_factory=list)
    test_score: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    diverged: bool = False

    @property
    def epochs(self) -> int:
        return len(self.train_loss)

    @property
    def last(self) -> dict[str, float]:
        """The epoch that ended last, by the names that loggers know."""
        curves = {"train_loss": self.train_loss, "test_score": self.test_score, "seconds": self.seconds}
        return {"training_iteration": self.epochs} | {name: values[-1] for name, values in curves.items()}

    def columns(self) -> dict[str, Any]:
        """The columns of a row that tell how the training went.

        Best and last finite evaluation are both kept; UnNAS reports the best.  The first of equal ones is best.
        """
        finite = [s for s in self.test_score if math.isfinite(s)]
        best = max(finite, default=math.nan)
        return {
            "score_best": best,
            "score_final": self.test_score[-1] if self.test_score else math.nan,
            "best_epoch": self.test_score.index(best) + 1 if finite else None,
            "epochs": self.epochs,
            "train_loss": self.train_loss[-1] if self.train_loss else math.nan,
            "diverged": self.diverged,
            "curve_train_loss": self.train_loss,
            "curve_test_score": self.test_score,
            "curve_seconds": self.seconds,
            "train_s": math.fsum(self.seconds),
        }


def _prepare(
    trial: Trial,
    device: torch.device,
    data_root: str | Path | None,
    cache_dir: str | Path | None,
    record: Recorder | None = None,
    run_url: str | None = None,
    cpus: int | None = None,
) -> Training:
    """Network, optimiser and images of a trial, as they are before the first epoch."""
    arrays = datasets.prepare(trial.own or trial.dataset, data_root, cache_dir, expect=trial.dataset_id, recent=True)
    if run_url is not None:
        check_left_out_images(run_url, arrays)
    recipe = trial.recipe
    if recipe.batch > len(arrays.train):
        raise ValueError(
            f"a batch of {recipe.batch} images is more than the {len(arrays.train)} training images of "
            f"{trial.dataset_id}; override batch with a smaller one"
        )
    net, optimizer = learner(trial, device)
    train, test = (
        source_of(split, trial, device, split is arrays.train, cpus) for split in (arrays.train, arrays.test)
    )
    return Training(trial, net, optimizer, train, test, device, record)


def source_of(
    split: datasets.Split | datasets.LargeSplit,
    trial: Trial,
    device: torch.device,
    train: bool,
    cpus: int | None = None,
) -> Source:
    """Small images whole on the device; of large ones the cuts that the task takes, made by threads of `cpus` cores."""
    if isinstance(split, datasets.Split):
        return Resident.of(split, device)
    task, dataset = trial.asked, trial.data
    # What was rounded when it was stored may be rounded again; from original files nothing is.
    dtype = torch.uint8 if split.keep == "pixels" else torch.float32
    side = task.side(dataset)
    frame = (side, side) if train else task.frame(torch.from_numpy(split.sizes(np.arange(len(split)))), dataset)
    return Streamed(
        split, lambda sizes, draws: task.crops(sizes, draws, dataset), frame, dtype, device, task.dense, cpus
    )


def learner(trial: Trial, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The network of a trial with its initial weights, on the device, and the optimiser that trains it."""
    recipe = trial.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("weights", trial.space, trial.arch, trial.seed))
        net = build_network(trial)  # on the CPU: the same weights whatever the device
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            # Nothing reads the counter where there is a momentum, and to count is an operation a norm and step.
            norm.num_batches_tracked = None
    # Batches come as (B, C, H, W); weights in channels-last let convolutions give maps in that layout from the first
    # layer on.  That was measured on CPUs.  On CUDA in fp32 it was not: see docs/benchmarks.md for what to measure.
    net = net.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    return net, optimizer


def _epoch(t: Training, progress: Progress) -> None:
    """One epoch: train, settle batch norm, evaluate; `progress` grows by one."""
    start = time.perf_counter()
    epoch = progress.epochs
    loss = train_epoch(t, epoch).item()
    score = math.nan
    if math.isfinite(loss):
        precise_bn(t, epoch)
        score, finite = evaluate(t)
        if not finite:
            score = math.nan
    # Divergence is a result, not a failure: leaving such architectures out would bias the sample.
    progress.diverged = not math.isfinite(score)
    progress.train_loss.append(loss)
    progress.test_score.append(score)
    progress.seconds.append(time.perf_counter() - start)
    log.info(
        "epoch %d/%d: loss %.4f, %s %.4f, %.1f s",
        progress.epochs,
        t.trial.recipe.epochs,
        loss,
        tasks.get(t.trial.task).metric,
        score,
        progress.seconds[-1],
    )


def _resume(t: Training, url: str | None) -> Progress:
    """Go on from a checkpoint where there is one that fits; one that does not leaves no trace in the training."""
    state = checkpoint.load(url, t.trial, t.device) if url else None
    if state is None:
        return Progress()
    fresh = copy.deepcopy((t.net.state_dict(), t.optimizer.state_dict()))
    try:
        progress = _restored(t, state)
    except Exception as error:  # whatever another version of the code may have left
        log.warning(
            "the checkpoint at %s does not fit this training (%s): training from the start",
            url,
            " ".join(str(error).split()),
        )
        t.net.load_state_dict(fresh[0])
        t.optimizer.load_state_dict(fresh[1])
        return Progress()
    log.info("going on after epoch %d", progress.epochs)
    return progress


def _restored(t: Training, state: dict[str, Any]) -> Progress:
    """Put a checkpoint's state into network and optimiser; an error of any kind where it does not fit."""
    for key in [key for key in state["net"] if key.endswith("num_batches_tracked")]:
        del state["net"][key]  # checkpoints had the counters of batch norm once
    progress = Progress(**state["progress"])
    lengths = {len(progress.train_loss), len(progress.test_score), len(progress.seconds)}
    if len(lengths) != 1 or not 1 <= progress.epochs <= t.trial.recipe.epochs:
        raise ValueError(f"curves of {sorted(lengths)} epochs, expected one number from 1 to {t.trial.recipe.epochs}")
    t.net.load_state_dict(state["net"])
    t.optimizer.load_state_dict(state["optimizer"])
    for parameter, kept in t.optimizer.state.items():
        for name, value in kept.items():
            # Scalars (counters of steps) aside, what is kept of a parameter has its shape.
            if isinstance(value, torch.Tensor) and value.dim() and value.shape != parameter.shape:
                raise ValueError(f"{name} is {tuple(value.shape)}, its parameter is {tuple(parameter.shape)}")
    return progress


def _train(
    t: Training,
    progress: Progress,
    url: str | None,
    every_s: float,
    stop: Callable[[], bool] | None,
    told: Told | None,
) -> None:
    """Every epoch that is left, with a checkpoint between epochs now and then, and before a stop."""
    saved = time.monotonic()
    while progress.epochs < t.trial.recipe.epochs and not progress.diverged:
        _epoch(t, progress)
        if told is not None:
            told(progress.last)
        if progress.epochs == t.trial.recipe.epochs or progress.diverged:
            return
        stopping, kept = stop is not None and stop(), False
        if url and (stopping or time.monotonic() - saved >= every_s):
            state = {"net": t.net.state_dict(), "optimizer": t.optimizer.state_dict(), "progress": asdict(progress)}
            kept = checkpoint.save(url, t.trial, state)
            saved = time.monotonic()
        if stopping:
            where = "its checkpoint is kept" if kept else "no checkpoint of it was kept"
            raise Interrupted(f"stopped after epoch {progress.epochs} of {t.trial.recipe.epochs}; {where}")


def run(
    trial: Trial,
    data_root: str | Path | None = None,
    device: str = "cpu",
    *,
    cache_dir: str | Path | None = None,
    checkpoint_url: str | None = None,
    checkpoint_every_s: float = 60.0,
    stop: Callable[[], bool] | None = None,
    cuda_graphs: bool = True,
    told: Told | None = None,
    run_url: str | None = None,
    cpus: int | None = None,
) -> dict[str, Any]:
    """Train a trial and give its row (`workers.row.SCHEMA`, as a dict); scores are fractions of the test split.

    With `checkpoint_url` (a path or any fsspec URL) the state is kept between epochs, at most every
    `checkpoint_every_s` seconds, and a killed training goes on from it: on the CPU the row is bit for bit that of
    an undisturbed one, times aside.  `stop` is asked between epochs; when it says so, the state is saved where
    that is possible and Interrupted raised.  A diverged training is a row with `diverged=True`.  What else goes wrong
    is raised.

    `told` hears of every epoch: `training_iteration` (from 1), `train_loss`, `test_score`, `seconds`.

    `run_url` is the folder of the run: there all machines agree on which broken images they leave out.

    On a CUDA device steps are replayed as graphs; where that is impossible, or not wanted (`cuda_graphs=False`),
    they are queued one operation after the other, and the row's `step_mode` says so.  Resident of many sizes are made
    for it by at most `cpus` threads (default: the cores this process may use, or OMP_NUM_THREADS where that is set).

    Network, graphs and copies of the images are given back before this returns.  On the CPU glibc's malloc is told,
    for the whole process and for good, to keep the memory of freed tensors (workers/malloc.py).
    """
    began, clock = datetime.now(UTC), time.perf_counter()
    if checkpoint_url is not None:
        files.place(checkpoint_url)  # now, not after the first epoch
    where = torch.device(device)
    if trial.dataset_id is None:
        trial = trial.model_copy(
            update={"dataset_id": datasets.identify(trial.own or trial.dataset, data_root, cache_dir)}
        )
    threads = torch.get_num_threads()
    if where.type == "cpu":
        torch.set_num_threads(trial.recipe.threads)
        malloc.reuse_freed_memory()
    memory.make_first_optimizer()
    t = None
    try:
        with on(where):
            provenance.forget_peak_memory(where)
            record = Graphs() if cuda_graphs and where.type == "cuda" else None
            t = _prepare(trial, where, data_root, cache_dir, record, run_url, cpus)
            progress = _resume(t, checkpoint_url)
            resumed = progress.epochs
            _train(t, progress, checkpoint_url, checkpoint_every_s, stop, told)
            peak, reserved = provenance.peak_memory(where), provenance.peak_reserved(where)
            step_mode = t.step_mode
    finally:
        torch.set_num_threads(threads)
        if t is not None:
            t.close()
        t = None  # a frame may outlive its call, in a traceback for instance
    if where.type == "cuda":
        memory.release()
    return {
        **columns(trial),
        **progress.columns(),
        "status": "ok",
        "attempt": 1,
        "peak_mem_bytes": peak,
        "resumed": resumed,
        "peak_reserved_bytes": reserved,
        "step_mode": step_mode,
        "device": provenance.device_name(where),
        "device_mem_bytes": provenance.device_memory(where),
        "gpu_share": 0.0 if where.type == "cpu" else 1.0,
        "started_at": began,
        "finished_at": datetime.now(UTC),
        "wall_s": time.perf_counter() - clock,
    }


def columns(trial: Trial) -> dict[str, Any]:
    """The columns of a row that are known before a training begins."""
    params, macs = cost(trial)
    return {
        "trial_id": trial.id,
        "space": trial.space,
        "arch": trial.arch,
        "arch_id": spaces.get(trial.space).arch_id(trial.arch),
        "dataset": trial.dataset,
        "dataset_id": trial.dataset_id,
        "task": trial.task,
        "seed": trial.seed,
        "recipe": trial.recipe.name,
        "recipe_id": trial.recipe.id,
        "recipe_json": trial.recipe.json_text,
        "precision": trial.recipe.precision,
        "metric": tasks.get(trial.task).metric,
        "params": params,
        "macs": macs,
        "plugins": _plugins(trial),
        **provenance.build(),
    }


def _plugins(trial: Trial) -> str | None:
    """Which of a trial's parts come from other distributions."""
    parts = (spaces.registry(), trial.space), (datasets.registry(), trial.dataset), (tasks.registry(), trial.task)
    found = [f"{registry.kind} {name}: {source}" for registry, name in parts if (source := registry.source(name))]
    return "; ".join(found) or None
