"""Malicious content of studies, runs and datasets does no harm."""

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import analysis
import workers
from orchestrator import terminal
from orchestrator.execution.job import Settings
from orchestrator.execution.work_queue import Work
from orchestrator.store import lease
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study import plan as plans
from orchestrator.study import schema as studies
from workers import checkpoint, datasets
from workers.data import arrays
from workers.row import parquet_bytes
from workers.scrub import scrub

STUDY = """
name = "x"
path = "{path}"
{top}
[[sweeps]]
space = "chain"
architectures = {{ {archs} }}
dataset = "{dataset}"
tasks = ["cls"]
recipe = "demo"
override = {{ epochs = 1, width = 4 }}
[execution]
engine = "inline"
"""


TOKEN = "c0ffee5ecret/and+more"


ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\r"


Say = Callable[..., tuple[int, str]]


class Bomb:
    """A pickle that leaves a mark when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def study(folder: Path, *, path: str = "", top: str = "", archs: str = "sample = 1", dataset: str = "photos") -> Path:
    file = folder / "study.toml"
    file.write_text(STUDY.format(path=path or folder / "run", top=top, archs=archs, dataset=dataset))
    return file


def trial() -> workers.Trial:
    recipe = workers.recipe("demo", space="chain", dataset="cifar10", task="cls")
    return workers.Trial(
        space="chain", arch="c3", dataset="cifar10", task="cls", recipe=recipe, dataset_id="cifar10-" + "0" * 16
    )


def parquet(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def planned(folder: Path) -> RunStore:
    """A run with one planned trial."""
    names = ("trial_id", "space", "dataset", "task", "recipe")
    parquet(folder / "plan.parquet", **{name: ["t"] for name in names})
    return RunStore(str(folder))


@pytest.fixture
def say(archsweep: Callable[..., tuple[int, str, str]]) -> Say:
    """Exit code, and all that a command prints."""

    def run(*words: object) -> tuple[int, str]:
        code, out, err = archsweep(*words)
        return code, out + err

    return run


# --- SQL ---


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('{file}')",
        "select * from read_csv('{file}')",
        "select * from glob('{folder}/*')",
        "select * from '{file}'",
        "copy rows to '{folder}/out.csv'",
        "export database '{folder}/out'",
        "attach '{folder}/out.db' as other",
        "load '{folder}/evil.duckdb_extension'",
        "set enable_external_access = true; select * from read_text('{file}')",
        "reset lock_configuration; select * from read_text('{file}')",
        "select 1; copy rows to '{folder}/out.csv'",
    ],
)
def test_sql_reads_and_writes_nothing_but_the_views(sql: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("secret\n1\n")
    rows = pd.DataFrame({"a": [1, 2]})
    with pytest.raises(ValueError, match="query failed"):
        analysis.query(rows, sql.format(file=file, folder=tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["secret.csv"]
    assert analysis.query(rows, "select sum(a) as n from rows")["n"].tolist() == [3]
    assert duckdb.sql(f"select * from read_csv('{file}')").fetchall() == [(1,)]  # that process may, this query may not


# --- names and places ---


@pytest.mark.parametrize("name", ["", ".", "..", "../victim", "a/b", "/etc", "a\0b", "a\\b", "*", "[a-z]"])
def test_no_name_leads_out_of_the_runs_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "run" / "trials" / "one").mkdir(parents=True)
    store = RunStore(str(tmp_path / "run"))
    for act in (store.remove_folder, store.remove, store.read, store.exists, store.at):
        with pytest.raises(ValueError, match="not a valid name inside"):
            act("trials", name)
    row = {"trial_id": name, "launch": "../../l", "attempt": 1}
    with pytest.raises(ValueError, match="not a valid name inside"):
        store.publish_attempt(row)
    assert (tmp_path / "victim").is_dir()
    assert (tmp_path / "run" / "trials" / "one").is_dir()


@pytest.mark.parametrize("url", ["/", "", "//", "memory://a*", "memory://[ab]", "gs://no/such/package", "zip://a::b"])
def test_a_run_lies_in_one_folder(url: str) -> None:
    with pytest.raises(ValueError, match=r"not a valid folder for a run|file system|cannot be reached"):
        RunStore(url)


def test_logins_belong_in_the_environment() -> None:
    text = STUDY.format(path="s3://AKIA:hunter2secret@bucket/x", top="", archs="sample = 1", dataset="photos")
    with pytest.raises(ValueError, match="must not contain a login") as refused:
        studies.parse(text, "study")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("key", ["path", "data_root"])
def test_the_home_of_nobody_is_one_message(key: str, say: Say, tmp_path: Path) -> None:
    top, path = ('data_root = "~no-such-user/x"', "") if key == "data_root" else ("", "~no-such-user/x")
    code, said = say("plan", study(tmp_path, path=path, top=top))
    assert (code, "Traceback" in said) == (2, False)
    assert "home folder" in said
    assert say("status", "~no-such-user/x")[0] == 2


def test_a_file_that_holds_no_architectures_is_not_quoted(say: Say, tmp_path: Path) -> None:
    for content in (b"root:hunter2 secret:0:0\n", b"KEY=hunter2\0HOME=/\n", b"hunter2" * 1000, b"hunter2\xff"):
        (tmp_path / "other").write_bytes(content)
        code, said = say("plan", study(tmp_path, archs=f'file = "{tmp_path / "other"}"'))
        assert code == 2
        assert "hunter2" not in said


def test_an_export_never_replaces_files_of_a_run(say: Say, tmp_path: Path) -> None:
    file, run = study(tmp_path), tmp_path / "run"
    assert say("run", file)[0] == 0
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    (tmp_path / "link").symlink_to(run / "rows")
    for target in (run / "rows" / "all.parquet", run / "plan.parquet", run / "x" / ".." / "rows" / "a.csv"):
        assert say("export", run, target)[0] == 2
    assert say("export", run, tmp_path / "link" / "all.parquet")[0] == 2
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    assert say("export", run, run / "report" / "all.csv")[0] == 0


# --- terminals ---


def test_text_from_outside_cannot_steer_a_terminal(say: Say, tmp_path: Path) -> None:
    store = planned(tmp_path / "run")
    failed = {"trial_id": "t", "launch": "l", "attempt": 1, "status": "failed", "error_class": ESCAPES}
    store.write(
        parquet_bytes([{**failed, "error_text": ESCAPES, "traceback": f"[/red] {ESCAPES}"}]), "rows", "a.parquet"
    )
    mine = lease.Lease.mine(ESCAPES)
    store.write(json.dumps(mine.__dict__).encode(), "lease.json")
    for words in (
        ("status", store.url),
        ("status", store.url, "--json"),
        ("query", store.url, "select error_text, traceback from rows"),
        ("show", ESCAPES),
        ("retry", store.url, "--trial", ESCAPES),
    ):
        said = say(*words)[1]
        assert all(c.isprintable() or c == "\n" for c in said), words
        assert "Traceback" not in said
    assert "[/red]" in say("status", store.url)[1]


@pytest.mark.parametrize("path", ["[/red]", "[bold]x", ":smile:", "a\\u001b[2J"])
def test_a_path_is_printed_as_it_is_spelled(path: str, say: Say, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = say("status", study(tmp_path, path=path))
    assert code == 0
    assert path.replace("\\u001b", "\\x1b") in said


def test_lone_surrogates_and_endless_messages_are_printable() -> None:
    assert terminal.printable("\udcff\n\tx").encode() == b"\\udcff\n\tx"
    assert len(terminal.printable("a" * 10**7)) < 30_000


# --- secrets ---


def test_no_secret_comes_into_a_row_a_log_or_a_message(say: Say, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "/" + TOKEN[::-1])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # one without CIFAR-10
    for secret in (TOKEN, "/" + TOKEN[::-1]):
        row = workers.attempt(trial(), data_root=f"/nowhere/{secret}")
        assert row["status"] == "failed"
        assert "no cifar10 at" in row["error_text"]
        assert secret not in str(row)
        code, said = say("run", study(tmp_path, top=f'data_root = "/nowhere/{secret}"', dataset="cifar10"))
        assert code == 2
        assert "no cifar10 at" in " ".join(said.split())
        assert secret not in "".join(said.split())


def test_the_row_of_a_lost_worker_holds_no_secret(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    planned_rows = plans.plan(studies.load(str(study(tmp_path)))).table.to_pylist()
    store = RunStore(str(tmp_path / "run"))
    settings = Settings(store.url, "launch", {}, None, 0.0, 60.0, False, None)
    work = Work(store, planned_rows, Ledger(), settings, 1)
    job = work.take()
    assert job is not None
    work.lost(job.trial_id, "worker_died", f"GET http://user:{TOKEN}@head failed: token {TOKEN}")
    (row,) = store.attempts().to_pylist()
    assert "GET http" in row["error_text"]
    assert TOKEN not in str(row)


def test_a_token_in_a_file_and_an_encoded_one_are_secrets_too(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert scrub(f"bad token {TOKEN}!") == "bad token <RAY_AUTH_TOKEN>!"
    assert scrub("?t=c0ffee5ecret%2Fand%2Bmore") == "?t=<RAY_AUTH_TOKEN>"
    assert scrub(f"s3://id:{'k' * 9}@bucket/run") == "s3://<login>@bucket/run"
    assert scrub(f"plain text, {tmp_path / 'token'}, me@example.org") == (
        f"plain text, {tmp_path / 'token'}, me@example.org"
    )


# --- pickles and pictures ---


def test_a_checkpoint_that_is_a_pickle_is_not_run(tmp_path: Path) -> None:
    for write in (
        lambda f, o: torch.save({"trial_id": trial().id, "state": o}, f),
        lambda f, o: pickle.dump(o, f, protocol=2),
    ):
        with (tmp_path / "checkpoint.pt").open("wb") as file:
            write(file, Bomb(tmp_path / "mark"))
        assert checkpoint.load(str(tmp_path / "checkpoint.pt"), trial(), torch.device("cpu")) is None
    assert not (tmp_path / "mark").exists()


def test_a_pickle_of_cifar10_with_another_checksum_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("batches.meta", "test_batch", *(f"data_batch_{k}" for k in range(1, 6))):
        (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    with pytest.raises(ValueError, match="is not the original"):
        datasets.prepare("cifar10", tmp_path, tmp_path / "cache")
    assert not (tmp_path / "mark").exists()


def test_a_cached_array_that_is_a_pickle_is_not_run(tmp_path: Path) -> None:
    wanted = "cifar10-" + "0" * 16
    folder = tmp_path / "arrays" / wanted
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        for part in ("images", "labels"):
            np.save(folder / f"{split}-{part}.npy", np.array([Bomb(tmp_path / "mark")], object), allow_pickle=True)
    with pytest.raises(FileNotFoundError):
        datasets.prepare("cifar10", tmp_path / "none", tmp_path, expect=wanted)
    assert not (tmp_path / "mark").exists()


def pictures(folder: Path, data: bytes, n: int = 2) -> Path:
    for split in ("train", "test"):
        parquet(folder / f"{split}.parquet", image=[data] * n, label=[0] * n)
    return folder


def test_a_picture_that_would_fill_the_memory_is_not_decoded(tmp_path: Path) -> None:
    for side in (1_000, 60_000):
        header = io.BytesIO()
        Image.new("RGB", (1, 1)).save(header, "BMP")
        data = bytearray(header.getvalue())
        data[18:26] = side.to_bytes(4, "little") * 2  # width and height, nothing behind them
        with pytest.raises(ValueError, match=rf"row 0 .*({side}x{side}|bomb)"):
            datasets.prepare("cifar10", pictures(tmp_path, bytes(data)), tmp_path / "cache")


def test_no_picture_starts_another_program(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gs").write_text(f"#!/bin/sh\nmkdir {tmp_path / 'mark'}\n")
    (tmp_path / "bin" / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(ValueError, match="row 0"):
        datasets.prepare("cifar10", pictures(tmp_path, eps), tmp_path / "cache")
    assert not (tmp_path / "mark").exists()


def test_a_pipe_in_place_of_a_dataset_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.parquet")
    os.mkfifo(tmp_path / "test.parquet")
    with pytest.raises(FileNotFoundError, match="not a regular file"):
        datasets.prepare("cifar10", tmp_path, tmp_path / "cache")


def test_a_note_in_the_cache_names_nothing_outside_it(tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.new("RGB", (32, 32)).save(png, "PNG")
    root, cache = pictures(tmp_path / "cifar10", png.getvalue()), tmp_path / "cache"
    honest = datasets.identify("cifar10", root, cache)
    files = datasets.get("cifar10").files(root)
    note = cache / "sources" / f"{arrays._fingerprint(datasets.get('cifar10'), files)}.json"
    note.parent.mkdir(parents=True)
    for lie in ('{"dataset_id": "../../cifar10-0"}', '{"dataset_id": 3}', "[]", "[" * 10**5, '{"dataset_id": ""}'):
        note.write_text(lie)
        assert datasets.identify("cifar10", root, cache) == honest


def test_a_lock_that_is_a_link_empties_no_file(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".name.lock").symlink_to(tmp_path / "victim")
    with arrays.lock(tmp_path, "name"):
        pass
    assert (tmp_path / "victim").read_text() == "mine"
