"""The plan of a study: all its trials with ids and costs.  Published datasets need not be present."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

import spaces
import workers
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import done_by_question
from orchestrator.study.schema import Study, Sweep
from workers import datasets, tasks
from workers.recipes import AnyRecipe, question, read

SCHEMA = pa.schema(
    [
        ("trial_id", pa.string()),
        ("space", pa.string()),
        ("arch", pa.string()),
        ("arch_id", pa.string()),
        ("dataset", pa.string()),
        ("dataset_id", pa.string()),
        ("task", pa.string()),
        ("seed", pa.int64()),
        ("recipe", pa.string()),
        ("recipe_id", pa.string()),
        ("recipe_json", pa.string()),
        ("params", pa.int64()),
        ("macs", pa.int64()),
        ("graph", pa.string()),  # the cells as JSON (nodes, edges), so that analysis draws them without the spaces
        ("train_images", pa.int64()),  # images per epoch and per evaluation, for estimates
        ("test_images", pa.int64()),
        ("own", pa.string()),  # the facts of a custom dataset as JSON; else null
        ("executed", pa.string()),  # JSON of test_batch and threads if they differ from recipe_json; else null
    ]
)

_LIKE_AN_ARCHITECTURE = re.compile(r"[A-Za-z0-9._+:|~()\[\]{}<>-]{0,1000}")  # short, no spaces, commas, quotes
_MOST = 10_000_000  # trials per study


@dataclass(frozen=True)
class Plan:
    """The trials of a study, and how its architectures were drawn."""

    table: pa.Table
    samples: dict[str, spaces.Sample]  # by the sweep's label; only of sweeps that draw architectures
    roots: dict[str, Path | None]  # the data root of each dataset_id
    own: dict[str, datasets.CustomDataset]  # the custom datasets by dataset_id
    unused: dict[str, str]  # by dataset_id, a line about files that are present but not used, if there are any


def _listed(sweep: Sweep) -> list[str]:
    """The architectures of a file or list in normal spelling, without duplicates."""
    chosen = sweep.architectures
    if chosen.file is not None:
        path = Path(chosen.file).expanduser()
        if path.is_dir() or path.suffix == ".json":
            raise ValueError(
                f"architectures of a sweep: {path} is not a text file with one architecture per line; "
                f"`archsweep import unnas-archs {path} --into archs.txt` converts UnNAS's configurations and JSON lists"
            )
        if not path.is_file():
            raise FileNotFoundError(f"architectures of a sweep: there is no file {path}")
        texts = _read(path)
    else:
        texts = list(chosen.list or ())
    space = spaces.get(sweep.space)
    return list(dict.fromkeys(space.normal(text) for text in texts))


def _read(path: Path) -> list[str]:
    """The architectures of a text file.  Invalid lines are not quoted in errors: it may be the wrong, private file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"architectures of a sweep: {path} is not text in UTF-8") from None
    # Not `splitlines`, which also splits at characters that may occur in a comment.
    lines = [line.partition("#")[0].strip() for line in text.split("\n")]
    for number, line in enumerate(lines, start=1):
        if not _LIKE_AN_ARCHITECTURE.fullmatch(line):
            raise ValueError(f"architectures of a sweep: line {number} of {path} is not an architecture of any space")
    if not any(lines):
        raise ValueError(f"architectures of a sweep: {path} contains no architecture")
    return [line for line in lines if line]


@lru_cache(maxsize=32)
def _sample(space: str, n: int, seed: int, min_params: int) -> spaces.Sample:
    return spaces.sample(spaces.get(space), n, seed, min_params=min_params)


def architectures(sweep: Sweep) -> tuple[list[str], spaces.Sample | None]:
    """The architectures of a sweep, in order, and the sample if they are drawn at random."""
    chosen = sweep.architectures
    if chosen.sample is None:
        return _listed(sweep), None
    drawn = _sample(sweep.space, chosen.sample, chosen.seed, chosen.min_params)
    return list(drawn.archs), drawn


def _recipes(sweep: Sweep) -> dict[str, AnyRecipe]:
    return {task: sweep.resolved(task) for task in sweep.tasks}


