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
from orchestrator.study import bases, lookups, searches, trial_rows
from orchestrator.study.schema import Study, Sweep
from workers import datasets
from workers.recipes import read

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
        ("after", pa.string()),  # the trial that has to end first: of a waiting row a search, else the base; or null
        (
            "base",
            pa.string(),
        ),  # the trial whose weights are used; of a waiting row perhaps another waiting row; or null
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
    notes: tuple[str, ...] = ()  # architectures that are left out


def _listed(sweep: Sweep) -> list[str]:
    """The architectures of a file, a list, of names or of the whole space in normal spelling, without duplicates."""
    chosen = sweep.architectures
    if chosen.all:
        # Texts, not distinct canonical forms: benchmarks hold a value for each text, and isomorphic cells were trained
        # separately.
        return list(spaces.enumerable(sweep.space).archs())
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
    elif chosen.named is not None:
        texts = [_named(sweep.space, name) for name in chosen.named]
    else:
        texts = list(chosen.list or ())
    space = spaces.get(sweep.space)
    return list(dict.fromkeys(space.normal(text) for text in texts))


def _named(space: str, name: str) -> str:
    """A published architecture; LookupError lists the names."""
    known = spaces.published(space)
    if name not in known:
        raise LookupError(f"no published {space} cell {spaces.quoted(name)}; have {', '.join(known)}")
    return known[name]


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
    """The architectures of a sweep, in order, and the sample if they are drawn at random.

    `*` for a sweep that searches; none for one that takes what searches find.
    """
    chosen = sweep.architectures
    if sweep.searches:
        return [spaces.WHOLE], None
    if chosen.found is not None:
        return [], None
    if chosen.sample is None:
        return _listed(sweep), None
    drawn = _sample(sweep.space, chosen.sample, chosen.seed, chosen.min_params)
    return list(drawn.archs), drawn


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


@dataclass(frozen=True)
class _Part:
    """A sweep as planned: its dataset, its recipes, and its architectures if they follow from the study alone."""

    sweep: Sweep
    seen: datasets.DatasetInfo
    own: datasets.CustomDataset | None
    recipes: lookups.Recipes
    archs: list[str] | None  # None for what searches find


