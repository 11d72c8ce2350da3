"""The drawn scenes: the same bytes everywhere, balanced, disjoint splits, no easy way to the answers."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from workers import datasets
from workers.data.custom_source import Source
from workers.data.dataset import content_id
from workers.data.generated import GENERATORS, integers, silhouettes
from workers.data.image_types import SPLITS
from workers.datasets import Scenes

MASK = 2**64 - 1


@pytest.fixture(scope="module")
def splits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {split: datasets.get("scenes").read(split, None) for split in SPLITS}


def splitmix(key: int, counter: int) -> int:
    """The generator with Python's integers, as it is published."""
    mixed = (key + (counter + 1) * 0x9E3779B97F4A7C15) & MASK
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & MASK
    return mixed ^ (mixed >> 31)


def test_the_generator_of_integers_is_the_published_one() -> None:
    # The first numbers of SplitMix64 with seed 1234567, as its reference implementation prints them.
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [splitmix(1234567, counter) for counter in range(5)] == known
    keys = np.array([0, 1, 1234567, 2**63, MASK], np.uint64)
    counters = np.arange(5, dtype=np.uint64)
    found = integers.words(keys[:, None], counters[None])
    assert found.tolist() == [[splitmix(int(key), int(counter)) for counter in counters] for key in keys]
    draws = integers.Draws(keys)
    expected = [[splitmix(int(key), n) for n in (1, 2)] for key in keys]
    seen = np.stack([draws.below(1000), draws.between(-7, 7)], axis=1)
    assert seen.tolist() == [[(a >> 32) * 1000 >> 32, ((b >> 32) * 15 >> 32) - 7] for a, b in expected]
    grid = integers.Draws(keys).grid(2, 3)
    assert grid.reshape(5, 6).tolist() == [[splitmix(splitmix(int(k), 1), n) for n in range(6)] for k in keys]


