"""Paths and URLs: every part of the program interprets a text in the same way, or rejects it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import analysis
import spaces
import workers
from orchestrator.store.run_folder import RunStore
from orchestrator.study import schema as studies
from workers import files

from .test_cli import Said
from .test_cli import say as say  # a fixture
from .test_store import row

Say = Callable[..., Said]
STUDY = {
    "name": "tiny",
    "sweeps": [
        {"space": "chain", "architectures": {"sample": 1}, "dataset": "photos", "tasks": ["cls"], "recipe": "demo"}
    ],
}
AMBIGUOUS = ["file:/a/b", "file:b", "FILE:/a", "local:b", "data:b", "data://b", "C:b", "C:\\b", "s3:/b/c", "memory:b"]
NO_URLS = ["://b", "b/c://d", "C://b", "file://host/b", "dir://b", "nosuch://b"]


@pytest.mark.parametrize("text", [*AMBIGUOUS, *NO_URLS])
def test_what_could_be_read_in_two_ways_is_refused_by_every_reader(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for read in (RunStore, files.read, analysis.load):
        with pytest.raises((ValueError, FileNotFoundError)) as refused:
            read(text)
        assert text in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [*AMBIGUOUS, "s3://bucket/data"])
@pytest.mark.parametrize("key", ["data_root", "cache_dir", "dataset", "file"])
def test_data_lies_on_a_disk_under_a_plain_path(key: str, text: str) -> None:
    sweep: dict[str, Any] = dict(STUDY["sweeps"][0])  # type: ignore[arg-type]
    study = (
        STUDY
        | {
            "data_root": {"data_root": text},
            "cache_dir": {"execution": {"cache_dir": text}},
            "dataset": {"sweeps": [sweep | {"dataset": {"name": "cifar10", "path": text}}]},
            "file": {"sweeps": [sweep | {"architectures": {"file": text}}]},
        }[key]
    )
    with pytest.raises(ValueError, match="expected a path on a disk"):
        studies.Study.model_validate(study)
    if key == "data_root":
        with pytest.raises(ValueError, match="--data-root"):
            studies.Study.model_validate(STUDY).at(text)


@pytest.mark.parametrize("text", ["./C:x", "a/file:x", "file://{}/a b", "local://{}/x", "{}/s3:/x", "{}/x:y"])
def test_a_place_is_the_same_for_whoever_writes_and_whoever_reads(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = text.format(tmp_path)
    store = RunStore(studies.Study.model_validate(STUDY | {"path": text}).path)
    store.publish_attempt(row("a"))
    store.compact()
    [part] = tmp_path.rglob("*.parquet")
    assert part.parent.parent == Path(store.url).absolute()
    assert len(analysis.load(text)) == len(analysis.load(store.url)) == 1


def test_a_checkpoint_is_never_written_to_half_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = workers.recipe("demo", space="chain", dataset="photos", task="cls").replace(epochs=1)
    arch = spaces.sample(spaces.get("chain"), 1, 0).archs[0]
    trial = workers.Trial(space="chain", arch=arch, dataset="photos", task="cls", recipe=recipe)
    with pytest.raises(ValueError, match="write the path alone, x"):
        workers.run(trial, checkpoint_url="file:x")
    assert list(tmp_path.iterdir()) == []


def test_a_run_s_own_study_file_names_that_run_wherever_it_was_moved(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(
        'name = "tiny"\n[[sweeps]]\nspace = "chain"\narchitectures = { sample = 1 }\ndataset = "photos"\n'
        'tasks = ["cls"]\nrecipe = "demo"\noverride = { epochs = 1, width = 4, precise_bn = 64 }\n'
        '[execution]\nengine = "inline"\n'
    )
    assert say("run", "tiny.toml").code == 0
    shutil.move("runs/tiny", "elsewhere/there")
    said = say("run", "elsewhere/there/study.toml")
    assert "1 of 1 trials done (0 trained now)" in said.out
    monkeypatch.chdir("elsewhere/there")
    assert "1 of 1 trials done" in say("status", "study.toml").out
    assert "1 trials, 1 done" in say("plan", "study.toml").out
    assert not (tmp_path / "runs" / "tiny").exists()
    assert not (tmp_path / "elsewhere" / "runs").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("prepare", "photos", "--cache-dir", "file:x"),
        ("prepare", "photos", "--data-root", "s3://bucket/data"),
        ("doctor", "--data-root", "local:x"),
        ("export", "{run}", "s3://bucket/rows.csv"),
        ("report", "{run}", "--to", "file:x"),
        ("import", "table", "file:x.csv", "--into", "y"),
    ],
    ids=" ".join,
)
def test_options_that_name_files_take_no_urls(
    words: tuple[str, ...], say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    RunStore("run").publish_attempt(row("a"))
    RunStore("run").compact()
    said = say(*(word.format(run="run") for word in words))
    assert said.code == 2
    assert "expected a path on a disk" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