class Planner:
    """The plan of a study as a function of what its searches have found.  What does not depend on that is kept.

    Reads data only to determine dataset ids, of the rows of the run only ids and recipes, and of the runs whose
    searches the study names only the ids of these searches.
    """

    def __init__(self, study: Study) -> None:
        bases.check(study)
        self._study = study
        self.grows = any(sweep.architectures.found for sweep in study.sweeps)  # else the plan is always the same
        self._samples: dict[str, spaces.Sample] = {}
        self._roots: dict[str, Path | None] = {}
        self._described: dict[str, datasets.CustomDataset] = {}
        self._unused: dict[str, str] = {}
        self._notes: dict[str, None] = {}
        self._parts = [self._part(number, sweep) for number, sweep in enumerate(study.sweeps)]
        with _plugins_named():
            for part in self._parts:
                self._check_fit(part)
        planned = {recipe.id for part in self._parts for several in part.recipes.values() for recipe in several}
        self._stored = done_by_question(RunStore(study.path), planned)
        self._fixed: dict[int, list[dict[str, Any]]] = {}  # rows of sweeps that wait for no search, by number
        self._used = {self._base(part) for part in self._parts if part.sweep.weights is not None}
        self._elsewhere = {
            (url, part.sweep.space): searches.of_run(url, part.sweep.space)
            for part in self._parts
            for url in study.searched(part.sweep)
            if isinstance(url, str)
        }

    def _part(self, number: int, sweep: Sweep) -> _Part:
        study = self._study
        root = study.root_of(sweep.dataset)
        with _plugins_named(ValueError, OSError):
            seen, own = dataset_of(study, sweep, root)
        self._roots[seen.dataset_id] = root
        if seen.unused:
            self._unused[seen.dataset_id] = f"{sweep.dataset.name}: {seen.unused}"
        if own is not None:
            self._described[seen.dataset_id] = own
        _check_size(number, sweep, sweep.architectures.sample or 1)
        # An invalid architecture in a list is a mistake of the user, and the message of the space explains it.
        with _plugins_named(*((ValueError,) if sweep.architectures.sample is None else ())):
            archs, drawn = architectures(sweep)
        if drawn is not None:
            self._samples[f"sweep {number + 1} ({sweep.space})"] = drawn
        if sweep.architectures.found:
            return _Part(
                sweep, seen, own, lookups.bound(bases.recipes(study, sweep), sweep, seen.dataset_id, [])[0], None
            )
        recipes, archs = self._bound(sweep, seen, archs)
        return _Part(sweep, seen, own, recipes, archs)

    def _check_fit(self, part: _Part) -> None:
        """ValueError where the weights that a sweep uses do not fit its dataset."""
        if part.sweep.weights is None:
            return
        other = self._parts[self._base(part)]
        arch = part.archs[0] if part.archs else trial_rows.example(part.sweep.space)
        for task, several in part.recipes.items():
            named = other.sweep.recipe.index(bases.keeper(other.sweep, task))
            for recipe in several:
                trial = trial_rows.first(part.sweep, part.seen, part.own, arch, task, recipe, bases.NOBODY)
                recipe_there = other.recipes[task][named]
                bases.check_fit(trial, recipe_there, other.seen, other.sweep.dataset.name, other.own)

    def _base(self, part: _Part) -> int:
        """The number of the sweep whose weights a sweep uses."""
        source = bases.source(self._study, part.sweep)
        return next(k for k, other in enumerate(self._parts) if other.sweep is source)

    def _bases(self, part: _Part, found: Mapping[str, str]) -> bases.Bases | None:
        """The bases of the trials of a sweep; None if they have none."""
        if part.sweep.weights is None:
            return None
        number = self._base(part)
        return bases.of_rows(self._rows(number, found), self._parts[number].sweep)

    def _bound(self, sweep: Sweep, seen: datasets.DatasetInfo, archs: list[str]) -> tuple[lookups.Recipes, list[str]]:
        recipes, archs, left_out = lookups.bound(bases.recipes(self._study, sweep), sweep, seen.dataset_id, archs)
        self._notes |= dict.fromkeys(left_out)
        return recipes, archs

    def plan(self, found: Mapping[str, str]) -> Plan:
        """The plan where these searches (trial_id) have found these architectures.

        A trial that occurs in two sweeps is planned once, also if two searches found its architecture.  For a search
        that is not in `found` there is a waiting row in place of each trial (`trial_rows.waiting`).
        """
        rows: dict[str, dict[str, Any]] = {}
        with _plugins_named():
            for number in range(len(self._parts)):
                for row in self._rows(number, found):
                    rows.setdefault(row["trial_id"], row)
        table = pa.Table.from_pylist(list(rows.values()), schema=SCHEMA)
        return Plan(table, self._samples, self._roots, self._described, self._unused, tuple(self._notes))

    def _rows(self, number: int, found: Mapping[str, str]) -> Iterable[dict[str, Any]]:
        """The plan rows of a sweep."""
        part = self._parts[number]
        if part.archs is not None:
            if number in self._fixed:
                yield from self._fixed[number]
                return
            having = self._bases(part, found)
            trials = trial_rows.trials(part.sweep, part.seen, part.own, part.archs, part.recipes, self._stored, having)
            if self.grows or number in self._used:
                yield from self._fixed.setdefault(number, list(trials))
            else:
                yield from trials
            return
        ids, space = self._searches(number), spaces.get(part.sweep.space)
        _check_size(number, part.sweep, len(ids))
        archs = list(dict.fromkeys(space.normal(found[search]) for search in ids if search in found))
        recipes = part.recipes
        if archs:
            recipes, archs = self._bound(part.sweep, part.seen, archs)
        having = self._bases(part, found)
        yield from trial_rows.trials(part.sweep, part.seen, part.own, archs, recipes, self._stored, having)
        open_ones = [search for search in ids if search not in found]
        yield from trial_rows.waiting(part.sweep, part.seen, part.own, open_ones, recipes, having)

    def _searches(self, number: int) -> list[str]:
        """The ids of the searches whose architectures a sweep trains."""
        sweep = self._parts[number].sweep
        ids: list[str] = []
        for source in self._study.searched(sweep):
            if isinstance(source, str):
                ids += self._elsewhere[source, sweep.space]
                continue
            (other,) = (k for k, part in enumerate(self._parts) if part.sweep is source)
            ids += [row["trial_id"] for row in self._rows(other, {})]
        return list(dict.fromkeys(ids))


def _check_size(number: int, sweep: Sweep, archs: int) -> None:
    many = archs * len(sweep.tasks) * len(sweep.seeds) * len(sweep.recipe)
    if many > _MOST:
        raise ValueError(f"sweep {number + 1} has {many:,} trials; a study may have {_MOST:,}")


def plan(study: Study, found: Mapping[str, str] | None = None) -> Plan:
    """The plan of a study where these searches (trial_id) have found these architectures; see `Planner`."""
    return Planner(study).plan(found or {})


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
    Searches and supernets that other trials wait for come first; a training whose weights others use does not.  The
    order depends only on the trials, so a resumed run, another engine and a larger study keep it.
    """

    @cache
    def shuffled(space: str, arch: str) -> str:
        return hashlib.sha256(f"{space}|{arch}".encode()).hexdigest()

    table = table.drop_columns(["graph"] if "graph" in table.column_names else [])
    places = pa.array(map(shuffled, table["space"].to_pylist(), table["arch"].to_pylist()), pa.string())
    awaited = pc.and_(
        pc.equal(table["arch"], spaces.WHOLE), pc.is_in(table["trial_id"], value_set=table["after"].combine_chunks())
    )
    keys = pa.table(
        {"later": pc.invert(awaited), "place": places, "seed": table["seed"], "trial_id": table["trial_id"]}
    )
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
        base=_text(row, "base"),
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