@contextlib.contextmanager
def _plugins_named(*passing: type[Exception]) -> Iterator[None]:
    """Exceptions of a plug-in become a ValueError with its distribution, file and line, except those in `passing`."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, ValidationError):  # pydantic wraps the error of a plug-in or of ours
            inner = error.errors()[0].get("ctx", {}).get("error", error)
        else:
            inner = error
        found = None if isinstance(inner, passing) or type(inner) is LookupError else spaces.fault(inner)
        if found is not None:
            raise ValueError(f"{found[0]}, {found[1]}: {type(inner).__name__}: {inner}") from error
        if inner is not error:
            raise ValueError(str(inner)) from error
        raise


def dataset_of(
    study: Study, sweep: Sweep, root: Path | None
) -> tuple[datasets.DatasetInfo, datasets.CustomDataset | None]:
    """The dataset of a sweep as found at `root`, and its facts if it is a custom one."""
    chosen, cache = sweep.dataset, study.execution.cache_dir
    if chosen.source is None:
        return datasets.look(chosen.name, root, cache, chosen.choice), None
    own, dataset_id = datasets.describe(chosen.name, chosen.source, root, cache, chosen.choice)
    train_images = round(own.train_images * chosen.choice.fraction)
    return datasets.DatasetInfo(dataset_id, train_images, own.test_images, own.unused), own


# Ids of finished trials, by the recipe without settings of speed (`question`) and by the recipe's JSON.
Finished = Mapping[str, Mapping[str, set[str]]]


def _as_stored(trial: workers.Trial, stored: Finished) -> workers.Trial:
    """The trial with the id of its finished row, if the run has one under another id.

    `test_batch` and `threads` affect only speed and memory, but in earlier versions overriding them changed the id.
    Such a row counts as done: the plan row gets its id and its recipe.
    """
    recipe = trial.recipe
    others = stored.get(question(recipe.json_text), {})
    if not others or trial.id in others.get(recipe.json_text, ()):
        return trial
    for text, ids in others.items():
        same = trial.model_copy(update={"recipe": recipe.counted_as(json.loads(text))})
        if same.id in ids:
            return same
    return trial


def _trials(
    sweep: Sweep, seen: datasets.DatasetInfo, own: datasets.CustomDataset | None, archs: list[str], stored: Finished
) -> Iterator[dict[str, Any]]:
    """Yield one plan row per trial; costs are computed once per architecture and task."""
    space = spaces.get(sweep.space)
    recipes = _recipes(sweep)
    facts = own and own.model_dump_json()
    for arch in archs:
        about = {"arch_id": space.arch_id(arch), "graph": json.dumps(space.graph(arch), separators=(",", ":"))}
        for task, recipe in recipes.items():
            first = workers.Trial(
                space=sweep.space,
                arch=arch,
                dataset=sweep.dataset.name,
                task=task,
                seed=sweep.seeds[0],
                recipe=recipe,
                dataset_id=seen.dataset_id,
                own=own,
            )
            if arch is archs[0] and (
                spaces.registry().source(sweep.space) or tasks.registry().source(task)
            ):  # spaces and tasks of this project are known to fit
                from workers import contracts  # imports torch

                contracts.fits(first)
            params, macs = workers.cost(first)
            for seed in sweep.seeds:
                trial = _as_stored(first.model_copy(update={"seed": seed}), stored)
                yield {
                    "trial_id": trial.id,
                    "space": trial.space,
                    "arch": trial.arch,
                    "dataset": trial.dataset,
                    "dataset_id": seen.dataset_id,
                    "task": task,
                    "seed": seed,
                    "recipe": recipe.name,
                    "recipe_id": trial.recipe.id,
                    "recipe_json": trial.recipe.json_text,
                    "executed": json.dumps(trial.recipe.executed) if trial.recipe.executed else None,
                    "params": params,
                    "macs": macs,
                    "train_images": seen.train_images,
                    "test_images": seen.test_images,
                    "own": facts,
                    **about,
                }


def plan(study: Study) -> Plan:
    """The plan of a study.  A trial that occurs in two sweeps is planned once.

    Reads data only to determine dataset ids, and from the rows of the run only ids and recipes.
    """
    rows: dict[str, dict[str, Any]] = {}
    samples, roots, described, unused = {}, {}, {}, {}
    stored: Finished | None = None
    for number, sweep in enumerate(study.sweeps):
        root = study.root_of(sweep.dataset)
        with _plugins_named(ValueError, OSError):
            seen, own = dataset_of(study, sweep, root)
        roots[seen.dataset_id] = root
        if seen.unused:
            unused[seen.dataset_id] = f"{sweep.dataset.name}: {seen.unused}"
        if own is not None:
            described[seen.dataset_id] = own
        many = (sweep.architectures.sample or 1) * len(sweep.tasks) * len(sweep.seeds)
        if many > _MOST:
            raise ValueError(f"sweep {number + 1} has {many:,} trials; a study may have {_MOST:,}")
        # An invalid architecture in a list is a mistake of the user, and the message of the space explains it.
        with _plugins_named(*((ValueError,) if sweep.architectures.sample is None else ())):
            archs, drawn = architectures(sweep)
        if drawn is not None:
            samples[f"sweep {number + 1} ({sweep.space})"] = drawn
        if stored is None:
            planned = {recipe.id for one in study.sweeps for recipe in _recipes(one).values()}
            stored = done_by_question(RunStore(study.path), planned)
        with _plugins_named():
            for row in _trials(sweep, seen, own, archs, stored):
                rows.setdefault(row["trial_id"], row)
    return Plan(pa.Table.from_pylist(list(rows.values()), schema=SCHEMA), samples, roots, described, unused)


def too_large_batches(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A message for each batch size that is larger than the training split; such trials fail."""
    seen = {(row["dataset_id"], row["train_images"], row["recipe"], row["recipe_json"]) for row in rows}
    found = {
        (recipe.least_images, images, dataset_id)
        for dataset_id, images, name, text in seen
        if (recipe := read(name, text)).least_images > images
    }
    return [
        f"a batch of {batch:,} images is more than the {images:,} training images of {dataset_id}: such trials fail; "
        "override batch with a smaller one"
        for batch, images, dataset_id in sorted(found)
    ]


