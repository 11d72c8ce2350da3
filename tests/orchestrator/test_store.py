"""The store: whatever instant a compaction dies at, nothing is lost and nothing counts twice."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import analysis
from orchestrator.store import RunStore
from workers.row import SCHEMA

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def row(
    trial: str, attempt: int = 1, status: str = "ok", launch: str = "a", at: int = 0, **more: Any
) -> dict[str, Any]:
    return {
        "trial_id": trial,
        "launch": launch,
        "attempt": attempt,
        "status": status,
        "finished_at": T0 + timedelta(seconds=at),
        **more,
    }


@pytest.fixture(params=["disk", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    return RunStore(str(tmp_path / "run") if request.param == "disk" else f"memory://{tmp_path.name}/run")


def seen(store: RunStore) -> list[tuple[str, str, int]]:
    return sorted((r["trial_id"], r["launch"], r["attempt"]) for r in store.attempts().to_pylist())


def test_attempts_are_read_before_and_after_compaction(store: RunStore) -> None:
    rows = [row("a"), row("b", status="failed"), row("b", attempt=2), row("c")]
    for r in rows:
        store.publish_attempt(r)
    before = seen(store)
    assert len(before) == 4
    assert store.compact() == 4
    assert seen(store) == before
    assert store.listing("attempts") == []
    assert len(store.listing("rows")) == 1


class Killed(Exception):
    """The compactor dies here."""


def test_a_compaction_killed_at_any_step_changes_nothing_a_reader_sees(tmp_path: Path) -> None:
    steps: list[str] = []

    def fill(store: RunStore) -> list[tuple[str, str, int]]:
        for n in range(3):
            store.publish_attempt(row(f"early{n}"))
        store.compact()
        for n in range(3):
            store.publish_attempt(row(f"late{n}", at=n))
        store.publish_attempt(row("early0", launch="b", at=9))  # a straggler of a killed driver
        return seen(store)

    counting = RunStore(str(tmp_path / "counting"))
    fill(counting)
    counting.compact(kill=steps.append)
    assert {"superseded", "part", "old part", "attempt"} == set(steps)
    final = seen(counting)
    for fatal in range(len(steps)):
        store = RunStore(str(tmp_path / f"run{fatal}"))
        before = fill(store)
        left = iter(range(fatal + 1))

        def kill(step: str, left: Any = left, fatal: int = fatal) -> None:
            if next(left) == fatal:
                raise Killed(step)

        with pytest.raises(Killed):
            store.compact(kill)
        assert seen(store) in (before, final)
        assert {trial for trial, _, _ in seen(store)} == {trial for trial, _, _ in final}
        store.compact()
        assert seen(store) == final
        whole = pd.read_parquet(tmp_path / f"run{fatal}" / "rows")
        assert not whole.duplicated(["trial_id", "launch", "attempt"]).any()


def test_the_first_published_ok_row_wins_and_the_later_is_kept_aside(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path / "run"))
    store.publish_attempt(row("a", launch="late", at=5, score_best=0.2))
    store.publish_attempt(row("a", launch="early", at=1, score_best=0.1))
    assert store.compact() == 1
    frame = pd.read_parquet(tmp_path / "run" / "rows")
    assert frame["score_best"].tolist() == [0.1]
    (aside,) = (tmp_path / "run" / "rows").glob("_superseded-*.parquet")
    assert pq.read_table(aside)["score_best"].to_pylist() == [0.2]
    assert seen(store) == [("a", "early", 1)]


def test_rows_of_an_older_schema_are_rewritten_in_the_newest(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path / "run"))
    store.publish_attempt(row("new"))
    store.compact()
    old = pa.Table.from_pylist([row("old")]).drop_columns(["launch"])
    old = old.append_column("launch", pa.array(["x"]))
    pq.write_table(old, tmp_path / "run" / "rows" / "part-000000.parquet")
    store.compact()
    (part,) = (tmp_path / "run" / "rows").glob("part-*")
    assert pq.read_schema(part).names == SCHEMA.names
    assert sorted(pq.read_table(part)["trial_id"].to_pylist()) == ["new", "old"]


def test_what_the_store_writes_is_what_analysis_reads(tmp_path: Path) -> None:
    """The Parquet contract between the two halves of the house."""
    store = RunStore(str(tmp_path / "run"))
    facts = {"space": "s", "arch": "x", "arch_id": "x", "dataset": "d", "dataset_id": "d-1", "task": "cls", "seed": 1}
    for n in range(4):
        store.publish_attempt(row(f"t{n}", at=n, score_best=n / 4, curve_test_score=[0.1, n / 4], **facts))
        if n == 1:
            store.compact()
    store.write_plan(pa.table({"trial_id": ["t0", "t1", "t2"]}))
    frame = analysis.load(str(tmp_path / "run"))
    assert sorted(frame["trial_id"]) == ["t0", "t1", "t2"]
    assert len(analysis.load(str(tmp_path / "run"), planned=False)) == 4
    curves = analysis.load(str(tmp_path / "run"), curves=True).set_index("trial_id")["curve_test_score"]
    assert list(curves["t2"]) == [0.1, 0.5]
