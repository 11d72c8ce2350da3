"""Checks of a run after faults, when it has been resumed until no trial was left."""

import io
import itertools
import math
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.store.run_folder import RunStore

from .world import KEYS, Happened, Round

SCIENCE = ["score_best", "score_final", "best_epoch", "epochs", "train_loss", "diverged", "params", "macs", "arch"]
CURVES = ["curve_train_loss", "curve_test_score"]


def rows(url: str, prefix: str = "part-") -> pd.DataFrame:
    """What lies below `rows/` of a run, one line a row, superseded ones only when asked for by `prefix`."""
    store = RunStore(url)
    fs, root = fsspec.url_to_fs(store.at("rows"), use_listings_cache=False)
    names = sorted(path.rsplit("/", 1)[-1] for path in fs.ls(root, detail=False, refresh=True))
    tables = [pq.read_table(io.BytesIO(store.read("rows", n))) for n in names if n.startswith(prefix)]
    return pa.concat_tables(tables).to_pandas() if tables else pd.DataFrame(columns=[*KEYS, "status"])


def judge(round: Round, undisturbed: pd.DataFrame) -> tuple[list[str], int]:
    """What is wrong with the end of a round, and the rows that are there twice; books repeated work on the faults."""
    found = list(round.complaints)
    every = rows(round.url)
    twice = int(every.duplicated(KEYS).sum())
    ok = every[every["status"] == "ok"]
    twice += int(ok.duplicated("trial_id").sum())
    if twice:
        found.append(f"{twice} rows are there twice")
    if missing := set(undisturbed.index) - set(ok["trial_id"]):
        found.append(f"no ok row of {sorted(missing)}")
    if strange := set(ok["trial_id"]) - set(undisturbed.index):
        found.append(f"rows of trials that were never planned: {sorted(strange)}")
    found += _values(ok.drop_duplicates("trial_id").set_index("trial_id"), undisturbed)
    kept = {tuple(map(str, key)) for key in every[KEYS].itertuples(index=False)}
    kept |= {tuple(map(str, key)) for key in rows(round.url, "_superseded-")[KEYS].itertuples(index=False)}
    if gone := round.seen - kept:
        found.append(f"rows seen before are gone: {sorted(gone)}")
    if loose := RunStore(round.url).listing("attempts"):
        found.append(f"not compacted: {loose}")
    if RunStore(round.url).exists("lease.json"):
        found.append("the lease was not given back")
    return found + _work(round), twice


def _values(ok: pd.DataFrame, undisturbed: pd.DataFrame) -> list[str]:
    """Values that are not those of the undisturbed run, bit for bit."""
    found = []
    for trial_id in undisturbed.index.intersection(ok.index):
        one, other = ok.loc[trial_id], undisturbed.loc[trial_id]
        found += [
            f"{trial_id} {name}: {one[name]!r}, undisturbed {other[name]!r}"
            for name in SCIENCE
            if not (one[name] == other[name] or (pd.isna(one[name]) and pd.isna(other[name])))
        ]
        found += [f"{trial_id} {name} differs" for name in CURVES if list(one[name]) != list(other[name])]
    return found


def _work(round: Round) -> list[str]:
    """Trainings begun without need: after an ok row, or without a fault that cut the one before short.

    A worker may outlive its driver and publish after the next driver has read the rows: that one was in flight.
    """
    found = []
    ended = {(e["launch"], e["trial_id"], e["attempt"]): e["status"] for e in round.events("end")}
    begun: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in round.events("begin"):
        if ended.get((event["launch"], event["trial_id"], event["attempt"])) != "interrupted":
            begun[event["trial_id"]].append(event)
    done: dict[str, dict[str, Any]] = {}
    for event in round.events("end"):
        if event["status"] == "ok":
            done.setdefault(event["trial_id"], event)
    cut: Counter[int] = Counter()
    for trial_id, events in begun.items():
        for before, event in itertools.pairwise(events):
            good = done.get(trial_id, {"time": math.inf, "launch": ""})
            known = event["time"] if good["launch"] == event["launch"] else _launched(event["launch"])
            if good["time"] < known:
                found.append(f"{trial_id} was trained again in launch {event['launch']}, though its row was there")
            fault = _culprit(round.happened, before, event)
            if fault is None:
                found.append(f"{trial_id} was trained again at {event['time']:.1f}, and no fault had cut it short")
            else:
                fault.repeated += 1
                cut[id(fault)] += 1
    slots = 1 if round.engine == "inline" else 3
    return found + [
        f"{fault.kind}: {cut[id(fault)]} trainings were begun again, but only {slots} run at a time"
        for fault in round.happened
        if cut[id(fault)] > slots
    ]


def _culprit(happened: list[Happened], before: dict[str, Any], event: dict[str, Any]) -> Happened | None:
    """The fault that cut a training short: the first to hit its process, else the first of its time."""
    between = [f for f in happened if f.ended >= before["time"] and f.began <= event["time"]]
    return next((f for f in between if before["pid"] in f.pids), between[0] if between else None)


def _launched(launch: str) -> float:
    """The second in which a driver began (its launch's name says it); it read the rows later."""
    return datetime.strptime(launch[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
