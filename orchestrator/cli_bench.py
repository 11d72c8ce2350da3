"""The verb bench: how fast this machine makes batches, trains and sweeps, side by side with a plain implementation."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.terminal import Terminal

TASKS = ("cls", "rot", "col", "jig")
QUANTILES = ("p10", "median", "p90")
# (what the table calls it, key of a cell, how it is written)
Column = tuple[str, str, str]
_RATIO: list[Column] = [
    ("ours im/s", "ours_images_per_s", ",.0f"),
    ("plain im/s", "baseline_images_per_s", ",.0f"),
    ("ratio", "ratio", ".2f"),
]
_DATA: list[Column] = [("task", "task", ""), ("batch", "batch", ""), *_RATIO]
_STEP: list[Column] = [
    ("space", "space", ""),
    ("task", "task", ""),
    ("MACs", "quantile", ""),
    *((name.replace("plain", "other"), key, ".1f" if "im/s" in name else form) for name, key, form in _RATIO),
]


def add_to(app: typer.Typer, out: Console) -> None:
    """Add the verb to the command line."""

    @app.command(rich_help_panel="Catalogue")
    def bench(
        what: Annotated[
            Literal["data", "step", "sweep"],
            typer.Argument(help="the data path, the training step, or trials through Ray"),
        ],
        task: Annotated[list[str] | None, typer.Option(help="only this task (may be given often)")] = None,
        space: Annotated[list[str] | None, typer.Option(help="step: only this space (may be given often)")] = None,
        size: Annotated[
            list[str] | None, typer.Option(help="step: only p10, median or p90 of the MACs (may be given often)")
        ] = None,
        rounds: Annotated[int, typer.Option(min=1, help="how often both sides take turns")] = 5,
        device: Annotated[str, typer.Option(help="cpu, or cuda")] = "cpu",
        file: Annotated[Path | None, typer.Option("--json", help="also write every reading here")] = None,
        smoke: Annotated[bool, typer.Option("--smoke", help="tiny networks, seconds: is everything there?")] = False,
    ) -> None:
        """Measure speed against a plain implementation."""
        if what == "data" and find_spec("sklearn") is None:
            raise ValueError("bench data compares with scikit-learn, which is not installed: install archsweep[bench]")
        from workers.bench import GateFailed

        chosen = _chosen("task", task, TASKS), _chosen("space", space, None), _chosen("size", size, QUANTILES)
        progress = Terminal(stderr=True)
        try:
            with progress.status("") as status:
                if what == "sweep":
                    found = _sweep(rounds, smoke, status.update)
                else:
                    found = _measure(what, chosen, rounds, device, smoke, status.update)
        except GateFailed as failure:
            progress.print(f"no ratio: {failure}", style="red", soft_wrap=True)
            raise typer.Exit(1) from None
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(found, indent=1) + "\n")
        (_show_sweep if what == "sweep" else _show)(found, out)


def _chosen(option: str, given: list[str] | None, known: tuple[str, ...] | None) -> list[str]:
    """What was asked for, in the order of what there is; all of it where nothing was."""
    if known is None:
        from workers.bench.step import SPACES

        known = SPACES
    if strange := sorted(set(given or []) - set(known)):
        raise LookupError(f"--{option} {', '.join(strange)}: bench knows {', '.join(known)}")
    return [name for name in known if not given or name in given]


def _measure(
    what: str, chosen: tuple[list[str], list[str], list[str]], rounds: int, device: str, smoke: bool, note: Any
) -> dict[str, Any]:
    """Run one bench with one torch thread."""
    import torch

    from workers.bench import data, step

    where = torch.device(device)
    if where.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if what == "data":
            return data.run(chosen[0], rounds, where, note, small=smoke)
        return step.run(*chosen, rounds, where, note, small=smoke)
    finally:
        torch.set_num_threads(threads)


def _sweep(rounds: int, smoke: bool, note: Any) -> dict[str, Any]:
    """Run the sweep bench on every core, or for seconds on one."""
    import os

    from orchestrator import bench_sweep

    if smoke:
        return bench_sweep.run(1, 1, 1, note, epochs=1)
    return bench_sweep.run(rounds, len(os.sched_getaffinity(0)), 6, note)


def _show_sweep(found: dict[str, Any], out: Console) -> None:
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


def _show(found: dict[str, Any], out: Console) -> None:
    """The table, at most 80 columns wide, and what it was measured with."""
    step = found["bench"] == "step"
    columns = _STEP if step else _DATA
    view = Table(box=None, pad_edge=False)
    for place, (name, _, _) in enumerate(columns):
        view.add_column(name, justify="left" if place < (3 if step else 1) else "right", no_wrap=True)
    view.add_column("min..max", justify="right", no_wrap=True)
    if step:
        view.add_column("ceiling", justify="right", no_wrap=True)
    for cell in found["cells"]:
        values = [format(cell[key], form) for _, key, form in columns]
        values.append(f"{cell['ratio_min']:.2f}..{cell['ratio_max']:.2f}")
        if step:
            # An asterisk marks the lines whose other side is not the plain network.
            values[0] += "*" * (cell["baseline"] != "plain")
            values.append(f"{cell['ours_share']:.0%}")
        view.add_row(*values)
    out.print(view)
    here = found["conditions"]
    out.print(
        f"{here['device']}, {here['threads']} thread, torch {here['torch']}, load {here['load'][0]}; "
        f"median of {found['cells'][0]['rounds']} rounds in turns"
    )
    if any(cell.get("baseline") == "nasbench_pytorch" for cell in found["cells"]):
        out.print("* against nasbench_pytorch's own network and trainer")
    if step:
        out.print("ceiling: share of a large dense convolution's speed, measured between the rounds")
