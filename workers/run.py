"""Run one trial with any method, from the first epoch or from a checkpoint, and return its row."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import spaces
from workers import datasets, loop, malloc, memory, methods, paths, provenance, score_table, tasks
from workers.cuda_graphs import Graphs, Recorder, on
from workers.data.agreement import check_left_out_images
from workers.methods._method import Setting
from workers.network import cost
from workers.recipes import Lookup
from workers.training.images import images_of
from workers.trial import Trial


def setting(
    trial: Trial,
    device: torch.device,
    data_root: str | Path | None,
    cache_dir: str | Path | None,
    record: Recorder | None = None,
    run_url: str | None = None,
    cpus: int | None = None,
) -> Setting:
    """The input of the trial's method.  The images are prepared when the method asks for them, and are checked against
    the trial's `dataset_id`."""

    def open_data() -> datasets.Arrays | datasets.LargeDataset:
        data = datasets.prepare(trial.own or trial.dataset, data_root, cache_dir, expect=trial.dataset_id, recent=True)
        if run_url is not None:
            check_left_out_images(run_url, data)
        return images_of(trial, data)

    return Setting(trial, open_data, device, record, cpus)


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
    on_epoch: loop.OnEpoch | None = None,
    run_url: str | None = None,
    cpus: int | None = None,
) -> dict[str, Any]:
    """Run a trial and return its row (`workers.row.SCHEMA`, as a dict).

    The scores of trainings are fractions in [0, 1]; those of other methods may be any finite numbers, or NaN.

    With `checkpoint_url` (a path or any fsspec URL), the state is saved between epochs and between steps, at most every
    `checkpoint_every_s` seconds, and a killed run resumes from it.  On the CPU the row of a resumed run is identical to
    that of an uninterrupted one, bit for bit, except for times.  `stop` is called between steps, at most once per
    second; when it returns true, the state is saved if possible and Interrupted is raised.  A diverged training gives a
    row with `diverged=True`.  Any other failure raises its exception.

    `on_epoch` is called after every epoch with `training_iteration` (from 1), `train_loss`, `test_score`, `seconds`.

    `run_url` is the folder of the run.  It records which damaged images are left out, so that all machines leave out
    the same ones.

    On a CUDA device, steps are captured and replayed as CUDA graphs.  If that is impossible or disabled
    (`cuda_graphs=False`), steps run eagerly; the row's `step_mode` states which.  Large images are decoded by at most
    `cpus` threads (default: the cores that this process may use, or OMP_NUM_THREADS if it is set).

    Network, graphs and copies of the images are released before this returns.  On the CPU, glibc's malloc is set to
    keep the memory of freed tensors, permanently and for the whole process (workers/malloc.py).
    """
    began, clock = datetime.now(UTC), time.perf_counter()
    if checkpoint_url is not None:
        paths.place(checkpoint_url)  # an invalid URL fails now, not after the first epoch
    where = torch.device(device)
    if trial.dataset_id is None:
        trial = trial.model_copy(
            update={"dataset_id": datasets.identify(trial.own or trial.dataset, data_root, cache_dir)}
        )
    if isinstance(trial.recipe, Lookup) and trial.recipe.content is None:
        trial = trial.model_copy(update={"recipe": _read_table(trial, trial.recipe)})
    threads = torch.get_num_threads()
    if where.type == "cpu":
        torch.set_num_threads(trial.recipe.threads)
        malloc.reuse_freed_memory()
    memory.make_first_optimizer()
    work = None
    try:
        with on(where):
            provenance.forget_peak_memory(where)
            record = Graphs() if cuda_graphs and where.type == "cuda" else None
            method = methods.get(trial.recipe.method)
            work = method.start(setting(trial, where, data_root, cache_dir, record, run_url, cpus))
            progress = loop.resume(work, trial, checkpoint_url, where)
            resumed = progress.epochs
            loop.drive(work, trial, progress, checkpoint_url, checkpoint_every_s, stop, on_epoch)
            peak, reserved = provenance.peak_memory(where), provenance.peak_reserved(where)
            found = work.columns()
    finally:
        torch.set_num_threads(threads)
        if work is not None:
            work.close()
        work = None  # this frame may outlive the call, in a traceback for instance
    if where.type == "cuda":
        memory.release()
    return {
        **columns(trial),
        **progress.columns(),
        **found,
        "status": "ok",
        "attempt": 1,
        "peak_mem_bytes": peak,
        "resumed": resumed,
        "peak_reserved_bytes": reserved,
        "device": provenance.device_name(where),
        "device_mem_bytes": provenance.device_memory(where),
        "gpu_share": 0.0 if where.type == "cpu" else 1.0,
        "started_at": began,
        "finished_at": datetime.now(UTC),
        "wall_s": time.perf_counter() - clock,
    }


def _read_table(trial: Trial, recipe: Lookup) -> Lookup:
    """The recipe with the content that its table has now."""
    if recipe.table is None:
        raise ValueError('recipe lookup needs a table: override = { table = "runs/..." }')
    found = score_table.cell(recipe.table, trial.space, trial.dataset, trial.dataset_id, trial.task, recipe.measured)
    return recipe.bound(found.content, found.measured)


def columns(trial: Trial) -> dict[str, Any]:
    """The columns of a row that are known before the training begins."""
    params, macs = cost(trial)
    return {
        "trial_id": trial.id,
        "space": trial.space,
        "arch": trial.arch,
        "arch_id": trial.arch if trial.arch == spaces.WHOLE else spaces.get(trial.space).arch_id(trial.arch),
        "dataset": trial.dataset,
        "dataset_id": trial.dataset_id,
        "task": trial.task,
        "seed": trial.seed,
        "recipe": trial.recipe.name,
        "recipe_id": trial.recipe.id,
        "recipe_json": trial.recipe.json_text,
        "executed": json.dumps(trial.recipe.executed) if trial.recipe.executed else None,
        "precision": trial.recipe.precision,
        "metric": trial.metric,
        "method": trial.recipe.method,
        "params": params,
        "macs": macs,
        "plugins": _plugins(trial),
        **provenance.build(),
    }


def _plugins(trial: Trial) -> str | None:
    """The parts of a trial that come from plug-ins, with their distributions; None if there are none."""
    parts = (spaces.registry(), trial.space), (datasets.registry(), trial.dataset), (tasks.registry(), trial.task)
    found = [f"{registry.kind} {name}: {source}" for registry, name in parts if (source := registry.source(name))]
    return "; ".join(found) or None
