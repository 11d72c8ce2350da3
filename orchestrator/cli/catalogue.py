"""Verbs about what there is: list, show, prepare, doctor."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import spaces
from orchestrator.cli.output import on_disk
from orchestrator.study import schema as studies
from workers import datasets, recipes, tasks
from workers.recipes import names as recipe_names

_LISTED = {
    "spaces": "search spaces, with an architecture of each",
    "datasets": "what networks are trained on",
    "tasks": "what they are trained for, and how they are scored",
    "recipes": "how they are trained: epochs, rate, batch, width, depth",
    "presets": "studies that can be run by their names",
    "tables": "what `archsweep correlate RUN --of TABLE` can make of results",
}


def add_to(app: typer.Typer, out: Console) -> None:
    """Add the verbs to the command line."""

    @app.command("list", rich_help_panel="Catalogue")
    def list_(
        what: Annotated[
            str, typer.Argument(metavar="WHAT", help=f"{', '.join(_LISTED)}; without it, what these are")
        ] = "",
    ) -> None:
        """What spaces, datasets, tasks, recipes, presets or tables of results there are."""
        tables = {
            "spaces": _spaces,
            "datasets": _datasets,
            "tasks": _tasks,
            "recipes": _recipes,
            "presets": _presets,
            "tables": _tables,
        }
        if not what:
            view = _table("archsweep list", "about")
            for name, about in _LISTED.items():
                view.add_row(name, about)
            out.print(view)
            return
        if what not in tables:
            raise ValueError(f"list {what!r}: give one of {', '.join(tables)}")
        out.print(tables[what]())

    @app.command(rich_help_panel="Catalogue")
    def show(
        arch: Annotated[str, typer.Argument(metavar="ARCH", help="the text of an architecture")],
        space: Annotated[str, typer.Option(help="its space; found by trying where left out")] = "",
        file: Annotated[
            Path | None, typer.Option("--out", help="draw it into this .svg, .png or .dot", callback=on_disk)
        ] = None,
    ) -> None:
        """An architecture: its spelling, cells, parameters and MACs."""
        _show(arch, space, file, out)

    @app.command(rich_help_panel="Catalogue")
    def prepare(
        dataset: Annotated[
            str, typer.Argument(metavar="DATASET", help="see `list datasets`; or a study file: its own")
        ],
        data_root: Annotated[
            Path | None,
            typer.Option(metavar="FOLDER", help="folder that holds the dataset's folder", callback=on_disk),
        ] = None,
        cache_dir: Annotated[
            Path | None,
            typer.Option(metavar="FOLDER", help="where arrays go; default ~/.cache/archsweep", callback=on_disk),
        ] = None,
        download: Annotated[bool, typer.Option("--download", help="fetch it to data_root first")] = False,
        mode: Annotated[str, typer.Option(help="exact or array (imagenet); default array with --short-side")] = "",
        short_side: Annotated[int | None, typer.Option(help="pixels that mode array keeps (imagenet)")] = None,
        fraction: Annotated[float, typer.Option(help="of the training images (imagenet)")] = 1.0,
        skip_broken: Annotated[bool, typer.Option("--skip-broken", help="leave out broken images (imagenet)")] = False,
    ) -> None:
        """Decode a dataset once into this node's cache; again: go on, or verify."""
        if dataset not in datasets.names() and dataset.endswith(".toml"):
            if download or data_root or mode or short_side or fraction != 1 or skip_broken:
                raise ValueError(f"{dataset} says itself which data it means: of the options only --cache-dir is left")
            _prepare_study(dataset, cache_dir, out)
            return
        if download:
            _download(dataset, data_root)
        mode = mode or ("exact" if short_side is None else "array")
        side = datasets.Form.short_side if short_side is None else short_side
        choice = datasets.Form(cast(Any, mode), fraction, side, skip_broken)

        def note(text: str) -> None:
            out.print(text, style="dim", markup=False, soft_wrap=True)

        if datasets.get(dataset).large is not None:
            unused = datasets.look(dataset, data_root, cache_dir, choice).unused
            if unused:
                out.print(f"{dataset}: {unused}", markup=False, soft_wrap=True)
        arrays = datasets.prepare(dataset, data_root, cache_dir, form=choice, check=True, note=note)
        out.print(f"{arrays.dataset_id}: {len(arrays.train):,} training and {len(arrays.test):,} test images")

    @app.command(rich_help_panel="Catalogue")
    def doctor(
        data_root: Annotated[
            Path | None, typer.Option(metavar="FOLDER", help="also look for datasets here", callback=on_disk)
        ] = None,
    ) -> None:
        """Check this machine: packages, cores, GPUs, Ray, folders."""
        from orchestrator.cli.doctor import checks

        view = Table(box=None, pad_edge=False, show_header=False)
        found = list(checks(data_root))
        colours = {"ok": "green", "note": "yellow", "wrong": "red"}
        for check in found:
            view.add_row(Text(check.state, colours[check.state]), check.what, check.text)
        out.print(view)
        if any(check.state == "wrong" for check in found):
            raise typer.Exit(2)


