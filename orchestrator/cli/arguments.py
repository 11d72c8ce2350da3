"""Arguments that name a run or a study: a folder, a URL, a study file or a preset."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from orchestrator.store.run_folder import RunStore
    from orchestrator.study.schema import Study

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="a study file, or a preset's name")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="a run's folder (or URL), a study file, or a preset")]
Only = Annotated[str, typer.Option(metavar="KEY=VALUE,...", help="only trials that match, e.g. task=rot,seed=1")]
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="runs' folders (or URLs), studies or presets")]
DataRoot = Annotated[
    str, typer.Option(metavar="FOLDER", help="folder of the datasets, instead of the study's data_root")
]
Table = Annotated[
    str, typer.Option("--lookup", metavar="TABLE", help="take trainings from this run or table: runs/nb201")
]
Measured = Annotated[str, typer.Option(metavar="RECIPE", help="with --lookup: which recipe of the table")]


@dataclass
class Invocation:
    """The command of this process and the run it works on, for messages about its errors."""

    verb: str | None = None
    store: RunStore | None = None
    interrupted: bool = False  # by a Ctrl-C that was to end the command


invocation = Invocation()


def _folder_of(file: str) -> str | None:
    """The folder of a run, where the file is the study in that folder, beside its plan."""
    folder, name = os.path.split(os.path.expanduser(file))
    if name == "study.toml" and os.path.isfile(file) and os.path.isfile(os.path.join(folder, "plan.parquet")):
        return folder or "."
    return None


def store_of(run: str, note: Console) -> RunStore:
    """The store that RUN names: a folder or URL with a plan, else the folder of a study.

    If the study was edited since it was run, `note` prints that.
    """
    found = invocation.store = _store_of(run, note)
    return found


def _store_of(run: str, note: Console) -> RunStore:
    from orchestrator.store.run_folder import RunStore

    store = RunStore(_folder_of(run) or run)
    if "://" in store.url or store.exists("plan.parquet") or store.exists("study.toml"):
        return store
    if os.path.isdir(os.path.expanduser(run)):
        if store.listing("rows"):
            return store
        raise FileNotFoundError(f"{run} is not a run: it has neither plan.parquet nor study.toml nor rows")
    from orchestrator.study import frozen
    from orchestrator.study.schema import load

    study = load(run)
    store = frozen.open_run(study)
    if frozen.differs(study, store):
        note.print(
            f"note: {run} was edited since the run at {store.url}, and the output is about that run; "
            f"`archsweep plan {run}` shows what the edited study has left, `archsweep run` trains it",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
    return store


def study_of(name: str) -> Study:
    """The study that STUDY names; the folder of a run stands for its study, even where it was moved."""
    from orchestrator.study.schema import load, parse
    from workers import paths

    name = paths.place(_folder_of(name) or name)
    if "://" in name or os.path.isfile(os.path.join(os.path.expanduser(name), "study.toml")):
        from orchestrator.store.run_folder import RunStore
        from orchestrator.study.frozen import study_text

        store = RunStore(name)
        text = study_text(store)
        if text is None:
            raise FileNotFoundError(f"{name} is not a run: it has no study.toml")
        return parse(text, store.at("study.toml")).model_copy(update={"path": name})
    return load(name)
