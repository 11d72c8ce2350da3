"""The commands of `archsweep bench`: speed of batches, training and sweeps compared with a plain implementation, and
whether fast modes keep the ranking of architectures.
"""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console

from orchestrator.bench import tables
from orchestrator.terminal import Terminal, has_unicode

TASKS = ("cls", "rot", "col", "jig")
QUANTILES = ("p10", "median", "p90")
Note = Callable[[str], None]
File = Annotated[Path | None, typer.Option("--json", help="also write all measurements to this file")]
Smoke = Annotated[bool, typer.Option("--smoke", help="tiny networks, some seconds: checks that everything works")]
Task = Annotated[list[str] | None, typer.Option(help="only this task (may be repeated)")]
Rounds = Annotated[int, typer.Option(min=1, help="rounds of measurements, both sides in turns")]
Device = Annotated[str, typer.Option(help="cpu, or cuda")]


def add_to(app: typer.Typer, out: Console) -> None:
    """Add the group `bench` to the command line, with a command for each benchmark."""
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
            int,
            typer.Option(
                min=0, help="also compare with a DataLoader with this many worker processes, in wall-clock time"
            ),
        ] = 0,
        rounds: Rounds = 5,
        device: Device = "cpu",
        file: File = None,
        smoke: Smoke = False,
    ) -> None:
        """Data path: batches per second, compared with images made one by one."""
        chosen = _chosen("task", task, TASKS)

        def measure(note: Note) -> dict[str, Any]:
            from workers.bench import data

            return data.run(chosen, rounds, _device(device), note, workers=workers, small=smoke)

        tables.sides(_measured(measure, file), out)

    @bench.command()
    def modes(
        data_root: Annotated[Path, typer.Option(help="a folder in ImageNet's layout, or one that holds imagenet/")],
        task: Task = None,
        rounds: Rounds = 5,
        file: File = None,
    ) -> None:
        """ImageNet's mode array compared with mode exact: images per second of one thread."""
        chosen = _chosen("task", task, TASKS)

        def measure(note: Note) -> dict[str, Any]:
            from workers.bench import modes

            with TemporaryDirectory(prefix="archsweep-bench-") as cache:
                return modes.run(chosen, data_root, Path(cache), rounds, note)

        tables.sides(_measured(measure, file), out)

    @bench.command()
    def step(
        task: Task = None,
        space: Annotated[list[str] | None, typer.Option(help="only this space (may be repeated)")] = None,
        size: Annotated[
            list[str] | None, typer.Option(help="only p10, median or p90 of the MACs (may be repeated)")
        ] = None,
        rounds: Rounds = 5,
        device: Device = "cpu",
        file: File = None,
        smoke: Smoke = False,
    ) -> None:
        """Training step: images per second, compared with plain modules and loops."""
        from workers.bench.step import SPACES

        chosen = _chosen("task", task, TASKS), _chosen("space", space, SPACES), _chosen("size", size, QUANTILES)

        def measure(note: Note) -> dict[str, Any]:
            from workers.bench import step

            return step.run(*chosen, rounds, _device(device), note, small=smoke)

        tables.sides(_measured(measure, file), out)

    @bench.command()
    def packing(
        task: Task = None,
        space: Annotated[list[str] | None, typer.Option(help="only this space (may be repeated)")] = None,
        size: Annotated[
            list[str] | None, typer.Option(help="only p10, median or p90 of the MACs (may be repeated)")
        ] = None,
        way: Annotated[
            list[str] | None, typer.Option(help="only eager, processes, mps or streams (may be repeated)")
        ] = None,
        at_once: Annotated[str, typer.Option(help="numbers of trainings at a time")] = "1,2,4,8",
        seconds: Annotated[float, typer.Option(min=0.1, help="of each measurement")] = 5.0,
        device: Device = "cuda",
        file: File = None,
        smoke: Smoke = False,
    ) -> None:
        """Several trainings at a time on one device: compare ways and numbers."""
        from workers.bench.packing import WAYS
        from workers.bench.step import SPACES

        chosen = _chosen("task", task, TASKS), _chosen("space", space, SPACES), _chosen("size", size, QUANTILES)
        where = _device(device)
        known = WAYS if where.type == "cuda" else ("eager", "processes")  # a CPU has neither streams nor the service
        ways, counts = _chosen("way", way, known), _counts(at_once)

        def measure(note: Note) -> dict[str, Any]:
            from workers.bench import packing

            return packing.run(*chosen, ways, counts, where, note, seconds, small=smoke)

        tables.packing(_measured(measure, file), out)

    @bench.command()
    def sweep(rounds: Rounds = 5, file: File = None, smoke: Smoke = False) -> None:
        """Trials through Ray, compared with bare processes that train the same trials."""
        from orchestrator.bench import sweep as bench_sweep

        bench_sweep.show(_measured(lambda note: bench_sweep.on_this_machine(rounds, note, small=smoke), file), out)

    @bench.command()
    def fidelity(
        modes: Annotated[str, typer.Option(help="precisions; the first is the reference")] = "fp32,bf16",
        space: Annotated[str, typer.Option(help="space of the architectures")] = "nasbench101",
        task: Annotated[str, typer.Option(help="task of the trainings")] = "cls",
        dataset: Annotated[str, typer.Option(help="dataset of the trainings")] = "photos",
        data_root: Annotated[str | None, typer.Option(help="the folder of the dataset")] = None,
        recipe: Annotated[str, typer.Option(help="recipe of the trainings")] = "demo",
        epochs: Annotated[int | None, typer.Option(min=1, help="instead of the recipe's")] = None,
        archs: Annotated[int, typer.Option(min=3, help="number of architectures")] = 16,
        seeds: Annotated[int, typer.Option(min=2, help="number of seeds")] = 2,
        into: Annotated[str | None, typer.Option(metavar="RUN", help="keep the rows there, and resume")] = None,
        device: Device = "cpu",
        file: File = None,
        smoke: Smoke = False,
    ) -> None:
        """Rankings by fast modes compared with rankings by seeds: dozens of trainings."""
        from orchestrator.bench import fidelity as bench_fidelity
        from orchestrator.cli import progress

        messages = Terminal(stderr=True)
        where = _device(device)
        if where.index:
            raise ValueError(
                f"--device {device}: these are trials of a study, which train on the first GPU they see; "
                f"give cuda, and CUDA_VISIBLE_DEVICES={where.index} in the environment"
            )
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
    """The given values in the order of the known ones; all known ones where none is given."""
    if strange := sorted(set(given or []) - set(known)):
        raise LookupError(f"--{option} {', '.join(strange)}: bench knows {', '.join(known)}")
    return [name for name in known if not given or name in given]


def _counts(text: str) -> list[int]:
    """Numbers of trainings at a time from text such as `1,2,4`."""
    try:
        counts = [int(word) for word in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise ValueError(f"--at-once {text!r}; expected are numbers from 1 on with commas between, such as 1,2,4")
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
    """The result of a benchmark with one torch thread, also written to the file; exit 1 where the two sides differ."""
    import torch

    from workers.bench import GateFailed

    progress = Terminal(stderr=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with progress.status("", spinner="dots" if has_unicode(progress) else "line") as status:
            found = measure(status.update)
    except GateFailed as failure:
        progress.print(f"no ratio: {failure}", style="red", soft_wrap=True)
        raise typer.Exit(1) from None
    finally:
        torch.set_num_threads(threads)
    _write(found, file)
    return found


def _write(found: dict[str, Any], file: Path | None) -> None:
    """Write the result to the file, if one was given."""
    if file is not None:
        from analysis import whole_file

        whole_file.write(file, json.dumps(found, indent=1, allow_nan=False) + "\n")
