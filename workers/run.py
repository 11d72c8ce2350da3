"""Run one trial with any method, from the first epoch or from a checkpoint, and return its row."""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import spaces
from workers import datasets, loop, malloc, memory, methods, paths, provenance, ranks, score_table, tasks, weights
from workers.cuda_graphs import Graphs, Recorder, on
from workers.data.agreement import check_left_out_images
from workers.group import Group
from workers.methods._method import Run, Setting
from workers.network import cost
from workers.recipes import OfTable
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
    group: Group | None = None,
    base: Callable[[], weights.Weights] | None = None,
) -> Setting:
    """The input of the trial's method.  The images are prepared when the method asks for them, and are checked against
    the trial's `dataset_id`; the weights of its base are read by `base`."""

    def open_data() -> datasets.Arrays | datasets.LargeDataset:
        data = datasets.prepare(trial.own or trial.dataset, data_root, cache_dir, expect=trial.dataset_id, recent=True)
        if run_url is not None:
            check_left_out_images(run_url, data)
        return images_of(trial, data)

    return Setting(trial, open_data, device, record, cpus, group, base)


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
    devices: Sequence[str] | None = None,
    weights_url: str | None = None,
    base_url: str | None = None,
) -> dict[str, Any]:
    """Run a trial and return its row (`workers.row.SCHEMA`, as a dict).

    The scores of trainings are fractions in [0, 1]; those of other methods may be any finite numbers, or NaN.

    With `checkpoint_url` (a path or any fsspec URL), the state is saved between epochs and between steps, at most every
    `checkpoint_every_s` seconds, and a killed run resumes from it.  On the CPU the row of a resumed run is identical to
    that of an uninterrupted one, bit for bit, except for times.  `stop` is called between steps, at most once per
    second; when it returns true, the state is saved if possible and Interrupted is raised.  A diverged training gives a
    row with `diverged=True`.  Any other failure raises its exception.

    `on_epoch` is called after every epoch with `training_iteration` (from 1), `train_loss`, `test_score`, `seconds`.

    With `weights_url` (a path or any fsspec URL), the final weights are written there, atomically, before this returns;
    `NotPublished`, an OSError, if that fails.  A trial with a `base` needs `base_url`, the place where the weights of
    that trial were written: FileNotFoundError if there are none, ValueError if they are damaged, those of another
    trial, or of a network that does not fit.

    `run_url` is the folder of the run.  It records which damaged images are left out, so that all machines leave out
    the same ones.

    On a CUDA device, steps are captured and replayed as CUDA graphs.  If that is impossible or disabled
    (`cuda_graphs=False`), steps run eagerly; the row's `step_mode` states which.  Large images are decoded by at most
    `cpus` threads (default: the cores that this process may use, or OMP_NUM_THREADS if it is set).

    `devices` names several devices of this machine, in place of `device`: one process is started for each, and they
    train the network together on equal parts of every batch (`workers/ranks.py`).  The row is that of one device up to
    rounding.  ValueError for other methods than `train`, and for a batch that cannot be divided.

    Network, graphs and copies of the images are released before this returns.  On the CPU, glibc's malloc is set to
    keep the memory of freed tensors, permanently and for the whole process (workers/malloc.py).
    """
    for url in filter(None, (checkpoint_url, weights_url, base_url)):
        paths.place(url)  # an invalid URL fails now, not after the first epoch
    if weights_url is not None and not trial.recipe.keeps_weights:
        raise ValueError(f"the method {trial.recipe.method!r} ends without weights, so none can be written")
    if trial.dataset_id is None:
        trial = trial.model_copy(
            update={"dataset_id": datasets.identify(trial.own or trial.dataset, data_root, cache_dir)}
        )
    if isinstance(trial.recipe, OfTable) and trial.recipe.needs_table and trial.recipe.content is None:
        trial = trial.model_copy(update={"recipe": _read_table(trial, trial.recipe)})
    options: dict[str, Any] = {
        "data_root": data_root,
        "cache_dir": cache_dir,
        "checkpoint_url": checkpoint_url,
        "checkpoint_every_s": checkpoint_every_s,
        "run_url": run_url,
        "cpus": cpus,
        "weights_url": weights_url,
        "base_url": base_url,
    }
    if devices is not None and len(devices) > 1:
        # Prepared once, before several processes look for it.
        datasets.prepare(trial.own or trial.dataset, data_root, cache_dir, expect=trial.dataset_id, recent=True)
        return ranks.run(trial, devices, options, stop, on_epoch)
    where = devices[0] if devices else device
    return run_part(trial, where, None, stop=stop, on_epoch=on_epoch, cuda_graphs=cuda_graphs, **options)


