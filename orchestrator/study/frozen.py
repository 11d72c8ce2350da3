"""The copy of a study and its plan that a run keeps in its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w

import spaces
from orchestrator.store.run_folder import RunStore
from orchestrator.study import lookups
from orchestrator.study.plan import Plan, architectures
from orchestrator.study.schema import Study, parse, tables


def study_text(store: RunStore) -> str | None:
    """The text of the study in a run's folder, None where there is none; ValueError where it is not UTF-8."""
    data = store.read("study.toml")
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{store.at('study.toml')} is not a valid study: TOML is UTF-8 text, and {error}; "
            "remove it, and `archsweep run` with the study file writes a new one"
        ) from None


def open_run(study: Study) -> RunStore:
    """The store of a study's run; ValueError for a folder that belongs to a study of another name."""
    store = RunStore(study.path)
    text = study_text(store)
    if text is not None:
        name = tables(text, store.at("study.toml")).get("name")
        if name != study.name:
            raise ValueError(
                f"{study.path} is the run of study {spaces.quoted(name)}, not of {study.name!r}; "
                "give this study another path, or its name back"
            )
    return store


def _resolved(study: Study) -> dict[str, Any]:
    """The study as plain values that do not depend on this machine's files: architectures as lists, absolute paths."""
    values = study.model_dump(exclude_none=True, exclude_defaults=True, mode="json") | {"path": study.path}
    if study.data_root:
        values["data_root"] = absolute(study.data_root)
    if study.execution.cache_dir:
        values["execution"]["cache_dir"] = absolute(study.execution.cache_dir)
    for sweep, plain in zip(study.sweeps, values["sweeps"], strict=True):
        if sweep.dataset.path:
            plain["dataset"]["path"] = absolute(sweep.dataset.path)
        if isinstance(table := sweep.override.get("table"), str):
            plain["override"]["table"] = lookups.absolute(table)
        if sweep.architectures.file is not None:
            plain["architectures"] = {"list": architectures(sweep)[0]}
        if sources := study.searched(sweep):
            found = [lookups.absolute(one) if isinstance(one, str) else one.name for one in sources]
            plain["architectures"] = {"found": found[0] if len(found) == 1 else found}
    return values


def differs(study: Study, store: RunStore) -> bool:
    """Whether a study contains other trials than the study of the run, according to their texts."""
    text = study_text(store)
    if text is None:
        return False
    try:
        before = parse(text, store.at("study.toml"))
    except ValueError:
        return True  # written by a version with other keys, or edited by hand
    sweeps = [_resolved(one)["sweeps"] for one in (study, before)]
    for sweep in [*sweeps[0], *sweeps[1]]:
        sweep["dataset"].pop("path", None)  # the location of the data does not change the trials
        sweep.get("override", {}).pop("table", None)
    return bool(sweeps[0] != sweeps[1])


def freeze(study: Study, store: RunStore, planned: Plan, note: Callable[[str], None] = lambda text: None) -> None:
    """Write study and plan into the run's folder, if they changed.

    `note` is called where the folder has another study or a damaged plan.
    """
    try:
        there = store.plan()
    except ValueError as error:
        note(f"planned again: {error}")
        there = None
    if differs(study, store):
        ids = [set(table["trial_id"].to_pylist()) if table else set() for table in (there, planned.table)]
        note(
            f"{store.at('study.toml')} differs from this study, which replaces it: "
            f"{len(ids[0] - ids[1]):,} trials fewer, {len(ids[1] - ids[0]):,} more"
        )
    text = tomli_w.dumps(_resolved(study))
    if store.read("study.toml") != text.encode():
        store.write(text.encode(), "study.toml")
    if there is None or not there.equals(planned.table):
        store.write_plan(planned.table)


def absolute(path: str | Path | None) -> str | None:
    """An absolute path: workers may have another working directory."""
    return None if path is None else str(Path(path).expanduser().absolute())
