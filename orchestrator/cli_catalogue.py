"""Verbs about what there is: list, show, prepare, doctor."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import spaces
from workers import datasets, tasks
from workers.recipes import names as recipe_names


def add_to(app: typer.Typer, out: Console) -> None:
    """Add the verbs to the command line."""

    @app.command("list", rich_help_panel="Catalogue")
    def list_(
        what: Annotated[str, typer.Argument(metavar="spaces|datasets|tasks|recipes|presets")],
    ) -> None:
        """What spaces, datasets, tasks, recipes or presets there are."""
        tables = {
            "spaces": _spaces,
            "datasets": _datasets,
            "tasks": _tasks,
            "recipes": _recipes,
            "presets": _presets,
        }
        if what not in tables:
            raise ValueError(f"list {what!r}: give one of {', '.join(tables)}")
        out.print(tables[what]())

    @app.command(rich_help_panel="Catalogue")
    def show(
        arch: Annotated[str, typer.Argument(metavar="ARCH", help="the text of an architecture")],
        space: Annotated[str, typer.Option(help="its space; found by trying where left out")] = "",
        file: Annotated[Path | None, typer.Option("--out", help="draw it into this .svg, .png or .dot")] = None,
    ) -> None:
        """An architecture: its spelling, cells, parameters and MACs."""
        _show(arch, space, file, out)

    @app.command(rich_help_panel="Catalogue")
    def prepare(
        dataset: Annotated[str, typer.Argument(metavar="DATASET", help="see `archsweep list datasets`")],
        data_root: Annotated[Path | None, typer.Option(help="folder that holds the dataset's folder")] = None,
        cache_dir: Annotated[Path | None, typer.Option(help="where arrays go; default ~/.cache/archsweep")] = None,
        download: Annotated[bool, typer.Option("--download", help="fetch it to data_root first (cifar10)")] = False,
        mode: Annotated[str, typer.Option(help="exact or array (imagenet); default array with --short-side")] = "",
        short_side: Annotated[int | None, typer.Option(help="pixels that mode array keeps (imagenet)")] = None,
        fraction: Annotated[float, typer.Option(help="of the training images (imagenet)")] = 1.0,
        skip_broken: Annotated[bool, typer.Option("--skip-broken", help="leave out broken images (imagenet)")] = False,
    ) -> None:
        """Decode a dataset once into this node's cache; again: go on, or verify."""
        if download:
            _download(dataset, data_root)
        mode = mode or ("exact" if short_side is None else "array")
        side = datasets.Choice.short_side if short_side is None else short_side
        choice = datasets.Choice(cast(Any, mode), fraction, side, skip_broken)

        def note(text: str) -> None:
            out.print(text, style="dim", markup=False, soft_wrap=True)

        arrays = datasets.prepare(dataset, data_root, cache_dir, choice=choice, check=True, note=note)
        out.print(f"{arrays.dataset_id}: {len(arrays.train):,} training and {len(arrays.test):,} test images")

    @app.command(rich_help_panel="Catalogue")
    def doctor(
        data_root: Annotated[Path | None, typer.Option(help="also look for datasets here")] = None,
    ) -> None:
        """Check this machine: packages, cores, GPUs, Ray, folders."""
        from orchestrator.doctor import checks

        view = Table(box=None, pad_edge=False, show_header=False)
        found = list(checks(data_root))
        colours = {"ok": "green", "note": "yellow", "wrong": "red"}
        for check in found:
            view.add_row(Text(check.state, colours[check.state]), check.what, check.text)
        out.print(view)
        if any(check.state == "wrong" for check in found):
            raise typer.Exit(2)


def _download(dataset: str, data_root: Path | None) -> None:
    fetch = getattr(datasets.get(dataset), "download", None)
    if fetch is None:
        raise ValueError(f"--download: {dataset} cannot be downloaded; put its files under data_root yourself")
    if data_root is None:
        raise ValueError("--download needs --data-root, the folder to put the dataset's folder in")
    fetch(data_root)


