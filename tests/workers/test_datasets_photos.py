"""The embedded photographs: disjoint, balanced splits, and no empty patches."""

import numpy as np
import pytest

from workers import datasets
from workers.data.image_types import SPLITS
from workers.datasets import photos

SIZE = 32


@pytest.fixture(scope="module")
def splits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {split: datasets.get("photos").read(split, None) for split in SPLITS}


@pytest.mark.parametrize("file", photos.PHOTOGRAPHS)
def test_no_pixel_serves_both_splits(file: str) -> None:
    folder = photos.DATASET.files(None)[0].parent
    shape = photos._photograph(folder / file).shape
    covered = {}
    for split in SPLITS:
        covered[split] = np.zeros(shape[:2], dtype=bool)
        for y, x in photos.corners(shape, split, SIZE):
            covered[split][y : y + SIZE, x : x + SIZE] = True
        assert covered[split].sum() > 0.2 * covered[split].size
    assert not (covered["train"] & covered["test"]).any()


def test_no_test_patch_is_a_training_patch(splits: dict) -> None:
    train, test = ({patch.tobytes() for patch in splits[split][0]} for split in SPLITS)
    assert len(train) == len(splits["train"][0])
    assert not train & test


def test_a_prefix_is_balanced_too(splits: dict) -> None:
    for _, labels in splits.values():
        assert np.bincount(labels[: len(labels) // 4]).tolist() == [len(labels) // 32] * 8


def test_every_quarter_of_every_patch_has_structure(splits: dict) -> None:
    for images, _ in splits.values():
        quarters = images.mean(axis=3).reshape(-1, 2, 16, 2, 16).std(axis=(2, 4))
        assert quarters.min() > 2


def test_mean_colour_does_not_give_the_photograph_away(splits: dict) -> None:
    (images, labels), (seen, truth) = splits["train"], splits["test"]
    known, asked = images.mean(axis=(1, 2)), seen.mean(axis=(1, 2))
    nearest = ((asked[:, None] - known[None]) ** 2).sum(axis=-1).argmin(axis=1)
    assert (labels[nearest] == truth).mean() < 0.5
