"""What a run holds, counted: cells, failures, and what code produced the rows."""

from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.comparison import recipes
from analysis.comparison.cells import frame
from analysis.comparison.costs import costs
from analysis.comparison.keys import CELL, SCORE
from analysis.comparison.trials import expect_frame, gather, means_of
from analysis.comparison.units import Scale, scale

_BUILD = {
    "project_version": "archsweep",
    "git_revision": "git",
    "git_dirty": "changed",
    "torch_version": "torch",
    "ray_version": "ray",
    "python_version": "python",
    "device": "device",
    "precision": "precision",
    "source": "imported from",
}


def cells(df: pd.DataFrame, *, score: str = "score_best") -> pd.DataFrame:
    """One row per cell: architectures tried, those with every seed, seeds, trials that succeeded and that only failed,
    of those that succeeded how many `diverged` and how many have no finite score (`reason`: the most frequent text of
    such rows), the median and best mean over seeds (as the rows have them), and hours of training over all attempts
    (NaN where no row says how long).

    `seconds` is the cost of an architecture, all its seeds: the mean `train_s` of the cell's successful trials times
    its seeds. `macs` are multiply-adds of one forward pass, the mean. NaN where the rows do not know."""
    expect_frame(df)
    df = recipes.merged(df)
    trials = gather(df, score)
    table = means_of(trials)
    known = costs(df)
    spent = df["train_s"].to_numpy(float, na_value=np.nan) / 3600 if "train_s" in df else np.full(len(df), np.nan)
    stopped = df["diverged"].eq(True).fillna(False).to_numpy(bool) if "diverged" in df else np.zeros(len(df), bool)
    keys = [c if c in df else "dataset" for c in CELL]
    lines = []
    for key, tried in trials.groupby(CELL):
        same = pd.MultiIndex.from_frame(table[CELL]) == key
        of_cell = np.all([(df[c] == k).to_numpy(bool) for c, k in zip(keys, key, strict=True) if c in df], axis=0)
        done = tried[tried["ok"]]
        attempted = tried.drop_duplicates(["arch", "seed"])
        without = np.isneginf(done["value"].to_numpy(float))
        places = done.index.to_numpy()[:, None, None]
        spending = known.of_cells(places, without[:, None, None])
        n_seeds = tried["seed"].nunique()
        found, hours = table["mean"][same], spent[of_cell]
        lines.append(
            dict(zip(CELL, map(str, key), strict=True))
            | {name: str(tried[name].iloc[0]) for name in ("dataset", "recipe")}
            | {"metric": str(tried["metric"].max()), "method": str(tried["method"].min())}
            | {
                "archs": tried["arch"].nunique(),
                "complete": int(table["complete"][same].sum()),
                "n_seeds": n_seeds,
                "ok": len(done),
                "failed": len(attempted) - len(done.drop_duplicates(["arch", "seed"])),
                "diverged": int((stopped[done.index] | (without & (done["method"] != SCORE).to_numpy(bool))).sum()),
                "no_score": int(without.sum()),
                "median": found.median(),
                "best": found.max(),
                "hours": np.nansum(hours) if np.isfinite(hours).any() else np.nan,
                "seconds": spending["seconds"][0] * n_seeds,
                "macs": spending["macs"][0],
                "reason": spending["why_missing"][0],
            }
        )
    return frame(lines, _CELLS)


_CELLS = (
    dict.fromkeys(["space", "dataset", "task", "recipe"], "str")
    | dict.fromkeys(["archs", "complete", "n_seeds", "ok", "failed", "diverged", "no_score"], "int64")
    | dict.fromkeys(["median", "best", "hours", "seconds", "macs"], "float64")
    | dict.fromkeys(["dataset_id", "recipe_id", "metric", "method", "reason"], "str")
)


def spelled(table: pd.DataFrame) -> pd.DataFrame:
    """What `cells` gives, as people write it: percent for accuracies, names for cells, without ids."""
    lines = []
    for line in table.to_dict("records"):
        best = np.array([line["median"], line["best"]], float)
        unit = scale(best, line["metric"]) if line["method"] != SCORE else Scale(1.0, "", "")
        percent = " %" * ("%" in unit.brief)
        lines.append(
            {
                "space": names.space_name(line["space"]),
                "dataset": names.dataset_name(line["dataset"]),
                "task": names.task_name(line["task"]),
                "recipe": line["recipe"],
                "archs": line["archs"],
                "complete": line["complete"],
                "seeds": line["n_seeds"],
                **{name: line[name] for name in ("ok", "failed", "diverged")},
                "no score": line["no_score"],
                "median": _score(best[0] * unit.factor, percent),
                "best": _score(best[1] * unit.factor, percent),
                "hours": f"{line['hours']:.2f}" if pd.notna(line["hours"]) else "–",
                "s per arch.": names.significant(line["seconds"]),
                "MACs, M": names.significant(line["macs"] / 1e6),
            }
        )
    return pd.DataFrame(lines)