def _table(*columns: str) -> Table:
    view = Table(box=None, pad_edge=False)
    for column in columns:
        view.add_column(column, no_wrap=column != "about")
    return view


def _about(thing: object) -> str:
    """The first sentence about a plug-in: that of the file it is defined in."""
    text = " ".join((import_module(type(thing).__module__).__doc__ or "").split())
    return text.split(". ")[0].split(" (")[0].rstrip(".")


def _spaces() -> Table:
    view = _table("space", "an architecture, for example", "about")
    for name in spaces.names():
        space = spaces.get(name)
        view.add_row(name, spaces.sample(space, 1, 0).archs[0], _about(space))
    view.columns[1].no_wrap = False
    view.columns[1].overflow = "fold"
    return view


def _datasets() -> Table:
    view = _table("dataset", "classes", "train", "test", "pixels", "jigsaw", "about")
    for name in datasets.names():
        d = datasets.get(name)
        view.add_row(
            name,
            f"{d.classes:,}",
            f"{d.train_images:,}",
            f"{d.test_images:,}",
            f"{d.size}",
            f"{d.jigsaw.grid}x{d.jigsaw.grid}",
            _about(d),
        )
    return view


def _tasks() -> Table:
    view = _table("task", "metric", "about")
    for name in tasks.names():
        task = tasks.get(name)
        view.add_row(name, task.metric, _about(task))
    return view


def _recipes() -> Table:
    view = _table("recipe", "space", "dataset", "task", "epochs", "lr", "batch", "width", "depth")
    for name in recipe_names():
        module = import_module(f"workers.recipes.{name}")
        for space, dataset, task in module.cells():
            r = module.lookup(space, dataset, task)
            view.add_row(name, space, dataset, task, *map(str, (r.epochs, r.lr, r.batch, r.width, r.depth)))
    return view


def _presets() -> Table:
    from orchestrator.study import load, presets

    view = _table("preset", "sweeps")
    for name in presets():
        study = load(name)
        lines = [f"{s.space} on {s.dataset.name}: {', '.join(s.tasks)}; recipe {s.recipe}" for s in study.sweeps]
        view.add_row(name, "\n".join(lines))
    return view


def _space_of(arch: str, space: str) -> str:
    """The space whose architecture a text is; ValueError with every space's objection."""
    if space:
        return spaces.get(space).name
    objections = []
    for name in spaces.names():
        try:
            spaces.get(name).normal(arch)
        except ValueError as error:
            objections.append(f"  {name}: {error}")
        else:
            return name
    raise ValueError(f"{spaces.quoted(arch)} is no architecture of any space:\n" + "\n".join(objections))


def _show(arch: str, name: str, file: Path | None, out: Console) -> None:
    import workers
    from analysis import cell_files, cell_text
    from workers import recipes

    name = _space_of(arch, name)
    space = spaces.get(name)
    normal = space.normal(arch)
    graph = space.graph(normal)
    if file:
        cell_files.save(graph, file, normal)
    out.print(f"space      {name}", soft_wrap=True)
    out.print(f"arch       {normal}", soft_wrap=True)
    out.print(f"canonical  {space.canonical(normal)}", soft_wrap=True)
    out.print(f"arch_id    {space.arch_id(normal)}", soft_wrap=True)
    for cell in graph["cells"]:
        out.print(f"\n{cell['name']}", soft_wrap=True)
        for line in cell_text.lines(cell):
            out.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)
    view = _table("recipe", "dataset", "task", "params", "MACs, M")
    for column in view.columns[3:]:
        column.justify = "right"
    for family in recipes.names():
        for dataset in datasets.names():
            for task in tasks.names():
                try:
                    recipe = workers.recipe(family, space=name, dataset=dataset, task=task)
                except LookupError:
                    continue
                trial = workers.Trial(space=name, arch=normal, dataset=dataset, task=task, recipe=recipe)
                params, macs = workers.cost(trial)
                view.add_row(family, dataset, task, f"{params:,}", f"{macs / 1e6:,.2f}")
    out.print()
    out.print(view)
    if file:
        out.print(f"drawing: {file}", soft_wrap=True)
