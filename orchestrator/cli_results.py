"""Verbs that read rows: correlate, report, query, export.  They hand over to `analysis`."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.store import FILES, FOLDERS, RunStore

Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="runs' folders (or URLs), studies or presets")]


def add_to(app: typer.Typer, store_of: Callable[[str], RunStore], out: Console) -> None:
    """Add the verbs to the command line; `store_of` finds the run that an argument names."""

    def loaded(runs: list[str], **options: Any) -> Any:
        import analysis

        return analysis.load(*(store_of(r).url for r in runs), **options)

    @app.command(rich_help_panel="Results")
    def correlate(
        runs: Runs,
        common: Annotated[
            Literal["all", "pair"], typer.Option(help="architectures in all cells, or in the pair")
        ] = "all",
        csv: Annotated[Path | None, typer.Option(help="also write the whole table here")] = None,
        across: Annotated[
            bool,
            typer.Option("--across", help="only pairs across datasets, and random experiments with them"),
        ] = False,
    ) -> None:
        """Rank correlations between cells, with intervals and n."""
        import analysis

        rows = loaded(runs)
        table = analysis.correlate(rows, common=common)
        if across:
            table = table[table["x_dataset_id"] != table["y_dataset_id"]]
        if csv:
            for run in runs:
                _outside(csv, store_of(run).url)
            table.to_csv(csv, index=False)
        _show_correlations(table, out)
        if across:
            _show_experiments(analysis.random_experiment(rows), out)

    @app.command(rich_help_panel="Results")
    def report(
        runs: Runs,
        to: Annotated[Path | None, typer.Option(help="folder to write to; default <first run>/report")] = None,
    ) -> None:
        """Write figures, tables and an HTML page."""
        import analysis

        path = analysis.report([store_of(r).url for r in runs], out=to)
        out.print(f"report: {path}", soft_wrap=True)

    @app.command(rich_help_panel="Results")
    def query(
        arguments: Annotated[
            list[str], typer.Argument(metavar="RUN... SQL", help="runs, then SQL over `rows`, `plan`")
        ],
    ) -> None:
        """Ask the rows in SQL (DuckDB)."""
        import analysis

        *runs, sql = arguments
        if not runs:
            raise ValueError("give at least one run, then the SQL text: archsweep query runs/demo 'select ...'")
        table = analysis.query([store_of(r).url for r in runs], sql)
        out.print(table.to_string(index=False), soft_wrap=True)

    @app.command(rich_help_panel="Results")
    def export(
        run: Annotated[str, typer.Argument(metavar="RUN", help="a run's folder, a study or a preset")],
        file: Annotated[Path, typer.Argument(metavar="FILE", help="ending in .csv, .parquet or .json")],
    ) -> None:
        """Write all rows of a run into one file."""
        writers = {".csv": "to_csv", ".parquet": "to_parquet", ".json": "to_json"}
        if file.suffix not in writers:
            raise ValueError(f"{file}: the ending says the format; known are {', '.join(writers)}")
        rows = loaded([run], curves=True)
        options: dict[str, Any] = {"index": False}
        if file.suffix == ".json":
            options = {"orient": "records", "lines": True, "date_format": "iso"}
        _outside(file, store_of(run).url)
        file.parent.mkdir(parents=True, exist_ok=True)
        getattr(rows, writers[file.suffix])(file, **options)
        out.print(f"{len(rows):,} rows: {file}", soft_wrap=True)


def _outside(file: Path, run: str) -> None:
    """Refuse to write a file where a run keeps its own."""
    home = Path(os.path.expanduser(run)).resolve()
    inside = file.resolve().relative_to(home).parts if file.resolve().is_relative_to(home) else ()
    if inside and inside[0] in (*FOLDERS, *FILES):
        raise ValueError(f"{file} lies among the files of the run itself; name a file outside {', '.join(FOLDERS)}")


def _signed(value: float) -> str:
    """A coefficient; a dash where too few architectures say nothing."""
    return "-" if math.isnan(value) else f"{value:+.3f}"


def _show_correlations(table: Any, out: Console) -> None:
    """The correlations at most 80 columns wide; datasets are named where there are several."""
    if table.empty:
        out.print("no two cells share at least two architectures yet")
        return
    view = Table(box=None, pad_edge=False)
    view.add_column("space", no_wrap=True)
    for name in ("x", "y"):
        view.add_column(name, overflow="fold")
    for name in ("n", "dropped", "rho", "95 % interval", "tau"):
        view.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for line, x, y in zip(table.itertuples(), *_cells(table, "x", "y"), strict=True):
        interval = "-" if math.isnan(line.rho_low) else f"{line.rho_low:+.2f} .. {line.rho_high:+.2f}"
        numbers = (str(line.n), str(line.n_dropped), _signed(line.rho), interval, _signed(line.tau))
        view.add_row(line.space, x, y, *numbers)
    out.print(view)


def _show_experiments(table: Any, out: Console) -> None:
    """The target's score of the best of m architectures by each proxy, on average over all draws."""
    if table.empty:
        out.print("no proxy of another dataset and no cls target share architectures: no random experiment to make")
        return
    out.print("\nexpected target score of the best of m architectures by the proxy")
    sizes = [m for m in sorted(set(table["size"])) if m in (1, 4, 16, 64, 256)]
    view = Table(box=None, pad_edge=False)
    view.add_column("space", no_wrap=True)
    for name in ("proxy", "target"):
        view.add_column(name, overflow="fold")
    for name in ("n", *(f"m = {m}" for m in sizes)):
        view.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    proxies, targets = _cells(table, "proxy", "target")
    grouped = table.assign(proxy=proxies, target=targets).groupby(["space", "proxy", "target", "n"], sort=False)
    for names, lines in grouped:
        by_size = lines.drop_duplicates("size").set_index("size")["expected"]
        view.add_row(*map(str, names), *(f"{by_size[m]:.4g}" if m in by_size else "-" for m in sizes))
    out.print(view)


def _cells(table: Any, *sides: str) -> list[list[str]]:
    """The cells on each side: tasks, with datasets and recipes where there are several."""
    several = {
        what: len(set().union(*(set(table[f"{side}_{what}"]) for side in sides))) > 1 for what in ("dataset", "recipe")
    }
    found = []
    for side in sides:
        parts = [table[f"{side}_dataset"]] * several["dataset"]
        parts += [table[f"{side}_task"], *[table[f"{side}_recipe"]] * several["recipe"]]
        found.append([" ".join(map(str, names)) for names in zip(*parts, strict=True)])
    return found
