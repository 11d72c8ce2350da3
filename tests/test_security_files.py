"""Damaged and malicious files of a run, tables and studies: each is one short message, and does no harm."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import analysis
from orchestrator import runner
from orchestrator.store import lease, status
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study import plan as plans
from orchestrator.study import schema as studies
from orchestrator.study.estimate import rate_of
from tests.test_security import STUDY, parquet, planned, study, trial
from workers.row import parquet_bytes


@pytest.mark.parametrize("text", ["[]", "null", '"x"', '{"t": "x"}', '{"t": 1e999}', "[" * 10**5, "\xff", "{"])
def test_a_strange_forgiven_json_is_one_message(text: str, tmp_path: Path) -> None:
    (tmp_path / "forgiven.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"forgiven\.json is not valid"):
        Ledger.of(RunStore(str(tmp_path)))


@pytest.mark.parametrize(
    "change", [{"pid": "../.."}, {"expires": "x"}, {"expires": None}, {"expires": float("inf")}, {"host": 3}, {"x": []}]
)
def test_a_strange_lease_holds_nothing(change: dict[str, Any], tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    fields = lease.Lease("l", "elsewhere", "b", 1, "1", 9e18).__dict__
    for text in (json.dumps(fields | change), "[" * 10**5, "[]", "3"):
        (tmp_path / "lease.json").write_text(text)
        found = lease.current(store)
        assert found is None or "x" in change
    assert lease.acquire(store, "mine").launch == "mine"


@pytest.mark.parametrize(
    "columns",
    [
        {"trial_id": [[1]]},
        {"trial_id": ["t"], "launch": ["l"], "attempt": ["x"], "status": ["failed"]},
        {"trial_id": ["t"], "launch": ["l"], "attempt": pa.nulls(1), "status": ["failed"]},
        {"trial_id": ["t"], "launch": ["l"], "attempt": [1], "status": ["ok"], "finished_at": ["yesterday"]},
        {"x": [1]},
    ],
)
def test_strange_rows_are_one_message_with_their_file(columns: dict[str, Any], tmp_path: Path) -> None:
    store = planned(tmp_path)
    parquet(tmp_path / "rows" / "x.parquet", **columns)
    parquet(tmp_path / "rows" / "y.parquet", **columns)
    for act in (status.status, RunStore.compact, Ledger.of):
        with pytest.raises(ValueError, match=r"rows/[xy]\.parquet"):
            act(store)


def test_analysis_refuses_rows_of_other_types_and_text_that_is_none(tmp_path: Path) -> None:
    planned(tmp_path)
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    for column in (pa.array([[1]]), broken):
        parquet(tmp_path / "rows" / "x.parquet", trial_id=column)
        with pytest.raises(ValueError, match="do not fit the schema"):
            analysis.load(tmp_path)
        parquet(tmp_path / "plan.parquet", trial_id=column)
        with pytest.raises(ValueError, match=r"plan\.parquet is not a valid plan|no rows of ours"):
            status.status(RunStore(str(tmp_path)))


def test_a_part_of_any_name_can_be_folded(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    for name in ("all", "part-x", "part-000007"):
        row = {"trial_id": name, "launch": "l", "attempt": 1, "status": "ok"}
        store.write(parquet_bytes([row]), "rows", f"{name}.parquet")
    store.publish_attempt({**row, "trial_id": "new"})
    store.compact()
    (new,) = set(store.listing("rows")) - {"all.parquet", "part-x.parquet", "part-000007.parquet"}
    assert new.startswith("part-000008-")
    assert sorted(store.attempts()["trial_id"].to_pylist()) == ["all", "new", "part-000007", "part-x"]


def test_a_tampered_study_in_a_run_is_one_message(tmp_path: Path) -> None:
    chosen = studies.load(str(study(tmp_path)))
    planned(tmp_path / "run")
    for text in ("a = " + "[" * 10**5, "a = " + "9" * 5000, "\xff"):
        (tmp_path / "run" / "study.toml").write_text(text, encoding="latin-1")
        for act in (lambda: runner.open_run(chosen), lambda: analysis.report(tmp_path / "run")):
            with pytest.raises(ValueError, match=r"study|utf-8|report"):
                act()


def test_rows_that_tell_nothing_of_speed_are_passed_over(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    good = {"trial_id": "t", "launch": "l", "attempt": 1, "status": "ok", "train_s": 1.0, "macs": 1}
    good |= {"space": "chain", "dataset": "photos", "task": "cls", "recipe_json": trial().recipe.json_text}
    bad: list[dict[str, Any]] = [{"recipe_json": "[" * 10**5}, {"recipe_json": '{"name": "x"}'}, {"recipe_json": None}]
    bad += [{"dataset": "gone"}, {"macs": 0}, {"macs": None}]
    rows = [{**good, **change, "attempt": k} for k, change in enumerate([{}, *bad])]
    store.write(parquet_bytes(rows), "rows", "part-000001.parquet")
    assert list(rate_of(store)) == [("chain", "cls", "train")]


def test_the_report_and_its_tables_show_markup_as_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    table = pd.DataFrame(
        [
            {"arch": f"{evil}{k}", "task": task, "v": k * 0.1, "dataset": f"{evil}$\\x^{{$"}
            for k in range(6)
            for task in ("cls", f"{evil}&'\"")
        ]
    )
    df = analysis.from_table(table, space=evil, arch="arch", dataset="dataset", task="task", value="v", metric=evil)
    failed = df.iloc[:1].assign(status="failed", error_class=evil, error_text=evil, trial_id="other", device=evil)
    page = analysis.report(pd.concat([df, failed]), tmp_path, resamples=20)
    for file in (page, tmp_path / "correlations.md"):
        assert "<script>alert" not in file.read_text()
        assert "&lt;script" in file.read_text()
    assert "<img" in page.read_text()


def test_figures_of_datasets_with_like_names_do_not_overwrite_each_other(tmp_path: Path) -> None:
    table = pd.DataFrame(
        [
            {"arch": str(k), "task": task, "v": k * 0.1, "dataset": dataset}
            for k in range(4)
            for task in ("cls", "rot")
            for dataset in ("a/b", "a:b")
        ]
    )
    df = analysis.from_table(table, space="s", arch="arch", dataset="dataset", task="task", value="v")
    analysis.report(df, tmp_path, resamples=20)
    assert len(list((tmp_path / "figures").glob("within-*.png"))) == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("sample = 1", "sample = 1000000000000"), "less than or equal to 1000000"),
        (("sample = 1", "sample = 0x" + "f" * 10**5), "400,000 bits"),
        (("sample = 1", "sample = " + "9" * 5000), "study is not valid TOML"),
        (('"inline"', '"inline"\ngpus_per_trial = inf'), "finite"),
        (('"inline"', '"inline"\ntrial_timeout_s = inf'), "finite"),
        (("epochs = 1", "self = 1"), "no 'self'"),
        (("width = 4", "width = 1000000000000"), "16384"),
        (("epochs = 1", "epochs = [" + "1," * 10**5 + "]"), "epochs = "),
        (('"chain"', '"' + "a" * 10**7 + '"'), "10,000,000 characters"),
        (('name = "x"', "a." * 20_000 + "a = 1"), "more than 20 parts"),
        (('name = "x"', "a = " + "[" * 10**5), "nested too deep"),
        (('name = "x"', "[[sweeps]]\n" * 20_000), "and .* more"),
        (('tasks = ["cls"]', f'tasks = ["cls"]\nseeds = [{2**63}]'), "63 bits"),
    ],
)
def test_numbers_and_depths_beyond_measure_are_one_short_message(change: tuple[str, str], says: str) -> None:
    text = STUDY.format(path="x", top="", archs="sample = 1", dataset="photos").replace(*change)
    with pytest.raises(ValueError, match=says) as refused:
        studies.parse(text, "study")
    assert len(str(refused.value)) < 5_000


def test_a_study_of_more_trials_than_can_be_planned_is_refused_before_any_is_drawn() -> None:
    many = f"tasks = ['cls']\nseeds = {list(range(11))}"
    text = STUDY.format(path="x", top="", archs="sample = 1000000", dataset="photos")
    with pytest.raises(ValueError, match="11,000,000 trials"):
        plans.plan(studies.parse(text.replace('tasks = ["cls"]', many), "study"))
