"""CheXpert and the task of several labels: the layout, findings, uncertain labels, the area under the ROC curve."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

import workers
from workers import datasets, tasks
from workers.data.findings import BLANK, EVALUATED, NAMES, NEGATIVE, POSITIVE, UNCERTAIN, encoded
from workers.datasets import IGNORED

TASK = tasks.get("multi")
CHEXPERT = datasets.get("chexpert")
TEXT = {NEGATIVE: "0.0", POSITIVE: "1.0", UNCERTAIN: "-1.0", BLANK: ""}
HEAD = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *NAMES)
CODES = np.random.default_rng(0).integers(0, 4, (28, len(NAMES)))
CODES[20:22] = [[NEGATIVE], [POSITIVE]]  # of the test split: every finding occurs and is absent


def path_of(number: int) -> str:
    split = "train" if number < 20 else "valid"
    return f"{split}/patient{number // 2:05}/study1/view{number % 2 + 1}_frontal.jpg"


def write(folder: Path, numbers: range, file: str) -> None:
    with (folder / file).open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(HEAD)
        for number in numbers:
            findings = [TEXT[int(code)] for code in CODES[number]]
            table.writerow([f"CheXpert-v1.0-small/{path_of(number)}", "Male", "60", "Frontal", "AP", *findings])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published layout with 20 training and 8 test images."""
    place = tmp_path_factory.mktemp("chexpert") / "CheXpert-v1.0-small"
    rng = np.random.default_rng(1)
    for number in range(28):
        file = place / path_of(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40 + number, 48), np.uint8), "L").save(file)
    write(place, range(20), "train.csv")
    write(place, range(20, 28), "valid.csv")
    return place


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_images_and_findings_are_those_of_the_tables(folder: Path, cache: Path) -> None:
    data = datasets.prepare("chexpert", folder, cache)
    codes = [encoded(CODES[n].tolist()) for n in range(28)]
    assert data.train.labels.tolist() == codes[:20]
    assert data.test.labels.tolist() == codes[20:]
    assert datasets.identify("chexpert", folder) == data.dataset_id


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A folder with other tables and the same images."""
    for split in ("train", "valid"):
        (tmp_path / split).symlink_to(folder / split)
    write(tmp_path, range(20), "train.csv")
    write(tmp_path, range(20, 28), "valid.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("Path,", "File,", "train.csv has no column Path; expected CheXpert's table"),
        ("Edema,", "Oedema,", "has no column Edema"),
        (
            "view1_frontal",
            "view9_frontal",
            r"line 2 names train/patient00000/.*view9_frontal.jpg, and there is no",
        ),
        ("AP,", "AP,2.0", "line 2: No Finding is '2.0.*; expected 1.0, 0.0, -1.0 or nothing"),
        (
            "CheXpert-v1.0-small/train/",
            "train/",
            "line 2: Path is 'train/patient.*expected one like CheXpert",
        ),
        ("patient00001", "patient00010", "1 patients are in train.csv and in valid.csv, such as patient00010"),
    ],
)
def test_a_mistake_in_a_table_is_named(copy: Path, folder: Path, was: str, now: str, says: str) -> None:
    text = (copy / "train.csv").read_text()
    (copy / "train.csv").write_text(text.replace(was, now, 1) if was != "patient00001" else text.replace(was, now))
    if was == "patient00001":
        (copy / "train").unlink()
        (copy / "train").mkdir()
        for place in (folder / "train").iterdir():
            (copy / "train" / place.name.replace(was, now)).symlink_to(place)
    with pytest.raises(ValueError, match=says):
        datasets.identify("chexpert", copy)


def target(policy: str | None) -> torch.Tensor:
    recipe = workers.recipe("demo", space="chain", dataset="imagenet", task="multi")
    task = TASK.configured(recipe.replace(uncertain=policy))
    labels = torch.tensor([encoded(codes) for codes in CODES.tolist()])
    images = torch.zeros(len(labels), 224, 224, 3, dtype=torch.uint8)
    return task.batch(images, labels, {}, CHEXPERT)[1]


def test_only_uncertain_labels_depend_on_the_policy() -> None:
    uncertain = torch.from_numpy(CODES == UNCERTAIN)
    for policy, value in ((None, 1), ("ones", 1), ("zeros", 0), ("ignore", IGNORED)):
        found = target(policy)
        assert found.shape == (28, 14)
        assert set(found[uncertain].tolist()) == {value}
        assert torch.equal(found[~uncertain], torch.from_numpy(CODES == POSITIVE).long()[~uncertain])


def test_the_loss_is_the_mean_over_labels_that_count() -> None:
    out = torch.randn(28, 14, dtype=torch.float64, requires_grad=True)
    wanted = target("ignore")
    loss = TASK.loss(out, wanted)
    p = torch.sigmoid(out)
    each = -torch.where(wanted == 1, p, 1 - p).log()
    torch.testing.assert_close(loss, each[wanted != IGNORED].mean())
    (gradient,) = torch.autograd.grad(loss, out)
    assert (gradient[wanted == IGNORED] == 0).all()
    nothing = TASK.loss(out, torch.full_like(wanted, IGNORED))
    assert nothing == 0


@pytest.mark.parametrize(("setting", "places"), [(None, EVALUATED), ("all", range(14))])
def test_the_score_is_the_mean_area_of_scikit_learn(setting: str | None, places: Any) -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.randint(2, (400, 14), generator=generator)
    out = truth + 2 * torch.randn(400, 14, generator=generator)
    truth[:50, 3] = IGNORED
    recipe = workers.recipe("demo", space="chain", dataset="imagenet", task="multi").replace(findings=setting)
    task = TASK.configured(recipe)
    counted = sum(task.correct(*part) for part in zip(out.split(64), truth.split(64), strict=True))
    areas = []
    for k in places:
        known = truth[:, k] != IGNORED
        areas.append(roc_auc_score(truth[known, k], out[known, k]))
    assert task.score(counted, 1) == pytest.approx(np.mean(areas), abs=1e-3)
    assert task.chance(torch.ones(14)) == 0.5
    with pytest.raises(ValueError, match="no finding is positive in some"):
        task.score(task.correct(out, torch.zeros_like(truth)), 1)


def test_settings_of_findings_are_for_this_task_alone() -> None:
    recipe = workers.recipe("demo", space="chain", dataset="imagenet", task="cls").replace(uncertain="ones")
    with pytest.raises(LookupError, match="recipe settings uncertain are for task multi alone"):
        tasks.get("cls").configured(recipe)
    for name in ("cls", "col", "seg"):
        assert tasks.get(name).unsupported_reason(CHEXPERT)
    assert "images with findings" in str(TASK.unsupported_reason(datasets.get("imagenet")))


def test_a_network_is_trained_on_findings(folder: Path, cache: Path) -> None:
    dataset_id = datasets.identify("chexpert", folder)
    recipe = workers.recipe("demo", space="chain", dataset="imagenet", task="multi")
    sizes = {"epochs": 1, "width": 2, "depth": 1, "batch": 4, "test_batch": 4, "precise_bn": 0}
    trial = workers.Trial(
        space="chain",
        arch="c3",
        dataset="chexpert",
        dataset_id=dataset_id,
        task="multi",
        recipe=recipe.replace(**sizes),
    )
    row = workers.run(trial, data_root=folder, cache_dir=cache)
    assert (row["status"], row["metric"], row["chance"], row["test_images"]) == ("ok", "auc", 0.5, 8)
    assert 0 <= row["score_final"] <= 1
    assert row["train_loss"] > 0
