"""The store: a compaction that is killed at any moment loses no row and duplicates none."""

import contextlib
import io
import itertools
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import analysis
from orchestrator.store import compaction
from orchestrator.store.run_folder import RunStore
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
            store.publish_attempt(row(f"early{n}", at=n + 5))
        store.compact()
        for n in range(3):
            store.publish_attempt(row(f"late{n}", at=n))
        store.publish_attempt(row("early0", launch="b", at=9))  # a straggler of a killed driver
        store.publish_attempt(row("early1", launch="b", at=0))  # one that was first, but came late
        return seen(store)

    counting = RunStore(str(tmp_path / "counting"))
    expected = fill(counting)
    assert ("early0", "b", 1) not in expected
    assert ("early1", "b", 1) in expected
    assert ("early1", "a", 1) not in expected
    counting.compact(kill=steps.append)
    assert {"superseded", "part", "old part", "attempt"} == set(steps)
    assert seen(counting) == expected
    for fatal in range(len(steps)):
        store = RunStore(str(tmp_path / f"run{fatal}"))
        fill(store)
        left = iter(range(fatal + 1))

        def kill(step: str, left: Any = left, fatal: int = fatal) -> None:
            if next(left) == fatal:
                raise Killed(step)

        with pytest.raises(Killed):
            store.compact(kill)
        next_driver = RunStore(store.url)
        assert seen(next_driver) == expected
        assert sorted(analysis.load(store.url)["trial_id"]) == sorted(trial for trial, _, _ in expected)
        next_driver.compact()
        assert seen(next_driver) == expected
        assert next_driver.listing("attempts") == []
        whole = pd.read_parquet(tmp_path / f"run{fatal}" / "rows")
        assert sorted(whole["trial_id"]) == sorted(trial for trial, _, _ in expected)
        assert next_driver.compact() == 0


def test_readers_see_every_attempt_once_at_every_moment(store: RunStore) -> None:
    """Rows are published and folded while two kinds of readers look on."""
    published: list[str] = []
    done = threading.Event()

    def work() -> None:
        try:
            for n in range(150):
                store.publish_attempt(row(f"t{n:05d}", at=n))
                published.append(f"t{n:05d}")
                if n % 10 == 9:
                    store.compact()
        finally:
            done.set()

    writer = threading.Thread(target=work)
    writer.start()
    reads = 0
    reader = RunStore(store.url)
    while not done.is_set():
        for read in (lambda: reader.attempts(["trial_id"])["trial_id"].to_pylist(), lambda: list(_loaded(store))):
            before = len(published)
            found = read()
            after = len(published)
            assert len(found) == len(set(found))
            assert set(published[:before]) <= set(found)
            assert len(found) <= after + 1  # one may be published and not yet noted
            reads += 1
    writer.join()
    assert reads > 4
    assert sorted(seen(reader)) == sorted((t, "a", 1) for t in published)


def _loaded(store: RunStore) -> list[str]:
    try:
        return analysis.load(store.url, columns=["trial_id"])["trial_id"].tolist()  # type: ignore[no-any-return]
    except FileNotFoundError:
        return []  # nothing was published yet: no run


def test_two_drivers_that_fold_at_a_time_lose_nothing(store: RunStore) -> None:
    """The lease forbids it; one that lost the lease without noticing must do no harm."""
    for n in range(60):
        store.publish_attempt(row(f"t{n:02d}", at=n))
    meanwhile, late = RunStore(store.url), itertools.count()

    def other(step: str) -> None:
        if step in ("part", "old part"):
            store.publish_attempt(row(f"u{next(late):02d}", at=99))  # the first to fold has not listed it
            with contextlib.suppress(FileNotFoundError):
                meanwhile.compact()

    for n in range(60, 75):
        with contextlib.suppress(FileNotFoundError):  # it says so, and folds nothing
            store.compact(other)
        store.publish_attempt(row(f"t{n:02d}", at=n))
    store.compact()
    store.compact()
    expected = [*(f"t{n:02d}" for n in range(75)), *(f"u{n:02d}" for n in range(next(late)))]
    assert [t for t, _, _ in seen(store)] == expected
    assert store.listing("attempts") == []


def test_a_row_is_rewritten_a_few_times_however_many_come_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_SMALLEST", 4)
    monkeypatch.setattr(compaction, "_LARGE", 100)
    store = RunStore(f"memory://{tmp_path.name}/run")
    written = 0
    for n in range(200):
        store.publish_attempt(row(f"t{n:03d}", at=n))
        if n % 4 == 3:
            written += store.compact()
    assert len(seen(store)) == 200
    parts = [len(pq.read_table(io.BytesIO(store.read("rows", p) or b""))) for p in store.listing("rows")]
    assert sum(parts) == 200
    assert len(parts) < 24
    assert written < 4 * 200  # all parts at each fold would be 25 times


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
    parts = list((tmp_path / "run" / "rows").glob("part-*"))
    assert all(pq.read_schema(part).names == SCHEMA.names for part in parts)
    assert sorted(pd.read_parquet(tmp_path / "run" / "rows")["trial_id"]) == ["new", "old"]
    assert store.compact() == 0


