"""Commands about what is available: list, show, prepare, doctor, check."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestrator.cli.output import on_disk

_LISTS = ("spaces", "datasets", "tasks", "recipes", "presets", "tables")


def add_to(app: typer.Typer, out: Console) -> None:
    """Add the commands to the command line."""

    @app.command("list", rich_help_panel="Catalogue")
    def list_(
        what: Annotated[
            str, typer.Argument(metavar="WHAT", help=f"{', '.join(_LISTS)}; without it, a list of these")
        ] = "",
    ) -> None:
        """List spaces, datasets, tasks, recipes, presets or tables of results."""
        from orchestrator.cli import listing

        out.print(listing.table(what))

    @app.command(rich_help_panel="Catalogue")
    def show(
        arch: Annotated[str, typer.Argument(metavar="ARCH", help="the text of an architecture")],
        space: Annotated[str, typer.Option(help="its space; default: the first that it fits")] = "",
        file: Annotated[
            Path | None, typer.Option("--out", help="draw it to this .svg, .png or .dot file", callback=on_disk)
        ] = None,
    ) -> None:
        """Show an architecture: spelling, cells, parameters and MACs."""
        from orchestrator.cli.architecture import show

        show(arch, space, file, out)

    @app.command(rich_help_panel="Catalogue")
    def prepare(
        dataset: Annotated[
            str, typer.Argument(metavar="DATASET", help="see `list datasets`; or a study file, for all its datasets")
        ],
        data_root: Annotated[
            Path | None,
            typer.Option(metavar="FOLDER", help="folder that holds the dataset's folder", callback=on_disk),
        ] = None,
        cache_dir: Annotated[
            Path | None,
            typer.Option(metavar="FOLDER", help="folder of the arrays; default ~/.cache/archsweep", callback=on_disk),
        ] = None,
        download: Annotated[bool, typer.Option("--download", help="download it to data_root first")] = False,
        mode: Annotated[str, typer.Option(help="exact or array (imagenet); default array with --short-side")] = "",
        short_side: Annotated[
            int | None, typer.Option(help="pixels of the shorter side in mode array (imagenet)")
        ] = None,
        fraction: Annotated[float, typer.Option(help="of the training images (imagenet)")] = 1.0,
        skip_broken: Annotated[bool, typer.Option("--skip-broken", help="leave out broken images (imagenet)")] = False,
    ) -> None:
        """Decode a dataset into this node's cache; repeated: continue, or verify."""
        from orchestrator.cli import preparing

        if preparing.is_study(dataset):
            if download or data_root or mode or short_side or fraction != 1 or skip_broken:
                raise ValueError(f"{dataset} names its datasets itself: of the options only --cache-dir applies")
            preparing.study(dataset, cache_dir, out)
            return
        preparing.dataset(
            dataset,
            data_root,
            cache_dir,
            mode=mode,
            short_side=short_side,
            fraction=fraction,
            skip_broken=skip_broken,
            download=download,
            out=out,
        )

    @app.command(rich_help_panel="Catalogue")
    def doctor(
        data_root: Annotated[
            Path | None, typer.Option(metavar="FOLDER", help="also look for datasets here", callback=on_disk)
        ] = None,
    ) -> None:
        """Check this machine: packages, cores, GPUs, Ray, folders."""
        from orchestrator.cli import doctor

        if not doctor.show(data_root, out):
            raise typer.Exit(2)

    @app.command(rich_help_panel="Catalogue")
    def check(
        name: Annotated[str, typer.Argument(metavar="NAME", help="a space, task or dataset; see `list`")],
        data_root: Annotated[
            Path | None,
            typer.Option(metavar="FOLDER", help="folder that holds the images of a dataset", callback=on_disk),
        ] = None,
    ) -> None:
        """Check a space, task or dataset, such as a plug-in's, against its contract."""
        from orchestrator.cli import checking

        if not checking.check(name, data_root, out):
            raise typer.Exit(1)
