"""Generated datasets of every kind: the same bytes everywhere, classes that can be learned, noise that cannot."""

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import binomtest, kurtosis

import workers
from workers import contracts, datasets, tasks
from workers.data.generated import GENERATORS, Noise, waves
from workers.data.generated.integers import keys
from workers.data.image_types import SPLITS
from workers.training import fresh

from .test_datasets_scenes import nearest, splitmix

KINDS = sorted(GENERATORS)
LEARNED = sorted(set(KINDS) - {"noise", "scenes"})
# sha256 of 24 training images of 16 px and 4 classes: bytes must not depend on the version of a library.
DIGESTS = {
    "fractals": "8656b9524f9ec92f",
    "gratings": "4e719763ae8f9583",
    "leaves": "614c4796ff95fa09",
    "noise": "7c1639e280260683",
    "scenes": "a1351a23c1f6dd7c",
}


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_those_of_every_machine(kind: str) -> None:
    images, labels = GENERATORS[kind](size=16, classes=4, images=(24, 8)).draw("train")
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == DIGESTS[kind]
    assert labels.tolist() == [0, 1, 2, 3] * 6


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_follows_from_seed_split_and_number(kind: str) -> None:
    """Alone or among others, in a small dataset or a large one."""
    source = GENERATORS[kind](classes=5, images=(300, 60))
    images, labels = source.draw("train")
    assert (images.shape, images.dtype) == ((300, 32, 32, 3), np.uint8)
    assert np.bincount(labels).tolist() == [60] * 5
    assert np.array_equal(GENERATORS[kind](classes=5, images=(257, 60)).draw("train")[0], images[:257])
    alone = source.paint(keys(0, 0, np.array([251])), np.array([251 % 5]))
    assert np.array_equal(alone[0], images[251])
    seen = {image.tobytes() for image in images}
    others = source.draw("test")[0], GENERATORS[kind](classes=5, images=(300, 60), seed=1).draw("train")[0]
    assert len(seen) == 300
    assert not any(image.tobytes() in seen for other in others for image in other)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_the_contract_of_datasets(kind: str, tmp_path: Path) -> None:
    for size in (16, 33, 64):
        own, _ = datasets.describe("mine", GENERATORS[kind](size=size, classes=3, images=(48, 48)), None, tmp_path)
        for check in contracts.dataset_checks(own):
            check.verify()
    assert len(set(own.class_names)) == 3


def features(images: np.ndarray) -> np.ndarray:
    """Of each image: the mean colour, and how strong neighbours differ in four directions."""
    pixels = images.astype(float)
    steps = [(0, 1), (1, 0), (1, 1), (1, -1)]
    changes = [abs(pixels - np.roll(pixels, step, (1, 2))).mean((1, 2)) for step in steps]
    return np.concatenate([pixels.mean((1, 2)), *changes], axis=1)


def guessed(kind: str, classes: int = 8) -> tuple[int, int]:
    """How many of the test images a nearest class mean of simple features gets right, and of how many."""
    source = GENERATORS[kind](classes=classes, images=(40 * classes, 200))
    (train, labels), (test, truth) = source.draw("train"), source.draw("test")
    known, new = features(train), features(test)
    mean, deviation = known.mean(0), known.std(0) + 1e-9
    found = nearest((known - mean) / deviation, labels, (new - mean) / deviation)
    return int((found == truth).sum()), len(truth)


@pytest.mark.parametrize("kind", LEARNED)
def test_classes_are_learned_from_other_images_of_them(kind: str) -> None:
    right, many = guessed(kind)
    assert right / many > 0.5  # chance: 0.125


def test_labels_of_noise_are_not() -> None:
    assert binomtest(*guessed("noise"), p=1 / 8).pvalue > 1e-3


@pytest.mark.parametrize("kind", LEARNED)
def test_a_thousand_classes_are_all_different(kind: str) -> None:
    source = GENERATORS[kind](classes=1000, images=(1000, 1000), size=16)
    images = source.draw("train")[0]
    assert len({image.tobytes() for image in images}) == 1000
    assert images.reshape(1000, -1).std(axis=1).min() > 4  # none is empty


def test_no_cosine_is_near_the_middle_of_two_integers() -> None:
    """A machine whose cosine differs in its last bits rounds to the same integers."""
    values = waves.ONE * np.cos(2 * np.pi * np.arange(waves.TURN) / waves.TURN)
    assert abs(values - np.floor(values) - 0.5).min() > 1e-6
    assert np.array_equal(waves.cosine(np.arange(waves.TURN, dtype=np.int32)), np.round(values))
    angles = np.array([-1, 0, 256, 512, 1025], np.int32)
    assert np.allclose(waves.sine(angles), waves.ONE * np.sin(2 * np.pi * angles / waves.TURN), atol=0.5)