def _score(value: float, percent: str) -> str:
    """A score as the page's table has it: two digits, or four significant ones where it is very large or small."""
    if np.isnan(value):
        return names.NONE
    return f"{value:.2f}{percent}" if percent or value == 0 or 0.1 <= abs(value) < 1e5 else f"{value:.4g}"


def cost(df: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: attempts that were trained here, hours of training and of GPU in total and those that failed
    attempts took, the median training in seconds, and the largest memory of a process and of a device."""
    own = df[df["train_s"].notna()] if "train_s" in df else df.iloc[:0]
    own = own.assign(**{c: own["dataset"] for c in CELL if c not in own})
    own = recipes.merged(own.assign(recipe=recipes.column(own) if "recipe" in own else ""))
    lines = []
    for _, cell in own.groupby(CELL, sort=True):
        train, wall = cell["train_s"].to_numpy(float), _known(cell, "wall_s")
        lost = (cell["status"] == "failed").to_numpy(bool) if "status" in cell else np.zeros(len(cell), bool)
        gpu = np.nan_to_num(wall * np.nan_to_num(_known(cell, "gpu_share"))).sum() / 3600
        lines.append(
            {
                "space": names.space_name(str(cell["space"].iloc[0])),
                "dataset": names.dataset_name(str(cell["dataset"].iloc[0])),
                "task": names.task_name(str(cell["task"].iloc[0])),
                "recipe": str(cell["recipe"].iloc[0]) if "recipe" in cell else "",
                "attempts": len(cell),
                "training, h": f"{train.sum() / 3600:.2f}",
                "of that failed, h": f"{train[lost].sum() / 3600:.2f}",
                "GPU, h": f"{gpu:.2f}" if gpu else "–",
                "median training, s": names.significant(float(np.median(train[~lost]))) if (~lost).any() else "–",
                "memory, GiB": _most(_known(cell, "peak_mem_bytes")),
                "GPU memory, GiB": _most(_known(cell, "device_mem_bytes")),
            }
        )
    return pd.DataFrame(lines)


def _known(cell: pd.DataFrame, column: str) -> Any:
    """A column of numbers, NaN where it is null or missing."""
    if column not in cell:
        return np.full(len(cell), np.nan)
    return cell[column].astype(object).map(lambda v: np.nan if pd.isna(v) else float(v)).to_numpy(float)


def _most(values: Any) -> str:
    """The largest number of bytes, in GiB."""
    known = values[np.isfinite(values) & (values > 0)]
    return f"{known.max() / 2**30:.2f}" if len(known) else "–"


def failures(df: pd.DataFrame) -> pd.DataFrame:
    """Failed attempts by cause, the most frequent first: class, first line of the text, attempts, how many trials, and
    which (their ids)."""
    expect_frame(df)
    if missing := [c for c in ("status", "error_text", "error_class", "trial_id") if c not in df]:
        raise LookupError(f"no column {', '.join(map(repr, missing))}; `load` gives all that is needed")
    bad = df[df["status"] == "failed"]
    text = bad["error_text"].fillna("").astype(str).str.strip().str.split("\n").str[0]
    grouped = bad.assign(error=bad["error_class"].fillna("unknown"), text=text).groupby(["error", "text"])
    counted = grouped["trial_id"].agg(attempts="size", trials="nunique", trial_ids="unique").reset_index()
    counted["trial_ids"] = counted["trial_ids"].map(lambda ids: sorted(map(str, ids)))
    return counted.sort_values(["attempts", "error", "text"], ascending=[False, True, True], ignore_index=True)


def builds(df: pd.DataFrame) -> pd.DataFrame:
    """Which code on which kind of machine produced how many attempts."""
    known = df[[c for c in _BUILD if c in df]].astype(object)
    known = known.where(known.notna(), "").rename(columns=_BUILD)
    known = known.loc[:, (known != "").any()]
    if "git" in known:
        known["git"] = known["git"].map(lambda revision: str(revision)[:12])
    if "changed" in known:
        known["changed"] = known["changed"].map(lambda dirty: "yes" if dirty is True else "no")
    if "imported from" in known:
        known["imported from"] = known["imported from"].map(lambda source: str(source).partition("#")[0])
    if known.columns.empty:
        return pd.DataFrame({"attempts": [len(df)]})
    return known.groupby(list(known.columns), sort=False).size().rename("attempts").reset_index()
