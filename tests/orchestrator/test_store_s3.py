"""A run on S3: the same guarantees as on a disk, and a store that fails for a while or for good."""

import dataclasses
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
import torch

import analysis
import workers
from orchestrator.store import lease
from orchestrator.store.run_folder import STOP, RunStore
from workers import checkpoint, files, weights

from .conftest import Ended, Write, cli, start, wait_for
from .s3 import KEY, S3, SECRET, environment
from .test_store import row, seen
from .test_weights import text

pytestmark = pytest.mark.xdist_group("s3")


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = S3()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(server: S3, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The URL of a bucket of the test's own."""
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(files, "WAITS_S", (0.05, 0.1))
    name = f"b{abs(hash(request.node.name)) % 10**8}"
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}"


@pytest.fixture
def store(bucket: str) -> RunStore:
    return RunStore(f"{bucket}/studies/run")


Main = Callable[..., tuple[int, str]]


@pytest.fixture
def main(archsweep: Callable[..., tuple[int, str, str]]) -> Main:
    """The command line in this process: exit code, and all that was printed."""

    def run(*words: object) -> tuple[int, str]:
        code, out, err = archsweep(*words)
        return code, out + err

    return run


def on(url: str, file: Path) -> Path:
    """The study with its run on the object store."""
    lines = [f'path = "{url}"' if line.startswith("path") else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines))
    return file


def test_every_verb_works_on_a_run_on_s3(study: Write, bucket: str, main: Main, tmp_path: Path) -> None:
    url = f"{bucket}/studies/tiny"
    file = on(url, study(archs=3, execution="checkpoint_s = 0"))
    code, said = main("run", file, "--limit", 2)
    assert code == 3, said
    assert "2 of 6 trials done" in said
    code, said = main("run", url)
    assert code == 0, said
    assert "6 of 6 trials done (4 trained now)" in said
    fs = fsspec.filesystem("s3", use_listings_cache=False)
    held = {path.split("/", 3)[3].split("/")[0] for path in fs.find(url)}
    assert held == {"study.toml", "plan.parquet", "rows"}  # no attempt, checkpoint, log or lease is left
    assert sorted(pd.read_parquet(f"{url}/rows")["trial_id"]) == sorted(analysis.load(url)["trial_id"])
    code, said = main("status", url, "--json")
    assert json.loads(said)["done"] == 6
    assert main("correlate", url)[0] == 0
    assert "3" in main("query", url, "select task, count(*) from rows group by task")[1]
    assert main("export", url, tmp_path / "rows.csv")[0] == 0
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 6
    assert main("report", url, "--to", tmp_path / "report")[0] == 0
    assert (tmp_path / "report" / "report.html").is_file()
    assert "no driver is at work" in main("stop", url)[1]
    assert "nothing to retry" in main("retry", url, "--failed")[1]
    assert "6 done, 0 left" in main("plan", file)[1]
    everything = b"".join(fs.cat(path) for path in fs.find(url)).decode(errors="replace")
    assert SECRET not in everything
    assert KEY not in everything


