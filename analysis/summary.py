"""What a run holds, counted: cells, failures, and what code produced the rows."""

from typing import Any

import numpy as np
import pandas as pd

from analysis import names
from analysis.cells import CELL, gather, means
from analysis.panel import FRACTIONS, PERCENT

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


def cells(df: pd.DataFrame, score: str = "score_best") -> pd.DataFrame:
    """One line per cell: architectures tried, those with every seed, seeds, trials that succeeded and that
    only failed, the median and best mean over seeds (percent for accuracies in [0, 1]), and hours of training
    over all attempts."""
    trials = gather(df, score)
    table = means(df, score)
    spent = df["train_s"].fillna(0) if "train_s" in df else pd.Series(0.0, index=df.index)
    hours = spent.to_numpy(float) / 3600
    keys = [c if c in df else "dataset" for c in CELL]
    lines = []
    for key, tried in trials.groupby(CELL):
        same = pd.MultiIndex.from_frame(table[CELL]) == key
        of_cell = np.all([(df[c] == k).to_numpy(bool) for c, k in zip(keys, key, strict=True)], axis=0)
        done = tried[tried["ok"]]
        asked = tried.drop_duplicates(["arch", "seed"])
        found, unit = _shown(table["mean"][same], str(tried["metric"].max()))
        lines.append(
            {
                "space": names.space_name(str(key[0])),
                "dataset": names.dataset_name(str(tried["dataset"].iloc[0])),
                "task": names.task_name(str(key[2])),
                "recipe": str(tried["recipe"].iloc[0]),
                "archs": tried["arch"].nunique(),
                "complete": int(table["complete"][same].sum()),
                "seeds": tried["seed"].nunique(),
                "ok": len(done),
                "failed": len(asked) - len(done.drop_duplicates(["arch", "seed"])),
                "no score": int(np.isneginf(done["value"]).sum()),
                "median": f"{found.median():.2f}{unit}" if found.notna().any() else "–",
                "best": f"{found.max():.2f}{unit}" if found.notna().any() else "–",
                "hours": f"{hours[of_cell].sum():.2f}",
            }
        )
    return pd.DataFrame(lines)


def cost(df: pd.DataFrame) -> pd.DataFrame:
    """One line per cell: attempts that were trained here, hours of training and of GPU in total and those that failed
    attempts took, the median training in seconds, and the largest memory of a process and of a device."""
    own = df[df["train_s"].notna()] if "train_s" in df else df.iloc[:0]
    own = own.assign(**{c: own["dataset"] for c in CELL if c not in own})
    own = own.assign(recipe=names.recipes(own) if "recipe" in own else "")
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
                "recipe": str(cell["recipe"].iloc[0]),
                "attempts": len(cell),
                "training, h": f"{train.sum() / 3600:.2f}",
                "of that failed, h": f"{train[lost].sum() / 3600:.2f}",
                "GPU, h": f"{gpu:.2f}" if gpu else "–",
                "median training, s": f"{np.median(train[~lost]):.1f}" if (~lost).any() else "–",
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
    """Failed attempts by cause, the most frequent first: class, first line of the text, attempts, trials."""
    bad = df[df["status"] == "failed"]
    text = bad["error_text"].fillna("").astype(str).str.strip().str.split("\n").str[0].map(lambda t: names.short(t, 90))
    grouped = bad.assign(error=bad["error_class"].fillna("unknown"), text=text).groupby(["error", "text"])
    counted = grouped["trial_id"].agg(attempts="size", trials="nunique").reset_index()
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


def _shown(scores: pd.Series, metric: str) -> tuple[pd.Series, str]:
    """Fractions as percent, anything else as it is."""
    if metric in FRACTIONS and scores.dropna().between(0, 1).all():
        return scores * 100, " %"
    return scores, " %" if metric.endswith(PERCENT) else ""
