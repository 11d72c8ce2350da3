"""`bench fidelity`: whether rankings agree between precisions as well as they agree between seeds.

It trains the same architectures in two or more precisions with the same seeds, as an ordinary study.
"""

import math
from collections.abc import Sequence
from typing import Any, get_args

import pandas as pd
import torch
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

import analysis
from orchestrator import runner
from orchestrator.study.schema import Study, Sweep, explain
from orchestrator.study.schema_parts import Execution
from workers.bench.timing import conditions
from workers.recipes import Precision
from workers.training.steps import arithmetic

_SMALL = {"epochs": 1, "width": 2, "depth": 1, "precise_bn": 64}
_COMPARED = {
    "seeds": "two seeds of {x}",
    "other_seeds": "{x} and {y}, other seeds",
    "same_seed": "{x} and {y}, same seed *",
    "seed_means": "{x} and {y}, means over seeds",
}


class Unfinished(Exception):
    """Trials failed or were stopped, so the comparison is not possible yet."""

    def __init__(self, ended: runner.Summary) -> None:
        super().__init__(f"{ended.done} of {ended.total} trials succeeded; a ranking without the others is meaningless")
        self.exit_code = ended.exit_code


def study(
    path: str,
    modes: Sequence[str],
    *,
    space: str,
    task: str,
    dataset: str,
    data_root: str | None,
    recipe: str,
    epochs: int | None,
    archs: int,
    seeds: int,
    device: torch.device,
    small: bool = False,
) -> Study:
    """The study: one sweep per mode, which differ only in the precision.

    Raises LookupError or ValueError if a mode is unknown, named twice, or not supported by the device.
    """
    if unknown := sorted(set(modes) - set(get_args(Precision))):
        raise LookupError(f"--modes {', '.join(unknown)}: bench knows {', '.join(get_args(Precision))}")
    if len(set(modes)) < max(2, len(modes)):
        raise ValueError(f"--modes {','.join(modes)}: give two or more different ones, e.g. fp32,bf16")
    changes = (_SMALL if small else {}) | ({} if epochs is None else {"epochs": epochs})
    sweep = {
        "space": space,
        "architectures": {"sample": archs, "seed": 0},
        "dataset": dataset,
        "tasks": [task],
        "seeds": list(range(1, seeds + 1)),
        "recipe": recipe,
    }
    try:
        sweeps = tuple(Sweep.model_validate(sweep | {"override": changes | {"precision": mode}}) for mode in modes)
    except ValidationError as error:
        raise ValueError(f"bench fidelity:\n{explain(error)}") from None
    for one in sweeps:
        arithmetic(one.resolved(task), device)  # raises for a mode that the device does not support
    execution = Execution(engine="inline", gpus_per_trial=float(device.type == "cuda"))
    return Study(name="fidelity", path=path, data_root=data_root, sweeps=sweeps, execution=execution)


def run(chosen: Study, device: torch.device, watch: runner.Watch) -> dict[str, Any]:
    """Train missing trials and compare, as JSON-compatible data; Unfinished if trials failed or were stopped."""
    before = conditions(device)
    ended = runner.run(chosen, watch=watch)
    if ended.done < ended.total:
        raise Unfinished(ended)
    rows = analysis.load(chosen.path)
    modes = [str(sweep.override["precision"]) for sweep in chosen.sweeps]
    seconds = rows[rows["status"] == "ok"].groupby("precision")["train_s"].median()
    found = analysis.fidelity(rows, modes)
    scores = found.scores.assign(train_s=found.scores["mode"].map(seconds))
    return {
        "bench": "fidelity",
        "conditions": before,
        "load_after": conditions(device)["load"],
        **{key: _only(rows, key) for key in ("space", "dataset_id", "task", "recipe", "epochs", "metric")},
        "trained_on": sorted(rows["device"].dropna().unique()),
        "trained_with": sorted(rows["torch_version"].dropna().unique()),
        "modes": list(found.modes),
        "seeds": list(found.seeds),
        "n": found.n,
        "n_dropped": found.n_dropped,
        "confidence": found.confidence,
        "resamples": found.resamples,
        "agreement": _records(found.agreement),
        "scores": _records(scores),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts for JSON; None if there is no finite number."""
    return [
        {
            str(name): None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]


def _only(rows: Any, column: str) -> Any:
    """The common value of all rows; for epochs, that of trainings that did not diverge."""
    value = rows[column].max()
    return int(value) if column == "epochs" else str(value)


def show(found: dict[str, Any], out: Console) -> None:
    """Print two tables, at most 80 columns wide, and the conclusion."""
    view = Table(box=None, pad_edge=False)
    view.add_column(f"agreement of rankings, n = {found['n']}", no_wrap=True)
    for name in ("pairs", f"rho [{found['confidence']:.0%} interval]"):
        view.add_column(name, justify="right", no_wrap=True)
    for line in found["agreement"]:
        what = _COMPARED[line["comparison"]].format(**line)
        view.add_row(what, str(line["pairs"]), _interval(line))
    out.print(view)
    out.print()
    view = Table(box=None, pad_edge=False)
    view.add_column("score", no_wrap=True)
    for name in ("mean", "sd archs", "sd seeds", f"less {found['modes'][0]}", "sd archs", "diverged", "s per trial"):
        view.add_column(name, justify="right", no_wrap=True)
    for line in found["scores"]:
        numbers = [_fraction(line[key]) for key in ("mean", "std", "seed_std", "difference", "difference_std")]
        view.add_row(line["mode"], *numbers, str(line["diverged"]), f"{line['train_s']:.1f}")
    out.print(view)
    out.print()
    first = found["agreement"][0]
    for line in found["agreement"]:
        if line["comparison"] == "other_seeds":
            out.print(f"between modes {_interval(line)}")
            out.print(f"between seeds of {first['x']} {_interval(first)}")
            out.print(f"difference {_interval(line, 'gap')}")
            out.print(verdict(first, line), style="bold")
            out.print()
    out.print(
        f"{found['space']}, {found['task']} on {found['dataset_id']}, recipe {found['recipe']}, "
        f"epochs {found['epochs']}, seeds {len(found['seeds'])}"
    )
    with_what = f"torch {', '.join(found['trained_with'])}, load {found['conditions']['load'][0]}"
    out.print(f"{', '.join(found['trained_on'])}, {with_what}")
    out.print("* initial weights and batches are the same too; those of two seeds are not")


def verdict(seeds: dict[str, Any], modes: dict[str, Any]) -> str:
    """The conclusion from the agreement between modes and the agreement between seeds of the first mode."""
    if seeds["rho_low"] is None or modes["gap_low"] is None:
        return "too few architectures for a conclusion"
    if seeds["rho_low"] <= 0:
        return "no conclusion possible, two seeds hardly agree; train longer or more architectures"
    if modes["gap_high"] < 0:
        return f"{modes['y']} does not rank as {modes['x']} does"
    if modes["gap"] < 0:
        return f"{modes['y']} may rank a little worse; these seeds cannot decide it"
    return f"{modes['y']} ranks as {modes['x']} does, within the noise of the seeds"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _interval(line: dict[str, Any], name: str = "rho") -> str:
    """A value with its interval."""
    value, low, high = (line[f"{name}{end}"] for end in ("", "_low", "_high"))
    if low is None or high is None:
        return _signed(value)
    return f"{_signed(value)} [{low:+.2f} .. {high:+.2f}]"


def _fraction(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