def test_weights_that_other_trials_use_lie_on_s3(bucket: str, main: Main, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(text(f"{bucket}/run").replace("sample = 2", "sample = 1"))
    assert "1 trial waits for the weights of 1 trial" in main("plan", file)[1]
    code, said = main("run", file)
    assert (code, "3 of 3 trials done (3 trained now)" in said) == (0, True)
    store = RunStore(f"{bucket}/run")
    (base,) = store.kept_weights()
    assert weights.load(store.weights(base), base).trial.id == base
    store.remove("weights", f"{base}.pt")
    with pytest.raises(FileNotFoundError, match=f"no weights of trial {base} at s3://"):
        weights.load(store.weights(base), base)


@pytest.mark.ray
def test_workers_of_tune_publish_to_s3_and_a_stop_reaches_them(study: Write, bucket: str) -> None:
    url = f"{bucket}/tiny"
    file = on(url, study(archs=1, epochs=100_000, tasks=("cls",), engine="tune", execution="checkpoint_s = 1"))
    process = start("run", file)
    try:
        checkpoint_of = lambda: fsspec.filesystem("s3", use_listings_cache=False).glob(f"{url}/trials/*/*.pt")  # noqa: E731
        wait_for(lambda: checkpoint_of() or process.poll() is not None, every=0.5)
        assert process.poll() is None, process.out + process.err
        assert cli("run", url).code == 3  # held
        asked = cli("stop", url)
        assert "asked process" in asked.out
        ended = Ended(process)
    finally:
        process.kill()
    assert ended.code == 3, ended.out + ended.err
    assert checkpoint_of()
    assert not RunStore(url).exists(STOP)
    assert SECRET not in ended.out + ended.err


def test_of_many_drivers_in_one_instant_one_holds_the_run(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that says it has expired, in a file that is new, is watched for LIFE_S before it is taken."""
    monkeypatch.setattr(lease, "LIFE_S", 0.5)
    monkeypatch.setattr(lease, "_LOOK_S", 0.1)

    def race(names: list[str]) -> list[str]:
        together = threading.Barrier(len(names))

        def go(name: str) -> str | None:
            together.wait()
            try:
                return lease.acquire(RunStore(store.url), name).launch
            except lease.Held:
                return None

        with ThreadPoolExecutor(len(names)) as pool:
            return [name for name in pool.map(go, names) if name]

    for turn in range(4):
        (winner,) = race([f"driver{turn}-{n}" for n in range(6)])
        assert lease.held(store, winner)
        gone = dataclasses.replace(lease.Lease.mine(winner), host="elsewhere", expires=time.time() - 1)
        store.write(lease.encoded(gone), lease.NAME)
        (heir,) = race([f"heir{turn}-{n}" for n in range(6)])
        assert lease.held(store, heir)
        assert not lease.renew(store, winner)
        assert lease.renew(store, heir)
        lease.release(store, heir)


def test_a_conditional_write_whose_answer_was_lost_counts(server: S3, store: RunStore) -> None:
    """The client sends it again, and meets its own file."""
    app = server._app

    def forgetful(environ: Any, start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] != "PUT":
            return app(environ, start_response)
        server._app = app
        app(environ, lambda *answer: None)
        start_response("500 InternalError", [("Content-Length", "0")])
        return [b""]

    for write in (
        lambda: files.create(store.at("file"), b"mine"),
        lambda: files.replace(store.at("file"), b"mine again", expected=b"mine"),
    ):
        server._app = forgetful  # type: ignore[assignment]
        try:
            assert write()
        except OSError:  # the client gave up; a second try finds its own
            assert files.read(store.at("file")) in (b"mine", b"mine again")
        finally:
            server._app = app


def test_folding_and_reading_on_s3(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.rows.runs._SMALL", 0)  # it reads parts piece by piece, the store whole
    done = threading.Event()

    def work() -> None:
        try:
            for n in range(60):
                store.publish_attempt(row(f"t{n:02d}", at=n))
                if n % 6 == 5:
                    store.compact()
        finally:
            done.set()

    writer = threading.Thread(target=work)
    writer.start()
    reader, before = RunStore(store.url), 0
    while not done.is_set():
        for found in (reader.attempts(["trial_id"])["trial_id"].to_pylist(), _loaded(store.url)):
            assert len(found) == len(set(found))
            assert len(found) >= before
        before = len(found)
    writer.join()
    assert [t for t, _, _ in seen(reader)] == [f"t{n:02d}" for n in range(60)]
    assert store.listing("attempts") == []


def _loaded(url: str) -> list[str]:
    try:
        return analysis.load(url, columns=["trial_id"])["trial_id"].tolist()  # type: ignore[no-any-return]
    except FileNotFoundError:
        return []


def test_readers_take_only_the_columns_they_need(server: S3, store: RunStore) -> None:
    for n in range(3):
        store.publish_attempt(row(f"t{n}", at=n, curve_test_score=np.random.default_rng(n).random(400_000)))
    store.compact()
    part = store.at("rows", store.listing("rows")[0]).removeprefix("s3:/")
    size = len(files.read(f"s3:/{part}") or b"")
    sent = 0
    app = server._app

    def counting(environ: Any, start_response: Any) -> Any:
        nonlocal sent
        answer = b"".join(app(environ, start_response))
        if environ["PATH_INFO"] == part and environ["REQUEST_METHOD"] == "GET":
            sent += len(answer)
        return [answer]

    server._app = counting  # type: ignore[assignment]
    try:
        assert RunStore(store.url).attempts(["status"])["status"].to_pylist() == ["ok"] * 3
        assert analysis.load(store.url)["trial_id"].tolist() == ["t0", "t1", "t2"]
    finally:
        server._app = app
    assert 0 < sent < size / 2  # two readings


def failing(status: int, code: str, times: float = float("inf"), method: str = "PUT", where: str = "") -> Any:
    """A fault of so many requests."""
    left = [times]

    def fault(asked: str, path: str) -> tuple[int, str] | None:
        if asked != method or where not in path or left[0] <= 0:
            return None
        left[0] -= 1
        return status, code

    return fault


def test_a_store_that_is_busy_for_a_while_is_asked_again(server: S3, study: Write, bucket: str, main: Main) -> None:
    url = f"{bucket}/busy"
    server.asked.clear()
    with server.failing(failing(503, "ServiceUnavailable", times=2, where="attempts")):
        code, said = main("run", on(url, study(archs=1)))
    assert code == 0, said
    assert len(RunStore(url).attempts()) == 2
    assert sum(method == "PUT" and "attempts" in path for method, path in server.asked) == 4


@pytest.mark.parametrize(("status", "code"), [(503, "ServiceUnavailable"), (403, "AccessDenied")])
def test_a_row_that_cannot_be_published_stops_the_run_and_the_next_run_completes_it(
    server: S3, study: Write, bucket: str, main: Main, status: int, code: str
) -> None:
    url = f"{bucket}/refused{status}"
    file = on(url, study(archs=1, epochs=2, tasks=("cls", "rot"), execution="checkpoint_s = 0"))
    assert main("run", file, "--limit", 1)[0] == 3
    with server.failing(failing(status, code, where="attempts")):
        ended, said = main("run", file)
    assert ended == 1, said
    assert "Traceback" not in said
    assert f"{url}/attempts/" in said
    assert code in said
    store = RunStore(url)
    assert len(store.attempts()) == 1
    assert fsspec.filesystem("s3", use_listings_cache=False).glob(f"{url}/trials/*/checkpoint.pt")  # what it had done
    ended, said = main("run", file)
    assert ended == 0, said
    rows = store.attempts(["trial_id", "status", "resumed", "attempt"]).to_pandas()
    assert len(rows) == rows["trial_id"].nunique() == 2
    assert rows["resumed"].sum() == 1  # one epoch of the trial that could not publish
    assert set(rows["attempt"]) == {1}


def test_a_refused_or_missing_bucket_is_a_clear_error_before_anything_starts(
    server: S3, study: Write, bucket: str, main: Main
) -> None:
    file = on(f"{bucket}/x", study(archs=1))
    with server.failing(failing(403, "AccessDenied")):
        code, said = main("run", file)
    assert code == 2
    assert f"{bucket}/x cannot be written" in said
    code, said = main("run", on("s3://no-such-bucket/x", file))
    assert code == 2
    assert "s3://no-such-bucket/x cannot be written" in said
    assert "bucket does not exist" in said


def test_a_server_that_is_gone_is_named_and_one_that_comes_back_is_used(
    server: S3, study: Write, bucket: str, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    url = f"{bucket}/gone"
    file = on(url, study(archs=1))
    assert main("run", file, "--limit", 1)[0] == 3
    server.stop()
    try:
        for verb in (("status", url), ("run", file), ("correlate", url)):
            code, said = main(*verb)
            assert code == 2, said
            assert "Could not connect" in said
            assert "Traceback" not in said
    finally:
        server.start()
    assert main("run", file)[0] == 0
    assert len(RunStore(url).attempts()) == 2


def test_a_checkpoint_on_s3_is_read_back_and_a_torn_or_foreign_one_is_not(
    store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    trial = workers.Trial(
        space="chain",
        arch="c3_c5_c3",
        dataset="photos",
        task="cls",
        recipe=workers.recipe("demo", space="chain", dataset="photos", task="cls"),
        dataset_id="photos-0",
    )
    other = trial.model_copy(update={"seed": 2})
    url, cpu = store.at("trials", trial.id, "checkpoint.pt"), torch.device("cpu")
    assert checkpoint.load(url, trial, cpu) is None
    checkpoint.save(url, trial, {"net": torch.arange(3)})
    state = checkpoint.load(url, trial, cpu)
    assert state is not None
    assert state["net"].tolist() == [0, 1, 2]
    assert checkpoint.load(url, other, cpu) is None
    assert f"belongs to trial {trial.id}" in caplog.text
    whole = files.read(url) or b""
    for torn in (b"", whole[: len(whole) // 2]):
        caplog.clear()
        files.publish(url, torn)
        assert checkpoint.load(url, trial, cpu) is None
        assert "cannot be used" in caplog.text