def order_of_work(table: pa.Table) -> list[dict[str, Any]]:
    """The plan rows in the order of execution: architecture by architecture, with the architectures shuffled.

    At any moment the finished trials then form a random sample of the architectures, each with all its tasks and seeds.
    So correlations over the architectures that all cells share are unbiased from the first minutes on, and their
    intervals shrink.  (In the order of seeds, few architectures would be complete before the last seed is trained.)
    The order depends only on the trials, so a resumed run, another engine and a larger study keep it.
    """

    @cache
    def shuffled(space: str, arch: str) -> str:
        return hashlib.sha256(f"{space}|{arch}".encode()).hexdigest()

    table = table.drop_columns(["graph"] if "graph" in table.column_names else [])
    places = pa.array(map(shuffled, table["space"].to_pylist(), table["arch"].to_pylist()), pa.string())
    keys = pa.table({"place": places, "seed": table["seed"], "trial_id": table["trial_id"]})
    table = table.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]))
    names, columns = table.column_names, (column.to_pylist() for column in table.columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def trial_of(row: dict[str, Any]) -> workers.Trial:
    """The trial of a plan row."""
    executed = _text(row, "executed")
    return workers.Trial(
        space=row["space"],
        arch=row["arch"],
        dataset=row["dataset"],
        task=row["task"],
        seed=row["seed"],
        recipe=read(row["recipe"], row["recipe_json"]).replace(**(json.loads(executed) if executed else {})),
        dataset_id=row["dataset_id"],
        own=own_of(row),
    )


@lru_cache(maxsize=32)
def _own(facts: str) -> datasets.CustomDataset:
    return datasets.CustomDataset.model_validate_json(facts)


def own_of(row: Mapping[str, Any]) -> datasets.CustomDataset | None:
    """The facts of the custom dataset in a plan row; None for registered datasets."""
    facts = _text(row, "own")
    return _own(facts) if facts else None


def _text(row: Mapping[str, Any], column: str) -> str | None:
    """A text in a plan row; None for null, for NaN (pandas) and for a missing column."""
    value = row.get(column)
    return value if isinstance(value, str) else None