def run_part(
    trial: Trial,
    device: str,
    group: Group | None,
    *,
    data_root: str | Path | None = None,
    cache_dir: str | Path | None = None,
    checkpoint_url: str | None = None,
    checkpoint_every_s: float = 60.0,
    run_url: str | None = None,
    cpus: int | None = None,
    weights_url: str | None = None,
    base_url: str | None = None,
    stop: Callable[[], bool] | None = None,
    on_epoch: loop.OnEpoch | None = None,
    cuda_graphs: bool = True,
) -> dict[str, Any]:
    """`run` in this process, as one of a group of processes or (None) alone.  The trial has its dataset_id.

    In a group, all processes resume from the checkpoint, and the first one saves it and the weights.
    """
    began, clock = datetime.now(UTC), time.perf_counter()
    where = torch.device(device)
    base = None
    if trial.base is not None:
        base = _base(trial, base_url)
        trial = weights.bound(trial, base.trial)
        weights.check(trial, base.trial)
    threads = torch.get_num_threads()
    if where.type == "cpu":
        torch.set_num_threads(trial.recipe.threads)
        malloc.reuse_freed_memory()
    memory.make_first_optimizer()
    work = None
    try:
        with on(where):
            provenance.forget_peak_memory(where)
            record = Graphs() if cuda_graphs and where.type == "cuda" and group is None else None
            method = methods.get(trial.recipe.method)
            given = None if base is None else (lambda found=base: found)
            work = method.start(setting(trial, where, data_root, cache_dir, record, run_url, cpus, group, given))
            progress = loop.resume(work, trial, checkpoint_url, where)
            resumed = progress.epochs
            if group is not None:
                _check_alike(group, work, progress, where)
                checkpoint_url = checkpoint_url if group.rank == 0 else None
            loop.drive(work, trial, progress, checkpoint_url, checkpoint_every_s, stop, on_epoch)
            peak, reserved = provenance.peak_memory(where), provenance.peak_reserved(where)
            found = work.columns()
            if weights_url is not None and (group is None or group.rank == 0):
                weights.publish(weights_url, trial, work.weights() or {})
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
        "gpu_share": 0.0 if where.type == "cpu" else 1.0 if group is None else float(group.world),
        "started_at": began,
        "finished_at": datetime.now(UTC),
        "wall_s": time.perf_counter() - clock,
    }


def _check_alike(group: Group, work: Run, progress: loop.Progress, device: torch.device) -> None:
    """RuntimeError unless all processes begin with the same state: one of them may not have read the checkpoint."""
    state = work.state()
    total = sum(value.double().sum().item() for value in state["net"].values())
    place = progress.epochs, state.get("within", {}).get("done", 0), total
    if not group.agree(torch.tensor(place, dtype=torch.float64, device=device)):
        raise RuntimeError("the processes of this training did not resume from the same checkpoint")


def _base(trial: Trial, url: str | None) -> weights.Weights:
    """The weights of a trial's base."""
    if url is None:
        raise ValueError(f"the trial uses the weights of trial {trial.base}: expected `base_url`, where they are")
    return weights.load(url, str(trial.base))


def _read_table(trial: Trial, recipe: OfTable) -> OfTable:
    """The recipe with the content that its table has now."""
    if recipe.table is None:
        raise ValueError(f'recipe {recipe.name} needs a table: override = {{ table = "runs/..." }}')
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
        "base": trial.base,
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