def test_an_image_depends_on_its_number_alone(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Drawn alone or among others, in a small dataset or a large one: arrays of many images mix nothing up."""
    few = Scenes(images=(257, 10)).draw("train")
    assert np.array_equal(few[0], splits["train"][0][:257])
    scene = Scenes()
    for number in (0, 249, 250, 749):
        label = np.array([number % 10])
        alone = scene.paint(integers.keys(0, 0, np.array([number])), label)
        assert np.array_equal(alone[0], splits["train"][0][number])


def test_the_embedded_set_is_the_kind_with_its_default_values(
    splits: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    source = Scenes()
    own, dataset_id = datasets.describe("mine", source, None, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()  # a plan writes nothing
    for split in SPLITS:
        for one, other in zip(own.read(split, None), splits[split], strict=True):
            assert np.array_equal(one, other)
    d = datasets.get("scenes")
    for fact in ("classes", "class_names", "size", "mean", "std", "train_images", "test_images", "jigsaw", "stem"):
        assert getattr(own, fact) == getattr(d, fact), fact
    assert d.published_id == content_id("scenes", [(split, *splits[split]) for split in SPLITS])
    assert re.fullmatch(r"mine-[0-9a-f]{8}-[0-9a-f]{16}", dataset_id)
    arrays = datasets.prepare(own, None, tmp_path / "cache", expect=dataset_id)
    assert np.array_equal(arrays.test.images, splits["test"][0])


def test_what_was_prepared_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Scenes(images=(20, 20), seed=3)
    own, dataset_id = datasets.describe("mine", source, None, tmp_path)
    datasets.prepare(own, None, tmp_path, expect=dataset_id)
    monkeypatch.setattr(Scenes, "draw", lambda *_: pytest.fail("drawn again"))
    assert datasets.describe("mine", source, None, tmp_path) == (own, dataset_id)
    datasets.prepare(own, None, tmp_path, expect=dataset_id)


@pytest.mark.parametrize(
    "changed", [{"size": 16}, {"classes": 9}, {"images": [300, 100]}, {"difficulty": 0.6}, {"seed": 1}]
)
def test_every_number_is_part_of_the_id(changed: dict[str, Any], tmp_path: Path) -> None:
    given: dict[str, Any] = {"images": [100, 100]}
    ids = {datasets.describe("mine", Scenes(**given), None, tmp_path)[1]}
    ids.add(datasets.describe("mine", Scenes(**given | changed), None, tmp_path)[1])
    assert len(ids) == 2
    own, _ = datasets.describe("mine", Scenes(**given | changed), None, tmp_path)
    stored = type(own).model_validate_json(own.model_dump_json())  # by plans
    assert (stored.source, stored.prefix) == (own.source, own.prefix)


@pytest.mark.parametrize("size", [16, 32, 47, 64])
def test_every_size_is_the_same_scene(size: int) -> None:
    """Averages over parts of an image agree with those of the image at 64 px."""
    numbers = {"images": (40, 10), "difficulty": 0.0}
    found = Scenes(size=size, **numbers).draw("train")[0]
    large = Scenes(size=64, **numbers).draw("train")[0]
    assert found.shape == (40, size, size, 3)
    assert np.abs(found.mean(axis=(1, 2)) - large.mean(axis=(1, 2))).max() < 6


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"size": 15}, "greater than or equal to 16"),
        ({"size": 65}, "less than or equal to 64"),
        ({"classes": 11}, "less than or equal to 10"),
        ({"classes": 1}, "greater than or equal to 2"),
        ({"difficulty": 1.5}, "less than or equal to 1"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"images": [1000, 9]}, "at least as many images in each split as classes"),
        ({"images": [1000]}, "Field required"),
        ({"images": [10**7, 100]}, "less than or equal to 1000000"),
        ({"sise": 3}, "Extra inputs"),
    ],
)
def test_numbers_that_cannot_be(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Scenes(**given)


def test_kinds_of_files_and_of_generators_do_not_share_a_name() -> None:
    for kind, source in GENERATORS.items():
        assert source.model_fields["kind"].default == kind
        with pytest.raises(ValidationError):
            Source(kind=kind, size=32)  # type: ignore[arg-type]


def test_no_silhouette_is_symmetric() -> None:
    assert len(silhouettes.SILHOUETTES) == len(silhouettes.raster()) == 10
    views = []
    for cells in silhouettes.raster() > 0:
        turned = [np.rot90(cells, turns) for turns in range(4)]
        views += [view.tobytes() for one in turned for view in (one, one[:, ::-1])]
        # Not nearly, either: many cells differ between an object and its mirror image, or turned upside down.
        assert min((cells != cells[:, ::-1]).mean(), (cells != cells[::-1]).mean()) > 0.05
        assert cells[-1].any()  # it stands on the ground
    assert len(set(views)) == len(views)


def test_splits_are_balanced_and_share_no_image(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    seen = {split: {image.tobytes() for image in splits[split][0]} for split in SPLITS}
    assert [len(seen[split]) for split in SPLITS] == [len(splits[split][0]) for split in SPLITS]
    assert not seen["train"] & seen["test"]
    for _, labels in splits.values():
        assert np.bincount(labels).tolist() == [len(labels) // 10] * 10
    other = Scenes(seed=1, images=(100, 100)).draw("train")[0]
    assert not {image.tobytes() for image in other} & (seen["train"] | seen["test"])


def nearest(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The label of the closest class mean."""
    means = np.stack([train[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    return ((test[:, None] - means[None]) ** 2).sum(axis=-1).argmin(axis=1)


def test_averages_do_not_give_the_answers_away(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    (train, labels), (test, truth) = splits["train"], splits["test"]
    guessed = nearest(train.mean(axis=(1, 2)), labels, test.mean(axis=(1, 2)))
    assert (guessed == truth).mean() < 0.35  # the mean colour and the kind
    bands = [
        images.reshape(len(images), 4, -1, 4, images.shape[2] // 4, 3).mean(axis=(2, 4)) for images in (train, test)
    ]
    turned = [np.concatenate([np.rot90(b, turns, (1, 2)).reshape(len(b), -1) for turns in range(4)]) for b in bands]
    turns = [np.repeat(np.arange(4), len(b)) for b in bands]
    assert (
        nearest(turned[0], turns[0], turned[1]) == turns[1]
    ).mean() < 0.5  # brightness and colour, and which way is up


def test_difficulty_is_seen_in_the_images() -> None:
    spread = []
    for difficulty in (0.0, 1.0):
        images = Scenes(images=(300, 10), difficulty=difficulty).draw("train")[0].astype(int)
        spread.append(np.abs(np.diff(images, axis=2)).mean())
    assert spread[0] < spread[1]  # noise and clutter
