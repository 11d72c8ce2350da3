"""Every attempt once: parts and loose attempts, several runs, older schemas, and a compactor at work."""

import itertools
import threading
import time
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from made_up import START, failed, population, row, table, write_attempts, write_part, write_plan, write_run

import analysis
from analysis.rows.schema import CURVES, SCHEMA


def test_parts_and_loose_attempts_are_one_table(tmp_path: Path) -> None:
    rows = population(5, seeds=(1, 2))
    rows[22] = failed(**{k: rows[22][k] for k in ("arch", "task", "seed")})
    write_plan(tmp_path / "x", rows)
    write_part(tmp_path / "x", rows[:25])
    write_attempts(tmp_path / "x", rows[20:])  # five of them lie in both places, as in the middle of a compaction
    df = analysis.load(tmp_path / "x")
    assert sorted(df["trial_id"]) == sorted(r["trial_id"] for r in rows)
    assert set(df["run"]) == {"x"}
    scores = dict(zip(df["trial_id"], df["score_best"], strict=True))
    assert all(scores[r["trial_id"]] == r["score_best"] for r in rows if r["status"] == "ok")


def test_curves_only_when_asked(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x", [row()])
    assert not set(CURVES) & set(analysis.load(run))
    assert list(analysis.load(run, curves=True)["curve_test_score"][0]) == [0.5, 0.9]
    assert list(analysis.load(run, columns=["arch", "curve_seconds"])) == ["arch", "curve_seconds"]


def test_an_unknown_column_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x", [row()])
    with pytest.raises(LookupError, match=r"'score_bets'.*score_best"):
        analysis.load(run, columns=["score_bets"])


def test_failed_attempts_stay_and_a_second_success_does_not(tmp_path: Path) -> None:
    late = START + pd.Timedelta(hours=1)
    rows = [
        failed(arch="a", attempt=1),
        row(arch="a", attempt=2, launch="a1", score_best=0.7, finished_at=late),
        row(arch="a", attempt=1, launch="b2", score_best=0.8, finished_at=late + pd.Timedelta(hours=1)),
    ]
    df = analysis.load(write_run(tmp_path / "x", rows[::-1]))
    assert df[["status", "launch", "attempt"]].values.tolist() == [["failed", "a1", 1], ["ok", "a1", 2]]


def test_rows_that_are_no_longer_planned(tmp_path: Path) -> None:
    rows = population(4, tasks=("cls",))
    write_part(tmp_path / "x", rows)
    assert len(analysis.load(tmp_path / "x")) == 4, "without a plan every row counts"
    write_plan(tmp_path / "x", rows[:3])
    assert len(analysis.load(tmp_path / "x")) == 3
    assert len(analysis.load(tmp_path / "x", planned=False)) == 4


def test_parts_of_an_older_and_of_a_newer_schema(tmp_path: Path) -> None:
    old, new = population(2, tasks=("cls",))
    write_plan(tmp_path / "x", [old, new])
    lacking = table([old]).drop_columns(["gpu_share", "resumed", "curve_seconds", "precision"])
    lacking = lacking.set_column(lacking.column_names.index("seed"), "seed", pa.array([1], pa.int32()))
    (tmp_path / "x" / "rows").mkdir()
    pq.write_table(lacking, tmp_path / "x/rows/part-0.parquet")
    pq.write_table(table([new]).append_column("fresh", pa.array(["yes"])), tmp_path / "x/rows/part-1.parquet")
    df = analysis.load(tmp_path / "x", curves=True).set_index("arch")
    assert df["resumed"].isna().tolist() == [True, False]
    assert pd.isna(df.loc[old["arch"], "gpu_share"])
    assert df.loc[new["arch"], "fresh"] == "yes"
    assert df["seed"].tolist() == [1, 1]
    assert analysis.load(tmp_path / "x", columns=["arch", "precision"]).shape == (2, 2)


def test_names_with_an_underscore_are_not_rows(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x", [row()])
    (run / "rows" / "_superseded.parquet").write_bytes(b"not for readers")
    write_attempts(run, [])
    (run / "attempts" / "_half-written.parquet").write_bytes(b"PAR1")
    assert len(analysis.load(run)) == 1


def test_an_empty_run_has_the_columns_and_types_of_a_full_one(tmp_path: Path) -> None:
    full = analysis.load(write_run(tmp_path / "full", [row(), failed(arch="b", params=None)]))
    write_plan(tmp_path / "empty", [row()])
    empty = analysis.load(tmp_path / "empty")
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
    assert set(empty) == {*SCHEMA.names, "run"} - set(CURVES)
    assert analysis.correlate(empty).empty
    assert analysis.means(empty).empty


def test_a_folder_that_is_no_run_says_what_is_right(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "x", [row()])
    with pytest.raises(FileNotFoundError, match=r"missing.*runs/<name"):
        analysis.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=f"did you mean {run}"):
        analysis.load(run / "rows")
    with pytest.raises(FileNotFoundError, match="runs in it: x"):
        analysis.load(run.parent)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x", [row()])
    (run / "rows" / "part-9.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"part-9.parquet \(0 bytes\)"):
        analysis.load(run)


def test_several_runs(tmp_path: Path) -> None:
    shared, only = population(2, tasks=("cls",))
    one = write_run(tmp_path / "one", [shared])
    two = write_run(tmp_path / "two", [shared, only])
    df = analysis.load(one, two, str(one) + "/")
    assert sorted(df["run"]) == ["one", "two", "two"]
    assert analysis.means(df)["n_seeds"].tolist() == [1, 1]
    same_name = write_run(tmp_path / "other" / "one", [only])
    assert set(analysis.load(one, same_name)["run"]) == {str(one), str(same_name)}


def test_a_run_in_memory_reads_as_on_disk(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x", population(3))
    fs = fsspec.filesystem("memory")
    fs.put(str(run), "/bucket/x", recursive=True)
    pd.testing.assert_frame_equal(analysis.load("memory://bucket/x"), analysis.load(run))


class Racing(MemoryFileSystem):  # type: ignore[misc]
    """A store on which a compactor acts at the worst moments: inside a listing, and between listing and
    reading."""

    protocol = "racing"
    store = MemoryFileSystem.store
    before_read: dict = {}  # path: what happens just before it is read  # noqa: RUF012
    inside_listing: dict = {}  # folder: what happens once it was listed, and names the listing still misses  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + str(path).removeprefix("racing://").strip("/")

    def cat_file(self, path: str, *args: object, **kwargs: object) -> bytes:
        for act in self.before_read.pop(path, []):
            act()
        return super().cat_file(path, *args, **kwargs)

    def ls(self, path: str, *args: object, **kwargs: object) -> list:
        act, missed = self.inside_listing.pop(path, (None, ()))
        if act:
            act()
        return [name for name in super().ls(path, *args, **kwargs) if name not in missed]


def test_no_row_is_lost_at_the_worst_moments(tmp_path: Path) -> None:
    fsspec.register_implementation("racing", Racing, clobber=True)
    rows = population(4, tasks=("cls",))
    write_plan(tmp_path / "x", rows)
    write_part(tmp_path / "x", rows[2:3], "part-1")
    write_part(tmp_path / "x", rows[3:], "part-2")
    write_attempts(tmp_path / "x", rows[:2])
    write_part(tmp_path / "later", rows[:2], "part-3")
    write_part(tmp_path / "later", rows, "part-4")
    fs = fsspec.filesystem("racing")
    fs.put(str(tmp_path / "x"), "/race/x", recursive=True)
    loose = sorted(fs.glob("/race/x/attempts/*"))
    part = "/race/x/rows/part-{}.parquet".format

    def compact() -> None:
        fs.put(str(tmp_path / "later/rows/part-3.parquet"), part(3))
        fs.rm(loose)

    def merge() -> None:
        fs.put(str(tmp_path / "later/rows/part-4.parquet"), part(4))
        fs.rm([part(1), part(2), part(3)])

    Racing.before_read = {loose[0]: [compact]}
    Racing.inside_listing = {"/race/x/rows": (merge, {part(4)})}  # sees neither the old parts nor the merged one
    df = analysis.load("racing://race/x")
    assert sorted(df["arch"]) == sorted(r["arch"] for r in rows)
    assert not Racing.before_read
    assert not Racing.inside_listing


def test_every_attempt_once_while_a_compactor_runs(tmp_path: Path) -> None:
    rows = population(60, tasks=("cls",))
    run = tmp_path / "x"
    write_plan(run, rows)
    write_attempts(run, rows)
    write_part(run, [], "part-empty")
    done = threading.Event()

    def replace(olds: list[Path], new: Path) -> None:
        """Writes the new part, then deletes what it holds."""
        merged = pa.concat_tables([pq.read_table(old, schema=SCHEMA) for old in olds])
        pq.write_table(merged, new.with_name("_part.tmp"))
        new.with_name("_part.tmp").rename(new)
        for old in olds:
            old.unlink()
            time.sleep(0.001)

    def compact() -> None:
        try:
            for k in itertools.count():
                loose = sorted((run / "attempts").glob("*.parquet"))[:3]
                if not loose:
                    break
                replace(loose, run / "rows" / f"part-{k:03d}.parquet")
                if k % 3 == 2:
                    replace(sorted((run / "rows").glob("part-*.parquet")), run / "rows" / f"part-{k:03d}m.parquet")
        finally:
            done.set()

    thread = threading.Thread(target=compact)
    thread.start()
    reads = 0
    try:
        while not done.is_set() or reads == 0:
            found = analysis.load(run, columns=["arch"])["arch"]
            assert sorted(found) == sorted(r["arch"] for r in rows)
            reads += 1
    finally:
        thread.join()
    assert len(analysis.load(run)) == 60
    assert not list((run / "attempts").iterdir())


def test_times_are_utc_and_numbers_are_numbers(tmp_path: Path) -> None:
    df = analysis.load(write_run(tmp_path / "x", [row(), failed(arch="b")]))
    assert str(df["finished_at"].dtype) == "datetime64[us, UTC]"
    assert np.isnan(df.set_index("arch").loc["b", "score_best"])
    assert df["best_epoch"].isna().tolist() == [False, True]


def test_graphs_are_those_of_the_plan_or_of_the_row_itself(tmp_path: Path) -> None:
    rows = [row(arch="a"), row(arch="b", graph="own"), row(arch="c")]
    write_part(tmp_path, rows)
    assert analysis.load(tmp_path, graphs=True)["graph"].isna().tolist() == [True, False, True]
    write_plan(tmp_path, [line | {"graph": f"plan {line['arch']}"} for line in rows])
    found = analysis.load(tmp_path, graphs=True, columns=["arch"]).set_index("arch")["graph"]
    assert found.to_dict() == {"a": "plan a", "b": "own", "c": "plan c"}
    assert analysis.load(tmp_path)["graph"].isna().sum() == 2
