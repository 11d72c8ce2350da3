"""Generated runs for the tests of analysis: rows as workers publish them, and run folders."""

import datetime as dt
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.rows.schema import PLAN, SCHEMA

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LEVELS = {"cls": (0.92, 0.02), "rot": (0.93, 0.015), "col": (0.305, 0.001), "jig": (0.75, 0.03)}


def row(**known: Any) -> dict[str, Any]:
    """One successful attempt; what is given replaces the ordinary."""
    line: dict[str, Any] = {
        "launch": "a1",
        "attempt": 1,
        "status": "ok",
        "space": "darts",
        "arch": "a",
        "dataset": "cifar10",
        "task": "cls",
        "seed": 1,
        "recipe": "unnas",
        "metric": "top1",
        "score_best": 0.9,
        "epochs": 2,
        "best_epoch": 2,
        "diverged": False,
        "curve_train_loss": [2.0, 1.0],
        "curve_test_score": [0.5, 0.9],
        "curve_seconds": [1.0, 1.0],
        "params": 1000,
        "macs": 10_000,
        "train_s": 36.0,
        "wall_s": 40.0,
        "device": "cpu",
        "gpu_share": 0.0,
        "host": "node-1",
        "started_at": START,
        "finished_at": START + dt.timedelta(seconds=40),
        "project_version": "0.1.0",
        "git_revision": "0123456789abcdef",
        "git_dirty": False,
        "torch_version": "2.15.0",
        "python_version": "3.11.9",
        "precision": "fp32",
        "resumed": 0,
        "recipe_json": json.dumps({"epochs": 2}),
    } | known
    line.setdefault("score_final", line["score_best"])
    line.setdefault("arch_id", f"id-{line['arch']}")
    line.setdefault("dataset_id", f"{line['dataset']}-0123456789abcdef")
    line.setdefault("recipe_id", f"{line['recipe']}-{line['space']}-{line['task']}")
    question = (
        line["space"],
        line["arch"],
        line["dataset_id"],
        line["task"],
        line["seed"],
        line["recipe_id"],
    )
    line.setdefault("trial_id", "/".join(map(str, question)))
    return line


def failed(**known: Any) -> dict[str, Any]:
    """One failed attempt."""
    nothing = dict.fromkeys(("score_best", "best_epoch", "epochs", "curve_train_loss", "curve_test_score"))
    why = {
        "status": "failed",
        "error_class": "RuntimeError",
        "error_text": "out of memory",
        "traceback": "...",
    }
    return row(**(nothing | why | known))


def population(
    n: int,
    *,
    spaces: Sequence[str] = ("darts",),
    datasets: Sequence[str] = ("cifar10",),
    tasks: Sequence[str] = ("cls", "rot", "col", "jig"),
    seeds: Sequence[int] = (1,),
    agreement: float = 0.9,
    rng: int = 0,
) -> list[dict[str, Any]]:
    """n architectures per space whose scores share a hidden quality; `agreement` 1 means nothing else."""
    draw = np.random.default_rng(rng)
    rows = []
    for space in spaces:
        quality = -draw.gamma(2.0, 0.7, n) + 1.4
        for dataset, task, seed in itertools.product(datasets, tasks, seeds):
            middle, spread = LEVELS.get(task, (0.6, 0.05))
            noise = draw.normal(size=n)
            scores = middle + spread * (agreement * quality + np.sqrt(1 - agreement**2) * noise)
            rows += [
                row(
                    space=space,
                    arch=f"{space}{k:04d}",
                    dataset=dataset,
                    task=task,
                    seed=seed,
                    score_best=float(s),
                )
                for k, s in enumerate(scores)
            ]
    for k, line in enumerate(rows):
        line["finished_at"] = START + dt.timedelta(seconds=40 + k)
    return rows


def table(rows: Iterable[dict[str, Any]], schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema)


def write_plan(folder: Path, rows: Iterable[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    unique = {line["trial_id"]: line for line in rows}
    pq.write_table(table(unique.values(), PLAN), folder / "plan.parquet")


def write_part(folder: Path, rows: Iterable[dict[str, Any]], name: str = "part-000") -> None:
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    pq.write_table(table(rows), folder / "rows" / f"{name}.parquet")


def write_attempts(folder: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Each row in a file of its own, in place at once."""
    (folder / "attempts").mkdir(parents=True, exist_ok=True)
    for line in rows:
        name = f"{line['trial_id'].replace('/', '-')}.{line['launch']}.{line['attempt']}"
        hidden = folder / "attempts" / f"_{name}.tmp"
        pq.write_table(table([line]), hidden)
        hidden.rename(folder / "attempts" / f"{name}.parquet")


def write_run(folder: Path, rows: Sequence[dict[str, Any]], name: str | None = None) -> Path:
    """A finished run: study, plan and one part."""
    write_plan(folder, rows)
    write_part(folder, rows)
    (folder / "study.toml").write_text(f'name = "{name or folder.name}"\n')
    return folder