def test_a_damaged_row_is_named(store: RunStore) -> None:
    store.publish_attempt(row("a"))
    store.write(b"PAR1", "attempts", "b.a.1.parquet")
    for read in (store.attempts, store.compact):
        with pytest.raises(ValueError, match=r"attempts/b\.a\.1\.parquet is not a valid Parquet file"):
            read()


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("folder", ["attempts", "rows"])
def test_a_flipped_bit_of_a_row_is_noticed_by_every_reader(folder: str, tmp_path: Path) -> None:
    """Wherever it lies: the rows are refused with the file's name and what to do, or are still right."""
    store = RunStore(str(tmp_path / "run"))
    store.publish_attempt(row("a", score_best=0.5, curve_test_score=[0.1, 0.5]))
    if folder == "rows":
        store.compact()
    [name] = store.listing(folder)
    whole, right = store.read(folder, name), analysis.load(store.url, curves=True)
    assert whole is not None
    advice = rf"{folder}/{name}.*(replace it by an intact copy, or )?remove it.*trains what is then missing"
    for bit in range(7, len(whole) * 8, 643):
        store.write(flipped(whole, bit), folder, name)
        readers: list[Callable[[], pd.DataFrame]] = [
            lambda: analysis.load(store.url, curves=True),
            lambda: RunStore(store.url).attempts().to_pandas(),
        ]
        for read in readers:
            try:
                found, refused = read(), ""
            except ValueError as error:
                found, refused = right, str(error)
            assert not refused or re.search(advice, refused)
            assert list(found["score_best"]) == list(right["score_best"])
            assert [list(c) for c in found["curve_test_score"]] == [[0.1, 0.5]]
    store.write(flipped(whole, len(whole) // 3 * 8), folder, name)
    with pytest.raises(ValueError, match="damaged"):
        store.compact()
    assert store.listing(folder) == [name]


def test_a_part_that_is_read_in_pieces_is_checked_where_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As large parts in an object store are, of which only the columns travel."""
    monkeypatch.setattr("orchestrator.store.run_folder._SMALL", 0)
    monkeypatch.setattr("analysis.rows.runs._SMALL", 0)
    store = RunStore(f"memory://{tmp_path.name}/pieces")
    for n in range(20):
        store.publish_attempt(row(f"t{n}", at=n, score_best=n / 20))
    store.compact()
    [name] = store.listing("rows")
    whole = store.read("rows", name)
    assert whole is not None
    pages = pq.read_metadata(io.BytesIO(whole)).row_group(0)
    scores = next(pages.column(n) for n in range(pages.num_columns) if pages.column(n).path_in_schema == "score_best")
    inside = (scores.dictionary_page_offset or scores.data_page_offset) + scores.total_compressed_size // 2
    assert analysis.load(store.url, columns=["score_best"])["score_best"].sum() == pytest.approx(9.5)
    store.write(flipped(whole, 8 * inside), "rows", name)
    for read in (lambda: store.attempts(["score_best"]), lambda: analysis.load(store.url, columns=["score_best"])):
        with pytest.raises(ValueError, match=f"rows/{name}"):
            read()


def test_rows_without_a_checksum_are_read_as_before(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path / "run"))
    for folder, name in (("rows", "part-000001-a.parquet"), ("attempts", "b.a.1.parquet")):
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([row(name[0])], schema=SCHEMA), buffer, compression="zstd")
        store.write(buffer.getvalue(), folder, name)
    assert [trial for trial, _, _ in seen(store)] == ["b", "p"]
    assert len(analysis.load(store.url)) == 2
    store.compact()
    assert [trial for trial, _, _ in seen(store)] == ["b", "p"]


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path / "run"))
    store.publish_attempt(row("a"))
    store.write_plan(pa.table({"trial_id": ["a", "b"] * 50}))
    whole = store.read("plan.parquet")
    assert whole is not None
    assert store.plan() is not None
    store.write(flipped(whole, 8 * (len(whole) // 4)), "plan.parquet")
    for read in (store.plan, lambda: analysis.load(store.url)):
        with pytest.raises(ValueError, match=r"plan\.parquet.*remove it.* writes (a new one|it anew)"):
            read()


def test_files_that_a_system_leaves_beside_rows_are_no_rows(tmp_path: Path) -> None:
    """macOS leaves `._NAME`, other programs hidden copies while they write."""
    store = RunStore(str(tmp_path / "run"))
    store.publish_attempt(row("a"))
    store.compact()
    for folder in ("rows", "attempts"):
        for name in ("._part.parquet", ".part.parquet", "_part.parquet"):
            store.write(b"", folder, name)
    assert seen(store) == [("a", "a", 1)]
    assert store.compact() == 0
    assert len(analysis.load(store.url)) == 1


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
