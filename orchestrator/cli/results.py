"""Verbs that read rows: correlate, report, query, export.  They call `analysis`."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from orchestrator.cli.output import AsCsv, AsJson, AsLatex, AsMarkdown, chosen, on_disk, partial, put

if TYPE_CHECKING:
    from orchestrator.store.run_folder import RunStore

Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="runs' folders (or URLs), studies or presets")]

Common = Annotated[
    Literal["all", "pair"] | None, typer.Option(help="architectures in all cells (default), or in the pair")
]
Score = Annotated[str | None, typer.Option(help="the column that ranks; default score_best")]
Diverged = Annotated[
    Literal["worst", "drop"] | None,
    typer.Option(help="architectures with a trial without a finite score rank last (default), or drop out"),
]
Chance = Annotated[
    list[str] | None,
    typer.Option(metavar="[TASK=]SCORE", help="a score not above it counts as none; again for other tasks"),
]
Resamples = Annotated[int | None, typer.Option(min=0, help="of the bootstrap; default 2000, 0: no intervals")]
Distinct = Annotated[
    bool, typer.Option("--distinct", help="one architecture for each network, not one for each of its spellings")
]
Controls = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="random cells to compare searches with, one architecture a line; default: what none found"
    ),
]
Figures = Annotated[
    Literal["none", "png", "all"],
    typer.Option(
        help="figures for a paper: png (the page shows these), or all: also PDF and SVG, some 2 s a figure more"
    ),
]

_MOST_REASONS = 4


def add_to(app: typer.Typer, store_of: "Callable[[str], RunStore]", out: Console, note: Console) -> None:
    """Add the verbs to the command line; `store_of` finds the run that an argument names, `note` prints to stderr."""

    @app.command(rich_help_panel="Results")
    def correlate(
        runs: Runs,
        common: Common = None,
        of: Annotated[str, typer.Option(metavar="TABLE", help="another table, see `archsweep list tables`")] = "",
        score: Score = None,
        diverged: Diverged = None,
        chance: Chance = None,
        resamples: Resamples = None,
        across: Annotated[
            bool,
            typer.Option("--across", help="only pairs across datasets, and random experiments with them"),
        ] = False,
        distinct: Distinct = False,
        controls: Controls = None,
        as_json: AsJson = False,
        as_csv: AsCsv = False,
        as_latex: AsLatex = False,
        as_markdown: AsMarkdown = False,
    ) -> None:
        """Rank correlations between cells, with intervals and n."""
        import analysis
        from analysis.tables import catalogue
        from analysis.tables.brief import brief

        form = chosen(json=as_json, csv=as_csv, latex=as_latex, markdown=as_markdown)
        name = of or "correlate"
        wanted = catalogue.named(name)
        level = _chance(chance)
        options = _given(common=common, score=score, diverged=diverged, chance=level, resamples=resamples)
        options |= _given(controls=_architectures(controls))
        stores = [store_of(r) for r in runs]
        places = [store.url for store in stores]
        rows = analysis.load(*places, curves=wanted.curves, graphs=wanted.graphs)
        tell_left_out(stores, note)
        if "published" in wanted.options:
            options["published"] = _published(rows)
        table = analysis.compute(name, analysis.distinct(rows) if distinct else rows, **options)
        if across:
            if "x_dataset_id" not in table:
                raise ValueError(f"--across: the table {name} has no pairs of cells")
            table = table[table["x_dataset_id"] != table["y_dataset_id"]]
        partial(rows, places, note)
        table, left_out = (table, "") if form else brief(table)
        if wanted.view is not None and form in ("", "latex", "markdown"):
            put(wanted.view(table), form, out, empty=_empty(name, rows, places))
        else:
            put(table, form, out, wanted.shown, empty=_empty(name, rows, places))
        if left_out:
            out.print(left_out, soft_wrap=True)
        if not form and "reason" not in wanted.shown:
            if name == "signal":
                known = table["signal"].notna()
                _show_reasons(table[known], out, "reason", "no signal in")
                _show_reasons(table[~known], out, "reason", "signal not known in")
            else:
                _show_reasons(table, out, "reason", "no value in")
        if not form:
            _show_reasons(table, out, "left_out", "not compared in")
            _show_reasons(table, out, "no_signal", "no signal, so rho is in parentheses, in")
        if across and form:
            note.print(
                "the random experiments with these pairs are a table of their own: --of random_experiment",
                soft_wrap=True,
            )
        elif across:
            same = _given(score=score, diverged=diverged, chance=level)
            _show_experiments(analysis.random_experiment(rows, **same), out)

    @app.command(rich_help_panel="Results")
    def report(
        runs: Runs,
        to: Annotated[
            Path | None, typer.Option(help="folder to write to; default <first run>/report", callback=on_disk)
        ] = None,
        common: Common = None,
        score: Score = None,
        diverged: Diverged = None,
        chance: Chance = None,
        resamples: Resamples = None,
        controls: Controls = None,
        figures: Figures = "png",
    ) -> None:
        """Write figures, tables and an HTML page."""
        import analysis

        level = _chance(chance)
        options = _given(common=common, score=score, diverged=diverged, chance=level, resamples=resamples)
        options |= _given(controls=_architectures(controls))
        places = [store_of(r).url for r in runs]
        published = _published(analysis.load(*places, columns=["space", "arch"]))
        path = analysis.report(places, out=to, figures=figures, published=published, **options)
        out.print(f"report: {path}", soft_wrap=True)

    @app.command(rich_help_panel="Results")
    def query(
        arguments: Annotated[
            list[str],
            typer.Argument(metavar="RUN... SQL", help="runs, then SQL over rows, curves, plan, architectures"),
        ],
        as_json: AsJson = False,
        as_csv: AsCsv = False,
        as_latex: AsLatex = False,
        as_markdown: AsMarkdown = False,
    ) -> None:
        """Query the rows in SQL (DuckDB)."""
        import analysis

        form = chosen(json=as_json, csv=as_csv, latex=as_latex, markdown=as_markdown)
        *runs, sql = arguments
        if not runs:
            raise ValueError("give at least one run, then the SQL text: archsweep query runs/demo 'select ...'")
        stores = [store_of(r) for r in runs]
        table = analysis.query([store.url for store in stores], sql)
        tell_left_out(stores, note)
        if form:
            put(table, form, out)
        else:
            out.print(table.to_string(index=False), soft_wrap=True)

    @app.command(rich_help_panel="Results")
    def export(
        arguments: Annotated[
            list[str], typer.Argument(metavar="RUN... FILE", help="runs, then a file: .csv, .parquet, .json or .jsonl")
        ],
    ) -> None:
        """Write all rows of runs into one file; .json and .jsonl have one row per line."""
        import analysis
        from analysis import whole_file
        from analysis.tables.formats import json_lines
        from workers import paths

        *runs, name = arguments
        file = Path(paths.disk_path(name))
        if not runs:
            raise ValueError("give at least one run, then the file: archsweep export runs/demo rows.csv")
        if file.suffix not in (".csv", ".parquet", ".json", ".jsonl"):
            raise ValueError(f"{file}: the ending says the format; known are .csv, .parquet, .json, .jsonl")
        stores = [store_of(r) for r in runs]
        places = [store.url for store in stores]
        rows = analysis.load(*places, curves=True)
        tell_left_out(stores, note)
        for place in places:
            _outside(file, place)
        if file.suffix == ".parquet":
            whole_file.write(file, rows.to_parquet(None, index=False))
        elif file.suffix == ".csv":
            whole_file.write(file, analysis.to_csv(rows))
        else:
            whole_file.write(file, json_lines(rows))
        out.print(f"{len(rows):,} rows: {file}", soft_wrap=True)


def tell_left_out(stores: "list[RunStore]", note: Console) -> None:
    """Print to stderr which finished trials of the runs are in no table."""
    from orchestrator.store.left_out import left_out

    for store in stores:
        if (others := left_out(store)) is not None:
            note.print(f"{store.url}: {others}", style="dim", markup=False, soft_wrap=True)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _architectures(file: Path | None) -> list[str] | None:
    """The architectures of a file, one a line; ValueError for a file that cannot be read or has none."""
    if file is None:
        return None
    try:
        found = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--controls {file}: expected a text file with one architecture a line: {error}") from None
    if not found:
        raise ValueError(f"--controls {file}: the file has no line; expected one architecture a line")
    return found


def _published(rows: Any) -> dict[str, str]:
    """The published architectures, by name, of the spaces that searches in the rows have."""
    import spaces

    found: dict[str, str] = {}
    for name in rows.loc[rows["arch"] == spaces.WHOLE, "space"].unique():
        with contextlib.suppress(LookupError):
            found |= spaces.published(name)
    return found


def _chance(given: list[str] | None) -> float | dict[str, float] | None:
    """A score for all tasks, or one for each that is named: `0.1`, `rot=0.25`."""
    if not given:
        return None
    levels: dict[str, float] = {}
    for words in given:
        task, _, level = words.rpartition("=")
        try:
            levels[task] = float(level)
        except ValueError:
            raise ValueError(
                f"--chance {words}: expected a score such as 0.1, or TASK=SCORE such as rot=0.25"
            ) from None
    if "" not in levels:
        return levels
    if len(given) > 1:
        raise ValueError("--chance: give one score for all tasks, or TASK=SCORE for each; both were given")
    return levels[""]


def _empty(name: str, rows: Any, places: list[str]) -> str:
    """The message for a table without rows."""
    if name != "correlate":
        return "nothing to say yet" if len(rows) == 0 else "nothing to say: no cell or pair of cells has what it needs"
    from analysis.page.sections import no_pairs
    from analysis.rows.runs import plan

    return no_pairs(rows, plan(*places).to_pandas())


def _show_reasons(table: Any, out: Console, column: str, what: str) -> None:
    """The reasons in a column, why numbers are missing say, each once, by the names of the cells."""
    from analysis import for_display, names

    if column not in table or table.empty:
        return
    why, called = table[column].tolist(), for_display(table)
    many: dict[str, int] = {}
    for k, reason in enumerate(why):
        for part in filter(None, reason.split("; ")):
            side, colon, cause = part.partition(": ")
            message = f"{called[side].iloc[k]}: {cause}" if colon and side in called else part
            if "cell" in called:
                message = f"{called['cell'].iloc[k]}: {part}"
            many[message] = many.get(message, 0) + 1
    for message, lines in list(many.items())[:_MOST_REASONS]:
        out.print(f"{what} {names.many(lines, 'line')}: {message}", soft_wrap=True)
    if len(many) > _MOST_REASONS:
        out.print(f"and {names.many(len(many) - _MOST_REASONS, 'other reason')}; --csv and --json give all")


def _outside(file: Path, run: str) -> None:
    """Refuse to write a file where a run keeps its own."""
    from orchestrator.store.run_folder import FILES, FOLDERS

    home = Path(os.path.expanduser(run)).resolve()
    inside = file.resolve().relative_to(home).parts if file.resolve().is_relative_to(home) else ()
    if inside and inside[0] in (*FOLDERS, *FILES):
        raise ValueError(f"{file} lies among the files of the run itself; name a file outside {', '.join(FOLDERS)}")


def _show_experiments(table: Any, out: Console) -> None:
    """The target's score of the best of m architectures by each proxy, on average over all draws."""
    if table.empty:
        out.print("no proxy of another dataset and no cls target share architectures: no random experiment to make")
        return
    out.print("\nexpected target score of the best of m architectures by the proxy")
    cells = [c for c in table.columns if c.startswith(("proxy_", "target_"))]
    wide = table[table["m"].isin([1, 4, 16, 64, 256])].pivot(
        index=["space", *cells, "n"], columns="m", values="expected"
    )
    sizes = [f"m = {m}" for m in wide.columns]
    put(wide.set_axis(sizes, axis=1).reset_index(), "", out, ("n", *sizes))
