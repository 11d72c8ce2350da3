"""The halves of CIFAR-10's training images."""

from pathlib import Path

import numpy as np
import pytest

from workers import datasets
from workers.datasets.cifar10_valid import training_half

RNG = np.random.default_rng(1)
IMAGES = RNG.integers(0, 256, (61, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(61) % 10


def test_every_class_is_halved_and_an_odd_one_leaves_one_more_to_train_on() -> None:
    half = training_half(IMAGES, LABELS)
    assert np.bincount(LABELS[half]).tolist() == [4, *[3] * 9]
    assert np.bincount(LABELS[~half]).tolist() == [3] * 10


def test_an_image_is_in_the_same_half_whatever_order_the_files_have() -> None:
    order = RNG.permutation(len(IMAGES))
    np.testing.assert_array_equal(training_half(IMAGES[order], LABELS[order]), training_half(IMAGES, LABELS)[order])


def test_the_halves_are_what_cifar10_trains_on_and_nothing_of_its_test_images(data: Path, tmp_path: Path) -> None:
    root = data / "cifar10_small"
    if not root.is_dir():
        pytest.skip("no cifar10_small")
    whole = datasets.prepare("cifar10", root, tmp_path)
    halves = datasets.prepare("cifar10_valid", root, tmp_path)
    assert halves.dataset_id.startswith("cifar10_valid-")
    both = [image.tobytes() for split in (halves.train, halves.test) for image in split.images]
    assert len(set(both)) == len(both) == len(whole.train.images)
    assert set(both) == {image.tobytes() for image in whole.train.images}
    for split in (halves.train, halves.test):
        assert np.bincount(split.labels).tolist() == [250] * 10
    label = {image.tobytes(): k for image, k in zip(whole.train.images, whole.train.labels, strict=True)}
    assert [label[image.tobytes()] for image in halves.test.images] == halves.test.labels.tolist()
