"""Results that others measured as rows of a run: marked as imported, and read by the same analysis.

An imported row's `launch` begins with `import-`, its `source` names format, file and digest, and its recipe is
"imported" unless it was named.  A run of imported rows has no plan and no study; `run` never touches it.
"""

import hashlib
import json
import time
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa

import spaces
import workers
from orchestrator.execution.heartbeat import Heartbeat
from orchestrator.importing import naslib_scores, table_files, unnas_release
from orchestrator.store import lease
from orchestrator.store.compaction import conform
from orchestrator.store.run_folder import RunStore
from spaces import quoted
from workers import datasets, files, paths
from workers.row import parquet_bytes

RECIPE = "imported"
_CELL = ["space", "dataset_id", "task", "recipe_id"]
_MANY, _NOTE_INTERVAL_S = (
    1000,
    10.0,
)  # architectures that take long to describe, and seconds between two lines about them
_Read = TypeVar("_Read")
Note = Callable[[str], None]


@dataclass(frozen=True)
class Imported:
    """The result of an import: rows in the files, new rows, and the number of unknown architectures by space.

    `alike`: pairs of names that look the same and differ, as (kind, one name, the other).
    """

    rows: int
    new: int
    strange: dict[str, int]
    alike: list[tuple[str, str, str]]


def unnas(path: Path, archs: Path | None) -> pd.DataFrame:
    """The release's result files at or below a path as rows; `archs` is a list that `unnas-archs` wrote."""
    import analysis

    by_id = unnas_release.by_id(archs) if archs else {}
    found = []
    for file in unnas_release.result_files(path):
        data = file.read_bytes()
        long = unnas_release.results(file, data, by_id)
        rows = analysis.from_table(
            long,
            space="space",
            arch="arch",
            dataset="dataset",
            task="task",
            seed="seed",
            value="value",
            metric="top1_percent",
            recipe=RECIPE,
        )
        found.append(rows.assign(source=_source("unnas", "/".join(file.absolute().parts[-5:-1]), data)))
    rows = pd.concat(found, ignore_index=True)
    if rows.empty:
        raise ValueError(f"{path}: the result files hold no result")
    # The published results are for the complete datasets: the same dataset ids as in our own trainings.
    ids = {name: _dataset_id(name) for name in set(rows["dataset"])}
    return rows.assign(dataset_id=rows["dataset"].map(ids))


def table(path: Path, scale: float, columns: dict[str, str], note: Note = lambda text: None) -> pd.DataFrame:
    """Any long table as rows; `columns` and `scale` as `analysis.from_table` takes them, but `arch` is a column.

    `note` is called with the names that are used as constants.  ValueError for a table without lines.
    """
    import analysis

    data = path.read_bytes()
    needed = {"values": columns["value"], "architectures": columns["arch"]}
    long, have = table_files.read(path, data, columns.values(), needed)
    if long.empty:
        raise ValueError(f"{path} holds no line of results, only names of columns")
    space, arch = columns["space"], columns["arch"]
    if (long.columns == arch).sum() == 1 and (long.columns == space).sum() <= 1:
        where = long[space] if space in long else [space] * len(long)
        long[arch] = [_normal(str(s), a) for s, a in zip(where, long[arch], strict=True)]
    try:
        rows = analysis.from_table(long, **{"recipe": RECIPE, **columns}, scale=scale)
    except (ValueError, LookupError) as error:
        raise ValueError(f"{path}: {error}") from None
    if constants := [_constant(option, name, have) for option, name in columns.items() if name not in have]:
        note(f"used as constants, since no column has that name: {', '.join(constants)}")
    return rows.assign(source=_source("table", path.name, data))


def naslib(path: Path, space: str) -> pd.DataFrame:
    """NASLib's table of zero-cost proxies for a space as rows: scores under `zero_cost/<name>`, accuracies under
    `val_accuracy`.

    A score that is not finite is a missing value: NaN, with the reason in `error_text`.
    """
    import analysis

    data = path.read_bytes()
    known = naslib_scores.space_of(space)
    long = naslib_scores.read(path, data, known)
    long["name"] = long["name"].map({name: _proxy(name) for name in set(long["name"])})
    trained = long["name"] == naslib_scores.ACCURACY
    long["recipe"] = long["name"].where(trained, f"{naslib_scores.FAMILY}/" + long["name"])
    long["metric"] = long["name"].where(~trained, "top1_percent")
    missing = long["score"].isna()
    rows = analysis.from_table(
        long.assign(score=long["score"].fillna(0.0)),
        space=known,
        arch="arch",
        dataset="dataset",
        task="cls",
        value="score",
        metric="metric",
        recipe="recipe",
    )
    ids = {name: _dataset_id(name) for name in set(rows["dataset"])}
    texts = {name: _recipe_json(name) for name in set(rows["recipe"])}
    return rows.assign(
        score_best=rows["score_best"].mask(missing),
        score_final=rows["score_final"].mask(missing),
        error_text=long["why"],
        train_s=long["seconds"],
        dataset_id=rows["dataset"].map(ids),
        recipe_json=rows["recipe"].map(texts),
        recipe_id=rows["recipe"].map({name: _recipe_id(name, text) for name, text in texts.items()}),
        method=pd.Series("score", index=rows.index, dtype=object).mask(trained, None),
        source=_source("naslib-zc", path.name, data),
    )


