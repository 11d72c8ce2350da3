"""The verb bench: how fast this machine makes batches, trains and sweeps, side by side with a plain implementation,
and whether a fast mode still ranks architectures alike.
"""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.terminal import Terminal

TASKS = ("cls", "rot", "col", "jig")
QUANTILES = ("p10", "median", "p90")
Note = Callable[[str], None]
# (what the table calls it, key of a cell, how it is written)
Column = tuple[str, str, str]
_RATIO: list[Column] = [
    ("ours im/s", "ours_images_per_s", ",.0f"),
    ("plain im/s", "baseline_images_per_s", ",.0f"),
    ("ratio", "ratio", ".2f"),
]
_DATA: list[Column] = [("task", "task", ""), ("batch", "batch", ""), ("workers", "workers", ""), *_RATIO]
_STEP: list[Column] = [
    ("space", "space", ""),
    ("task", "task", ""),
    ("MACs", "quantile", ""),
    *((name.replace("plain", "other"), key, ".1f" if "im/s" in name else form) for name, key, form in _RATIO),
]

File = Annotated[Path | None, typer.Option("--json", help="also write every reading here")]
Smoke = Annotated[bool, typer.Option("--smoke", help="tiny networks, seconds: is everything there?")]
Task = Annotated[list[str] | None, typer.Option(help="only this task (may be given often)")]
Rounds = Annotated[int, typer.Option(min=1, help="how often both sides take turns")]
Device = Annotated[str, typer.Option(help="cpu, or cuda")]


def add_to(app: typer.Typer, out: Console) -> None:
    """Add the verb to the command line: a command for each kind of bench."""
    bench = typer.Typer(no_args_is_help=True)
    app.add_typer(
        bench,
        name="bench",
        help="Measure speed against a plain implementation, or fast modes.",
        rich_help_panel="Catalogue",
    )

    @bench.command()
    def data(
        task: Task = None,
        workers: Annotated[
            int, typer.Option(min=0, help="also against a DataLoader with so many worker processes, on the clock")
        ] = 0,
        rounds: Rounds = 5,
        device: Device = "cpu",
        file: File = None,
        smoke: Smoke = False,
    ) -> None:
        """The data path: batches a second, against images made one by one."""
        if find_spec("sklearn") is None:
            raise ValueError("bench data compares with scikit-learn, which is not installed: install archsweep[bench]")
        chosen = _chosen("task", task, TASKS)

        def measure(note: Note) -> dict[str, Any]:
            from workers.bench import data

            return data.run(chosen, rounds, _device(device), note, workers=workers, small=smoke)

        _show(_measured(measure, file), out)

    @bench.command()
    def step(
        task: Task = None,
        space: Annotated[list[str] | None, typer.Option(help="only this space (may be given often)")] = None,
        size: Annotated[
            list[str] | None, typer.Option(help="only p10, median or p90 of the MACs (may be given often)")
        ] = None,
        rounds: Rounds = 5,
        device: Device = "cpu",
        file: File = None,
        smoke: Smoke = False,
    ) -> None:
        """The training step: images a second, against plain modules and loops."""
        from workers.bench.step import SPACES

        chosen = _chosen("task", task, TASKS), _chosen("space", space, SPACES), _chosen("size", size, QUANTILES)

        def measure(note: Note) -> dict[str, Any]:
            from workers.bench import step

            return step.run(*chosen, rounds, _device(device), note, small=smoke)

        _show(_measured(measure, file), out)

    @bench.command()
    def packing(
        task: Task = None,
        space: Annotated[list[str] | None, typer.Option(help="only this space (may be given often)")] = None,
        size: Annotated[
            list[str] | None, typer.Option(help="only p10, median or p90 of the MACs (may be given often)")
        ] = None,
        way: Annotated[
            list[str] | None, typer.Option(help="only eager, processes, mps or streams (may be given often)")
        ] = None,
        at_once: Annotated[str, typer.Option(help="how many trainings at a time")] = "1,2,4,8",
        seconds: Annotated[float, typer.Option(min=0.1, help="of each reading")] = 5.0,
        device: Device = "cuda",
        file: File = None,
        smoke: Smoke = False,
    ) -> None:
        """Several trainings side by side on one device: which way, and how many?"""
        from workers.bench.packing import WAYS
        from workers.bench.step import SPACES

        chosen = _chosen("task", task, TASKS), _chosen("space", space, SPACES), _chosen("size", size, QUANTILES)
        where = _device(device)
        known = WAYS if where.type == "cuda" else ("eager", "processes")  # a CPU has neither streams nor the service
        ways, counts = _chosen("way", way, known), _counts(at_once)

        def measure(note: Note) -> dict[str, Any]:
            from workers.bench import packing

            return packing.run(*chosen, ways, counts, where, note, seconds, small=smoke)

        _show_packing(_measured(measure, file), out)

    @bench.command()
    def sweep(rounds: Rounds = 5, file: File = None, smoke: Smoke = False) -> None:
        """Trials through Ray, against bare processes that train the same ones."""
        from orchestrator import bench_sweep

        bench_sweep.show(_measured(lambda note: bench_sweep.on_this_machine(rounds, note, small=smoke), file), out)

    @bench.command()
    def fidelity(
        modes: Annotated[str, typer.Option(help="precisions; the first is the one to be replaced")] = "fp32,bf16",
        space: Annotated[str, typer.Option(help="whose architectures")] = "nasbench101",
        task: Annotated[str, typer.Option(help="what they are trained for")] = "cls",
        dataset: Annotated[str, typer.Option(help="what they are trained on")] = "photos",
        data_root: Annotated[str | None, typer.Option(help="the folder that holds the dataset")] = None,
        recipe: Annotated[str, typer.Option(help="how they are trained")] = "demo",
        epochs: Annotated[int | None, typer.Option(min=1, help="instead of the recipe's")] = None,
        archs: Annotated[int, typer.Option(min=3, help="number of architectures")] = 16,
        seeds: Annotated[int, typer.Option(min=2, help="number of seeds")] = 2,
        into: Annotated[str | None, typer.Option(metavar="RUN", help="keep the rows there, and resume")] = None,
        device: Device = "cpu",
        file: File = None,
        smoke: Smoke = False,
    ) -> None:
        """Rankings of fast modes against those of seeds: dozens of trainings."""
        from orchestrator import bench_fidelity, progress

        messages = Terminal(stderr=True)
        where = _device(device)
        with TemporaryDirectory(prefix="archsweep-bench-") as folder:
            chosen = bench_fidelity.study(
                into or f"{folder}/run",
                modes.split(","),
                space=space,
                task=task,
                dataset=dataset,
                data_root=data_root,
                recipe=recipe,
                epochs=epochs,
                archs=archs,
                seeds=seeds,
                device=where,
                small=smoke,
            )
            try:
                found = bench_fidelity.run(chosen, where, lambda work: progress.watch(work, messages))
            except bench_fidelity.Unfinished as unfinished:
                messages.print(str(unfinished), style="red", soft_wrap=True)
                raise typer.Exit(unfinished.exit_code) from None
        _write(found, file)
        bench_fidelity.show(found, out)


