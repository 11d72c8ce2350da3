"""A study on a custom dataset: a folder of images and a few keys."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import workers
from orchestrator import runner
from orchestrator.cli.arguments import study_of
from orchestrator.cli.main import app
from orchestrator.study import schema as studies
from orchestrator.study.plan import plan, trial_of

from ..workers.photographs import folder
from .conftest import cli

STUDY = """
name = "mine"
path = "{path}"
[[sweeps]]
space = "chain"
architectures = {{ list = ["c3"] }}
dataset = {{ {dataset} }}
tasks = {tasks}
recipe = "demo"
override = {{ epochs = 1, width = 4, batch = 4, precise_bn = 4 }}
[execution]
engine = "inline"
"""


def write(root: Path, dataset: str, tasks: str = '["cls", "rot", "col", "jig"]') -> Path:
    (root / "mine.toml").write_text(STUDY.format(path=root / "run", dataset=dataset, tasks=tasks))
    return root / "mine.toml"


def test_a_folder_of_pictures_is_planned_prepared_trained_and_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder(tmp_path / "pictures")
    file = write(tmp_path, f'name = "pictures", kind = "folder", path = "{tmp_path}/pictures", size = 24')
    app(["prepare", str(file)], standalone_mode=False)
    prepared = capsys.readouterr().out
    assert "18 training and 6 test images" in prepared
    assert "classes: n01440764, n01443537, n02084071" in prepared
    assert runner.run(studies.load(str(file)), limit=1).left == 3
    ended = runner.run(study_of(str(tmp_path / "run")))  # from the run's own copy of the study
    assert (ended.done, ended.trained, ended.exit_code) == (4, 3, 0)
    rows = pd.read_parquet(tmp_path / "run" / "rows")
    assert set(rows["status"]) == {"ok"}
    assert rows["dataset_id"].nunique() == 1
    assert f"{rows['dataset_id'][0]}: 18 training" in prepared
    # The plan alone names the same trials, facts of the dataset included: it is what travels to workers.
    planned = pd.read_parquet(tmp_path / "run" / "plan.parquet")
    assert [trial_of(row).id for row in planned.to_dict("records")] == planned["trial_id"].tolist()
    assert planned["own"].str.contains('"train_images":18').all()


@pytest.mark.parametrize("size", [24, 72])
def test_a_batch_that_is_larger_than_the_dataset_is_told_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    folder(tmp_path / "pictures")
    file = write(
        tmp_path, f'name = "pictures", kind = "folder", path = "{tmp_path}/pictures", size = {size}', '["cls"]'
    )
    file.write_text(file.read_text().replace("batch = 4", "batch = 19"))
    said = []
    for verb in ("plan", "prepare"):
        app([verb, str(file)], standalone_mode=False)
        said.append(capsys.readouterr().out)
    notes: list[str] = []
    runner.run(studies.load(str(file)), note=notes.append, limit=1)
    for text in (*said, " ".join(notes)):
        assert "a batch of 19 images is more than the 18 training images of pictures-" in " ".join(text.split())
    file.write_text(file.read_text().replace("batch = 19", "batch = 18"))
    app(["plan", str(file)], standalone_mode=False)
    assert "a batch of" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        ('name = "x", kind = "folder", path = "/nowhere", size = 8', r"sweeps\[0\]\.dataset\.size: .*(given: 8)"),
        (
            'name = "x", kind = "folder", size = 32, sise = 3',
            r"sweeps\[0\]\.dataset\.sise: unknown key; known here: kind",
        ),
        ('name = "x", kind = "tar", size = 32', r"sweeps\[0\]\.dataset\.kind: .*given: 'tar'"),
        ('name = "x", size = 32', r"sweeps\[0\]\.dataset\.kind: Field required"),
        ('name = "X-1", kind = "folder", size = 32', r"sweeps\[0\]\.dataset\.name"),
        ('name = "svhn", kind = "folder", size = 32', "there is a dataset 'svhn' already"),
        ('name = "x", kind = "folder", size = 32, mean = [0.5, 0.5, 0.5]', "give mean and std together"),
        ('name = "x", kind = "folder", size = 32, test = "val", test_fraction = 0.1', "not both"),
        ('name = "x", kind = "folder", size = 32, split_seed = 1', "split_seed belongs to test_fraction"),
        ('name = "x", kind = "folder", size = 32, label_column = "y"', "belong to kind 'parquet'"),
        ('name = "x", kind = "folder", size = 32, mode = "array"', "one form only"),
        (
            'name = "x", kind = "tar"',
            "expected folder, parquet, scenes, fractals, leaves, gratings or noise",
        ),
        ('name = "x", kind = ["scenes"]', r"sweeps\[0\]\.dataset\.kind: not a kind of dataset"),
        (
            'name = "x", kind = "scenes", path = "y"',
            r"sweeps\[0\]\.dataset\.path: unknown key; known .*difficulty",
        ),
        ('name = "x", kind = "scenes", difficulty = 2', r"sweeps\[0\]\.dataset\.difficulty: .*given: 2"),
        ('name = "x", kind = "scenes", images = [9, 100]', r"sweeps\[0\]\.dataset: images = \[9, 100\]: expected"),
        ('name = "x", kind = "scenes", images = [100]', r"sweeps\[0\]\.dataset\.images\[1\]: Field required"),
        ('name = "x", kind = "scenes", size = 224', r"sweeps\[0\]\.dataset\.size: .*given: 224"),
        ('name = "scenes", kind = "scenes"', "there is a dataset 'scenes' already"),
    ],
)
def test_a_mistake_in_its_keys_is_named_with_its_place(tmp_path: Path, dataset: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        studies.load(str(write(tmp_path, dataset)))


def test_generated_images_are_planned_prepared_trained_and_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    numbers = 'kind = "scenes", size = 24, classes = 4, images = [40, 20], difficulty = 0.2, seed = 3'
    file = write(tmp_path, f'name = "drawn", {numbers}')
    (dataset_id,) = set(plan(study_of(str(file))).table["dataset_id"].to_pylist())
    app(["prepare", str(file)], standalone_mode=False)
    said = capsys.readouterr().out
    assert f"{dataset_id}: 40 training and 20 test images" in said
    assert "classes: house, tree, car, boat" in said
    for arguments in (["plan", str(file)], ["run", str(file)], ["run", str(tmp_path / "run")]):
        app(arguments, standalone_mode=False)
    assert "(0 trained now), 0 left" in capsys.readouterr().out
    rows = pd.read_parquet(tmp_path / "run" / "rows")
    assert sorted(rows["task"]) == ["cls", "col", "jig", "rot"]
    assert set(rows["dataset_id"]) == {dataset_id}
    assert (rows["status"] == "ok").all()


def test_missing_files_and_impossible_tasks_end_a_plan_with_code_2(tmp_path: Path) -> None:
    ended = cli("plan", write(tmp_path, 'name = "x", kind = "folder", path = "/nowhere", size = 32'))
    assert (ended.code, ended.err) == (2, "error: dataset x: there is no folder /nowhere\n")
    with pytest.raises(ValueError, match="task col needs images with colours, and those of fashion_mnist are grey"):
        studies.load(str(write(tmp_path, 'name = "fashion_mnist"')))
    folder(tmp_path / "grey")
    for file in (tmp_path / "grey").rglob("*.JPEG"):
        Image.open(file).convert("L").save(file)
    study = studies.load(str(write(tmp_path, f'name = "x", kind = "folder", path = "{tmp_path}/grey", size = 32')))
    with pytest.raises(LookupError, match="those of x are grey"):  # known once they were read
        plan(study)


def test_what_is_not_used_is_told_by_plan_prepare_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path / "pictures")
    place = next((root / "train").iterdir())
    (place / "x.heic").write_bytes(b"?")
    for size in (24, 96):
        dataset = f'name = "pictures", kind = "folder", path = "{root}", size = {size}'
        (tmp_path / str(size)).mkdir()
        file = write(tmp_path / str(size), dataset, tasks='["cls"]')
        for verb in ("plan", "prepare", "run"):
            app([verb, str(file)], standalone_mode=False)
            assert capsys.readouterr().out.count("pictures: left out: 1 file of train (.heic 1)") == 1, verb
    app(["prepare", "imagenet", "--data-root", str(root)], standalone_mode=False)
    assert capsys.readouterr().out.count("imagenet: left out: 1 file of train (.heic 1)") == 1


def test_a_run_does_not_go_on_with_other_images_left_out(tmp_path: Path) -> None:
    """An image that rots between two launches: same size, same id, one image less."""
    root = folder(tmp_path / "pictures")
    dataset = f'name = "pictures", kind = "folder", path = "{root}", size = 72, skip_broken = true, mode = "array"'
    keys = ", mean = [0.5, 0.5, 0.5], std = [0.2, 0.2, 0.2]"
    file = write(tmp_path, dataset + keys)
    assert runner.run(studies.load(str(file)), limit=1).trained == 1
    victim = sorted(root.rglob("*.JPEG"))[0]
    victim.write_bytes(bytes(victim.stat().st_size))
    with pytest.raises(ValueError, match=r"leaves out 1 image on this machine .* but 0 images where the run began"):
        runner.run(studies.load(str(file)))


def test_a_worker_that_leaves_out_other_images_fails_its_trial(tmp_path: Path) -> None:
    """As on the second machine of a cluster, whose copy is broken."""
    root = folder(tmp_path / "pictures")
    dataset = f'name = "pictures", kind = "folder", path = "{root}", size = 72, skip_broken = true'
    keys = ", mean = [0.5, 0.5, 0.5], std = [0.2, 0.2, 0.2]"
    study = studies.load(str(write(tmp_path, dataset + keys, tasks='["cls"]')))
    victim = sorted(root.rglob("*.JPEG"))[0]
    trial, url = trial_of(plan(study).table.to_pylist()[0]), str(tmp_path / "run")
    good = workers.attempt(trial, root, cache_dir=tmp_path / "a", run_url=url)
    victim.write_bytes(bytes(victim.stat().st_size))
    bad = workers.attempt(trial, root, cache_dir=tmp_path / "b", run_url=url)
    assert (good["status"], bad["status"]) == ("ok", "failed")
    assert "one id for different images" in bad["error_text"]