def _prepare_study(file: str, cache_dir: Path | None, out: Console) -> None:
    """Every dataset of a study, as it will be trained on."""
    from orchestrator.study.plan import dataset_of, too_large_batches

    study, done = studies.load(file), set()
    if cache_dir is not None:
        execution = study.execution.model_copy(update={"cache_dir": str(cache_dir)})
        study = study.model_copy(update={"execution": execution})
    for sweep in study.sweeps:
        root = study.root_of(sweep.dataset)
        seen, own = dataset_of(study, sweep, root)
        about = {"dataset_id": seen.dataset_id, "train_images": seen.train_images}
        recipes = map(sweep.resolved, sweep.tasks)
        for note in too_large_batches(about | {"recipe": r.name, "recipe_json": r.json_text} for r in recipes):
            out.print(note, markup=False, soft_wrap=True)
        if seen.dataset_id in done:
            continue
        done.add(seen.dataset_id)
        if seen.unused:
            out.print(f"{sweep.dataset.name}: {seen.unused}", markup=False, soft_wrap=True)
        arrays = datasets.prepare(
            own or sweep.dataset.name,
            root,
            study.execution.cache_dir,
            form=sweep.dataset.choice,
            check=True,
            note=lambda text: out.print(text, style="dim", markup=False, soft_wrap=True),
        )
        out.print(f"{arrays.dataset_id}: {len(arrays.train):,} training and {len(arrays.test):,} test images")
        if own is not None:
            names = ", ".join(own.class_names[:20]) + (", ..." if own.classes > 20 else "")
            out.print(f"  mean {list(own.mean)}, std {list(own.std)}; classes: {names}", markup=False, soft_wrap=True)


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


def _unusable(view: Table, name: str, error: Exception) -> None:
    """The line of a plug-in that another distribution offers and that cannot be used."""
    view.add_row(name, *[""] * (len(view.columns) - 2), f"cannot be used: {error}")


def _about(thing: object) -> str:
    """The first sentence about a plug-in: that of the file it is defined in."""
    text = " ".join((import_module(type(thing).__module__).__doc__ or "").split())
    return text.split(". ")[0].split(" (")[0].rstrip(".")


def _spaces() -> Table:
    view = _table("space", "an architecture, for example", "about")
    for name in spaces.names():
        try:
            space = spaces.get(name)
            view.add_row(name, spaces.sample(space, 1, 0).archs[0], _about(space))
        except Exception as error:  # somebody else's code; the others are listed all the same
            _unusable(view, name, error)
    view.columns[1].no_wrap = False
    view.columns[1].overflow = "fold"
    return view


def _datasets() -> Table:
    view = _table("dataset", "classes", "train", "test", "pixels", "jigsaw", "about")
    for name in datasets.names():
        try:
            d = datasets.get(name)
        except ValueError as error:
            _unusable(view, name, error)
            continue
        view.add_row(
            name,
            f"{d.classes:,}"
            if d.classes or d.large is None or d.large.maps is None
            else f"{d.large.maps.classes} maps",
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
        try:
            task = tasks.get(name)
        except ValueError as error:
            _unusable(view, name, error)
            continue
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
    from orchestrator.study.schema import load, presets

    view = _table("preset", "sweeps")
    for name in presets():
        study = load(name)
        lines = [f"{s.space} on {s.dataset.name}: {', '.join(s.tasks)}; recipe {s.recipe}" for s in study.sweeps]
        view.add_row(name, "\n".join(lines))
    return view


def _tables() -> Table:
    from analysis import TABLES

    view = _table("table", "about")
    for name, asked in TABLES.items():
        view.add_row(name, asked.about)
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
    from analysis.drawing.cells import files, terminal

    name = _space_of(arch, name)
    space = spaces.get(name)
    normal = space.normal(arch)
    graph = space.graph(normal)
    if file:
        files.save(graph, file, normal)
    out.print(f"space      {name}", soft_wrap=True)
    out.print(f"arch       {normal}", soft_wrap=True)
    out.print(f"canonical  {space.canonical(normal)}", soft_wrap=True)
    out.print(f"arch_id    {space.arch_id(normal)}", soft_wrap=True)
    for cell in graph["cells"]:
        out.print(f"\n{cell['name']}", soft_wrap=True)
        for line in terminal.lines(cell):
            out.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)
    view = _table("recipe", "dataset", "task", "params", "MACs, M")
    for column in view.columns[3:]:
        column.justify = "right"
    for family in recipes.names():
        for its_space, dataset, task in recipes.cells(family):
            if its_space != name:
                continue
            recipe = workers.recipe(family, space=name, dataset=dataset, task=task)
            trial = workers.Trial(space=name, arch=normal, dataset=dataset, task=task, recipe=recipe)
            params, macs = workers.cost(trial)
            view.add_row(family, dataset, task, f"{params:,}", f"{macs / 1e6:,.2f}")
    out.print()
    out.print(view)
    if file:
        out.print(f"drawing: {file}", soft_wrap=True)