def _chosen(option: str, given: list[str] | None, known: tuple[str, ...]) -> list[str]:
    """What was asked for, in the order of what there is; all of it where nothing was."""
    if strange := sorted(set(given or []) - set(known)):
        raise LookupError(f"--{option} {', '.join(strange)}: bench knows {', '.join(known)}")
    return [name for name in known if not given or name in given]


def _counts(text: str) -> list[int]:
    """Numbers of trainings at a time, as `1,2,4`."""
    try:
        counts = [int(word) for word in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise ValueError(f"--at-once {text!r}; right are numbers from 1 on with commas between, as 1,2,4")
    return counts


def _device(name: str) -> Any:
    """The torch device of that name; ValueError where there is none."""
    import torch

    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"--device {name}: give cpu or cuda")
    where = torch.device(name)
    if where.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here")
    return where


def _measured(measure: Callable[[Note], dict[str, Any]], file: Path | None) -> dict[str, Any]:
    """What a bench found with one torch thread, also written to the file; exit 1 where the two sides differ."""
    import torch

    from workers.bench import GateFailed

    progress = Terminal(stderr=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with progress.status("") as status:
            found = measure(status.update)
    except GateFailed as failure:
        progress.print(f"no ratio: {failure}", style="red", soft_wrap=True)
        raise typer.Exit(1) from None
    finally:
        torch.set_num_threads(threads)
    _write(found, file)
    return found


def _write(found: dict[str, Any], file: Path | None) -> None:
    """Keep what was found, where a file was named."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")


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
    if any(cell.get("workers") for cell in found["cells"]):
        out.print("with workers: seconds on the clock; ours makes its batches in one process")
    if any(cell.get("baseline") == "nasbench_pytorch" for cell in found["cells"]):
        out.print("* against nasbench_pytorch's own network and trainer")
    if step:
        out.print("ceiling: share of a large dense convolution's speed, measured between the rounds")


def _show_packing(found: dict[str, Any], out: Console) -> None:
    """Steps a second of all trainings together, a line each; then the hours of a study."""
    view = Table(box=None, pad_edge=False)
    for place, name in enumerate(("space", "task", "MACs", "way", "at once", "steps/s", "x eager", "GB each")):
        view.add_column(name, justify="left" if place < 4 else "right", no_wrap=True)
    eager = {
        (line["space"], line["task"], line["quantile"]): line["steps_per_s"]
        for line in found["lines"]
        if line["way"] == "eager" and "error" not in line
    }
    for line in found["lines"]:
        cell = (line["space"], line["task"], line["quantile"])
        if "error" in line:
            view.add_row(*cell, line["way"], str(line["k"]), "-", "-", "-")
            continue
        ratio = f"{line['steps_per_s'] / eager[cell]:.2f}" if cell in eager else ""
        figures = f"{line['steps_per_s']:.2f}", ratio, f"{line['peak_mem_bytes'] / 1e9:.2f}"
        view.add_row(*cell, line["way"], str(line["k"]), *figures)
    out.print(view)
    for problem in sorted({f"{line['way']}: {line['error']}" for line in found["lines"] if "error" in line}):
        out.print(f"- {problem}")
    if found["study"]:
        hours = Table(box=None, pad_edge=False, title="device hours of 500 architectures, 100 epochs of CIFAR-10")
        for place, name in enumerate(("space", "task", "way", "at once", "hours")):
            hours.add_column(name, justify="left" if place < 3 else "right", no_wrap=True)
        for line in found["study"]:
            hours.add_row(line["space"], line["task"], line["way"], str(line["k"]), f"{line['hours']:,.1f}")
        out.print(hours)
    here = found["conditions"]
    out.print(f"{here['device']}, torch {here['torch']}, {found['seconds']:g} s a reading, one reading each")
