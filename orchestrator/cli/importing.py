"""The command `import`: results of others to a run, architectures of the UnNAS release to a list."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from orchestrator.cli.output import on_disk

_NEEDED = ("space", "arch", "dataset", "task", "value")
_SHOWN = 5  # pairs of similar names


def add_to(app: typer.Typer, out: Console) -> None:
    """Add the command to the command line."""

    @app.command("import", rich_help_panel="Results")
    def import_(
        kind: Annotated[
            Literal["unnas", "unnas-archs", "table", "naslib-zc"],
            typer.Argument(
                metavar="FORMAT",
                help="unnas: the release's result files; unnas-archs: its configurations (or JSON lists), to a list of "
                "architectures; "
                "table: .csv, .parquet, .json or .jsonl with one line per measurement; "
                "naslib-zc: NASLib's JSON tables of zero-cost proxies, with --space",
            ),
        ],
        path: Annotated[
            Path, typer.Argument(metavar="PATH", help="a file, or for unnas a folder of them", callback=on_disk)
        ],
        into: Annotated[str, typer.Option(help="folder of the run to add to; for unnas-archs the list to write")],
        archs: Annotated[
            Path | None,
            typer.Option(help="unnas: NAS-Bench-101's list by unnas-archs, which maps ids to architectures"),
        ] = None,
        space: Annotated[
            str | None, typer.Option(help="table: column or constant; unnas-archs, naslib-zc: which space")
        ] = None,
        arch: Annotated[str | None, typer.Option(help="table: column of architectures")] = None,
        dataset: Annotated[str | None, typer.Option(help="table: column or constant")] = None,
        task: Annotated[str | None, typer.Option(help="table: column or constant")] = None,
        value: Annotated[str | None, typer.Option(help="table: column of values, higher is better")] = None,
        seed: Annotated[str | None, typer.Option(help="table: column; without it repeats are averaged")] = None,
        metric: Annotated[str | None, typer.Option(help="table: column or constant; default the value's name")] = None,
        recipe: Annotated[
            str | None, typer.Option(help="table: column or constant that distinguishes trainings; default imported")
        ] = None,
        scale: Annotated[float | None, typer.Option(help="table: factor of the values; -1 for losses")] = None,
    ) -> None:
        """Import results of others as rows of a run."""
        from orchestrator.importing import rows as importing
        from workers import paths

        given = {"space": space, "arch": arch, "dataset": dataset, "task": task, "value": value}
        given |= {"seed": seed, "metric": metric, "recipe": recipe}
        columns = {name: text for name, text in given.items() if text is not None}
        options = {"unnas": {"archs"}, "unnas-archs": {"space"}, "naslib-zc": {"space"}, "table": {*given, "scale"}}
        allowed = options[kind]
        used = {*columns, *(["archs"] if archs else []), *(["scale"] if scale is not None else [])}
        if strange := sorted(used - allowed):
            raise ValueError(
                f"import {kind} takes no --{', --'.join(strange)}; it takes --{', --'.join(sorted(allowed))}"
            )
        path = path.expanduser()

        def note(text: str) -> None:
            out.print(text, style="dim", soft_wrap=True)

        if kind == "unnas-archs":
            n, new = importing.archs(path, Path(paths.disk_path(into)).expanduser(), space)
            out.print(f"{n:,} architectures: {into}{'' if new else ' (unchanged)'}", soft_wrap=True)
            return
        if kind == "table":
            if missing := [f"--{name}" for name in _NEEDED if name not in columns]:
                raise ValueError(
                    f"import table also needs {', '.join(missing)}: --arch and --value name a column, others a column "
                    "or a constant"
                )
            rows = importing.table(path, 1.0 if scale is None else scale, columns, note)
        elif kind == "naslib-zc":
            if space is None:
                raise ValueError("import naslib-zc also needs --space: the space of the file's architectures")
            rows = importing.naslib(path, space)
        else:
            rows = importing.unnas(path, archs.expanduser() if archs else None)
        found = importing.add(rows, into, note)
        for sort, one, other in found.alike[:_SHOWN]:
            out.print(
                f"two names of one {sort} look the same and are kept apart: {one!a} and {other!a}", soft_wrap=True
            )
        if len(found.alike) > _SHOWN:
            out.print(f"... and {len(found.alike) - _SHOWN:,} more such names", soft_wrap=True)
        for name, n in found.strange.items():
            what = "architecture is" if n == 1 else "architectures are"
            out.print(f"{n:,} {what} not valid in space {name}, kept as given", soft_wrap=True)
        out.print(f"{found.new:,} of {found.rows:,} rows are new: {into}/rows", soft_wrap=True)