def _proxy(name: str) -> str:
    """The name that our own scores of this proxy have; any other name as it is."""
    try:
        found = workers.recipe(f"{naslib_scores.FAMILY}/{name}", space="nasbench201", dataset="cifar10", task="cls")
    except LookupError:
        return name
    return found.name.removeprefix(f"{naslib_scores.FAMILY}/")


def _recipe_json(name: str) -> str | None:
    """What tells an imported score from our own of the same name; None for accuracies."""
    family, _, score = name.partition("/")
    if family != naslib_scores.FAMILY:
        return None
    return json.dumps({"imported": "naslib-zc", "method": "score", "score": score}, separators=(",", ":"))


def _recipe_id(name: str, text: str | None) -> str:
    return name if text is None else hashlib.sha256(text.encode()).hexdigest()[:12]


def _constant(option: str, name: str, have: list[str]) -> str:
    """An option whose value is not the name of a column, with a column of a similar name."""
    near = next((column for column in have if column.strip().casefold() == name.strip().casefold()), None)
    return f"--{option} {quoted(name)}" + (f" (there is a column {quoted(near)})" if near is not None else "")


def add(rows: pd.DataFrame, into: str, note: Note = lambda text: None) -> Imported:
    """Publish the rows that are new to a run, all at once or none; `note` is called with the progress.

    ValueError for a folder of another kind, for a row that contradicts one that is there, and for a cell that would mix
    metrics; nothing is written then.  `lease.Held` where another process writes there.
    """
    store = RunStore(into)
    _check_place(store)
    _check_metrics(rows)
    rows = _described(rows, note)
    strange = rows[rows["space"].isin(spaces.names()) & rows["arch_id"].isna()].groupby("space")["arch"].nunique()
    digest = hashlib.sha256("\n".join(rows["trial_id"] + rows["source"]).encode()).hexdigest()[:12]
    launch = f"import-{digest}"
    lease.acquire(store, launch)
    heartbeat = Heartbeat(store, launch)
    heartbeat.start()
    try:
        there = store.attempts([*_CELL, "trial_id", "metric", "score_best", "repeats", "source"]).to_pandas()
        new = rows[~rows["trial_id"].isin(there["trial_id"])]
        _check_agreement(rows, there)
        _check_metrics(pd.concat([rows[[*_CELL, "metric"]], there[[*_CELL, "metric"]]]))
        if len(new):
            part = conform(pa.Table.from_pandas(new.assign(launch=launch).drop(columns="run"), preserve_index=False))
            store.write(parquet_bytes(part), "rows", f"{launch}.parquet")
    finally:
        heartbeat.end()
        lease.release(store, launch)
    alike = [pair for c in (*_CELL, "arch") for pair in _alike(c, [*rows[c], *there.get(c, ())])]
    return Imported(len(rows), len(new), {str(s): int(n) for s, n in strange.items()}, alike)


def _alike(kind: str, names: Iterable[str]) -> list[tuple[str, str, str]]:
    """Names that look the same: they differ in spaces, invisible characters or Unicode form."""
    first: dict[str, str] = {}
    found = []
    for name in dict.fromkeys(names):
        seen = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) not in ("Cf", "Cc"))
        if (other := first.setdefault(" ".join(seen.split()), name)) != name:
            found.append((kind.removesuffix("_id"), other, name))
    return found


def archs(tree: Path, into: Path, space: str | None) -> tuple[int, bool]:
    """Write the architectures of the release's configurations as a list; their number, and whether the file is new."""
    found = unnas_release.architectures(tree, space)
    text = unnas_release.listed(found).encode()
    if into.exists() and into.read_bytes() != text:
        raise ValueError(f"{into} exists with other content; remove it or give another file")
    new = not into.exists()
    if new:
        files.publish(str(into), text)
    return len(found), new


def _source(kind: str, name: str, data: bytes) -> str:
    return f"{kind}:{name}#{hashlib.sha256(data).hexdigest()[:12]}"


def _dataset_id(name: str) -> str:
    """The id of the published dataset where it is known; else the name itself."""
    published = datasets.get(name).published_id if name in datasets.names() else None
    return published or name


