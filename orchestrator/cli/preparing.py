"""`archsweep prepare`: decodes datasets into the cache of this machine."""

from pathlib import Path
from typing import Any, cast

from rich.console import Console

from orchestrator.study import schema as studies
from orchestrator.study.plan import dataset_of, too_large_batches
from workers import datasets


def is_study(name: str) -> bool:
    """Whether an argument names a study file, not a dataset."""
    return name not in datasets.names() and name.endswith(".toml")


def dataset(
    name: str,
    data_root: Path | None,
    cache_dir: Path | None,
    *,
    mode: str,
    short_side: int | None,
    fraction: float,
    skip_broken: bool,
    download: bool,
    out: Console,
) -> None:
    """Prepare one dataset; the keywords are the options of the command as they were given."""
    if download:
        _download(name, data_root)
    mode = mode or ("exact" if short_side is None else "array")
    side = datasets.Form.short_side if short_side is None else short_side
    choice = datasets.Form(cast(Any, mode), fraction, side, skip_broken)

    def note(text: str) -> None:
        out.print(text, style="dim", markup=False, soft_wrap=True)

    if datasets.get(name).large is not None:
        unused = datasets.look(name, data_root, cache_dir, choice).unused
        if unused:
            out.print(f"{name}: {unused}", markup=False, soft_wrap=True)
    arrays = datasets.prepare(name, data_root, cache_dir, form=choice, check=True, note=note)
    out.print(f"{arrays.dataset_id}: {len(arrays.train):,} training and {len(arrays.test):,} test images")


def study(file: str, cache_dir: Path | None, out: Console) -> None:
    """Prepare every dataset of a study in the form that its sweeps use."""
    found, done = studies.load(file), set()
    if cache_dir is not None:
        execution = found.execution.model_copy(update={"cache_dir": str(cache_dir)})
        found = found.model_copy(update={"execution": execution})
    for sweep in found.sweeps:
        root = found.root_of(sweep.dataset)
        seen, own = dataset_of(found, sweep, root)
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
            found.execution.cache_dir,
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