def test_noise_is_what_it_says() -> None:
    source = Noise(mean=(0.3, 0.5, 0.6), std=(0.1, 0.15, 0.05), images=(200, 10))
    images = source.draw("train")[0] / 255
    assert images.mean((0, 1, 2)) == pytest.approx((0.3, 0.5, 0.6), abs=0.002)
    assert images.std((0, 1, 2)) == pytest.approx((0.1, 0.15, 0.05), abs=0.002)
    assert abs(kurtosis(images[..., 1], axis=None) + 1.2 / 16) < 0.03  # of the sum of 16 uniform numbers
    flat = images.reshape(-1, 3)
    neighbours = [np.corrcoef(flat[:-1, 0], flat[1:, 0])[0, 1], np.corrcoef(flat[:, 0], flat[:, 1])[0, 1]]
    assert np.abs(neighbours).max() < 4 / math.sqrt(len(flat))


def test_a_pixel_of_noise_is_a_sum_of_bytes() -> None:
    """With Python's integers."""
    source = Noise(size=16, images=(10, 10), seed=7)
    key = int(keys(7, 0, np.array([4]))[0])
    of_grid = splitmix(key, 1)
    image = source.draw("train")[0][4]
    for row, column, channel in ((0, 0, 0), (3, 15, 2), (15, 15, 1)):
        place = ((row * 16 + column) * 3 + channel) * 2
        total = sum(sum(splitmix(of_grid, place + k).to_bytes(8, "little")) for k in range(2))
        value = 127.5 + 63.75 * (total - 2040) / math.sqrt(16 * (256**2 - 1) / 12)
        assert abs(image[row, column, channel] - min(max(value, 0), 255)) <= 0.51


def test_a_dataset_is_like_another_one(tmp_path: Path) -> None:
    """The same dataset, with the same id, as with these numbers written by hand."""
    cifar10 = datasets.get("cifar10")
    found = Noise.like("cifar10", images=(20, 20))
    assert found == Noise(size=32, classes=10, images=(20, 20), mean=cifar10.mean, std=cifar10.std)
    assert GENERATORS["leaves"].like("cifar100").images == (50_000, 10_000)
    assert GENERATORS["leaves"].like("imagenet16_120").size == 16
    assert GENERATORS["fractals"].like("cifar100", classes=7).classes == 7
    for kind, name, error, says in (
        ("leaves", "imagenet", ValueError, "expected a dataset with classes whose images have 16 to 64 px"),
        ("leaves", "sifar10", LookupError, "sifar10"),
        ("scenes", "cifar100", ValidationError, "less than or equal to 10"),
    ):
        with pytest.raises(error, match=says):
            GENERATORS[kind].like(name)


def test_images_are_drawn_anew_with_the_same_bytes_on_the_device(tmp_path: Path) -> None:
    source = Noise(size=16, images=(20, 20), fresh=True, mean=(0.3, 0.5, 0.6))
    own, dataset_id = datasets.describe("mine", source, None, tmp_path)
    numbers = keys(0, 0, np.arange(20, dtype=np.int64))
    found = fresh.images(torch.from_numpy(numbers.view(np.int64)), own)
    assert np.array_equal(found.numpy(), source.draw("train")[0])
    stays = datasets.describe("mine", source.model_copy(update={"fresh": False}), None, tmp_path)
    assert stays[1] != dataset_id
    assert fresh.draw_noise(stays[0], 3, torch.Generator()) == {}
    with pytest.raises(ValueError, match="expected a dataset of the kind noise with fresh = true"):
        fresh.images(torch.from_numpy(numbers.view(np.int64)), stays[0])


def test_kinds_say_which_tasks_have_no_answer() -> None:
    names = {task for source in GENERATORS.values() for task in source.NO_ANSWER}
    assert names <= set(tasks.names())
    assert not any({"cls", "rand"} & set(source.NO_ANSWER) for source in GENERATORS.values())


@pytest.mark.parametrize(("kind", "task"), [(k, t) for k in KINDS for t in ("cls", "rand", "rot", "col", "jig")])
def test_a_trial_of_a_task_without_an_answer_is_refused_with_the_reason(kind: str, task: str, tmp_path: Path) -> None:
    own, dataset_id = datasets.describe("mine", GENERATORS[kind](size=16, images=(20, 20)), None, tmp_path)
    recipe = workers.recipe("demo", space="chain", dataset="mine", task=task, size=16)

    def trial() -> workers.Trial:
        return workers.Trial(
            space="chain", arch="c3", dataset="mine", task=task, recipe=recipe, own=own, dataset_id=dataset_id
        )

    if reason := GENERATORS[kind].NO_ANSWER.get(task):
        with pytest.raises(LookupError, match=f"task {task} has no answer in mine: {reason}"):
            trial()
    else:
        assert trial().task == task


@pytest.mark.parametrize("split", SPLITS)
def test_fractals_of_a_class_have_one_form(split: Any) -> None:
    """Two images of a class differ less than images of two classes, where their places are alike."""
    source = GENERATORS["fractals"](classes=6, images=(60, 60))
    images, labels = source.draw(split)
    shapes = (images.max(-1) > 110).astype(float)
    means = np.stack([shapes[labels == k].mean(0) for k in range(6)])
    apart = np.array([[((shape - mean) ** 2).mean() for mean in means] for shape in shapes])
    assert (apart.argmin(1) == labels).mean() > 0.8