def _check_place(store: RunStore) -> None:
    fs, root = paths.filesystem(store.url)
    fs.invalidate_cache()
    if fs.isfile(root):
        raise ValueError(f"{store.url} is a file; --into names the folder of a run")
    if not fs.isdir(root):
        return
    inside = {path.rstrip("/").rsplit("/", 1)[-1] for path in fs.ls(root, detail=False)}
    if planned := inside & {"plan.parquet", "study.toml"}:
        raise ValueError(
            f"{store.url} is the run of a study ({planned.pop()}), whose analysis leaves out what is not planned; "
            "import into a folder of its own and name both runs to `correlate` or `report`"
        )
    if inside and not inside & {"rows", lease.NAME}:
        raise ValueError(f"{store.url} holds other files and no rows; name a new folder")


def _check_metrics(rows: pd.DataFrame) -> None:
    """ValueError where one cell has two metrics: their values would be averaged or compared."""
    kinds = rows.drop_duplicates([*_CELL, "metric"])
    if (twice := kinds.duplicated(_CELL)).any():
        cell = kinds[twice].iloc[0]
        both = kinds.loc[(kinds[_CELL] == cell[_CELL]).all(axis=1), "metric"]
        raise ValueError(
            f"space {quoted(cell['space'])}, dataset {quoted(cell['dataset_id'])}, task {quoted(cell['task'])}, recipe "
            f"{quoted(cell['recipe_id'])} would hold metrics {' and '.join(map(quoted, both))}; "
            "name another task or recipe, or import one of them"
        )


def _check_agreement(rows: pd.DataFrame, there: pd.DataFrame) -> None:
    both = rows.merge(there, on="trial_id", suffixes=("", "_there"))
    missing = both["score_best"].isna() & both["score_best_there"].isna()
    if (other := (both["score_best"] != both["score_best_there"]) & ~missing).any():
        line = both[other].iloc[0]
        values = f"{float(line['score_best'])!r}, and {float(line['score_best_there'])!r}"
        raise ValueError(
            f"{other.sum():,} of {len(rows):,} rows are there already with another value, first: "
            f"{quoted(line['arch'])} on {quoted(line['dataset'])}, {quoted(line['task'])}, seed {line['seed']} is "
            f"{values} from {quoted(line['source_there'])}; "
            "name another run, task or recipe, or the column of seeds"
        )


def _described(rows: pd.DataFrame, note: Note) -> pd.DataFrame:
    """Add arch_id, graph, params and MACs for architectures of known spaces.

    Sizes are those of UnNAS's networks, so only its cells have them.
    """
    archs = dict.fromkeys(zip(rows["space"], rows["arch"], strict=True))
    noted_at = time.monotonic()
    if len(archs) >= _MANY:
        note(f"{len(rows):,} rows are read; describing {len(archs):,} architectures")
    about = {}
    for key in archs:
        about[key] = _about(*key)
        if time.monotonic() >= noted_at + _NOTE_INTERVAL_S:
            noted_at = time.monotonic()
            note(f"{len(about):,} of {len(archs):,} architectures are described")
    costs = {
        key: _cost(*key)
        for key in set(zip(*(rows[c] for c in ("space", "arch", "dataset", "task")), strict=True))
        if about[key[:2]][0] is not None
    }
    found = [about[key] for key in zip(rows["space"], rows["arch"], strict=True)]
    sizes = [
        costs.get(key, (None, None))
        for key in zip(*(rows[c] for c in ("space", "arch", "dataset", "task")), strict=True)
    ]
    return rows.assign(
        arch_id=pd.Series([a for a, _ in found], index=rows.index, dtype=object),
        graph=pd.Series([g for _, g in found], index=rows.index, dtype=object),
        params=pd.array([p for p, _ in sizes], dtype="Int64"),
        macs=pd.array([m for _, m in sizes], dtype="Int64"),
    )


def _tried(ask: Callable[[], _Read]) -> _Read | None:
    """The result, None where the text is not an architecture of the space."""
    try:
        return ask()
    except ValueError:
        return None


@cache
def _about(space: str, arch: str) -> tuple[str | None, str | None]:
    """arch_id and graph."""
    if space not in spaces.names() or (name := _tried(lambda: spaces.get(space).arch_id(arch))) is None:
        return None, None
    return name, json.dumps(spaces.get(space).graph(arch), separators=(",", ":"))


def _cost(space: str, arch: str, dataset: str, task: str) -> tuple[int, int] | tuple[None, None]:
    try:
        recipe = workers.recipe("unnas", space=space, dataset=dataset, task=task)
    except LookupError:
        return None, None
    return workers.cost(workers.Trial(space=space, arch=arch, dataset=dataset, task=task, recipe=recipe))


def _normal(space: str, arch: Any) -> Any:
    """The normal spelling of a known architecture; anything else unchanged."""
    if space not in spaces.names():
        return arch
    return _spelling(space, arch) if isinstance(arch, str) else arch


@cache
def _spelling(space: str, arch: str) -> str:
    return _tried(lambda: spaces.get(space).normal(arch)) or arch
