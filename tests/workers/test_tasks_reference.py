"""Each task's batch against a slow per-image reference in NumPy and scikit-image, for the same draws."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from skimage.color import rgb2gray, rgb2lab

from workers import datasets, tasks
from workers.datasets import Dataset
from workers.tasks._cielab import centres

N = 48
DATASET = datasets.get("cifar10")
FLOAT = np.float32


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Patches of real photographs, one of them a flat colour."""
    images = datasets.get("photos").read("test", None)[0][:N].copy()
    images[7] = (200, 30, 90)
    return torch.from_numpy(images)


def batch(name: str, images: torch.Tensor, train: bool) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    torch.set_num_threads(1)
    task = tasks.get(name)
    draws = task.draw(N, DATASET, torch.Generator().manual_seed(11), train)
    inputs, targets = task.batch(images, torch.arange(N) % 10, draws, DATASET)
    return inputs.numpy(), targets.numpy(), {key: drawn.numpy() for key, drawn in draws.items()}


def normalised(image: np.ndarray, dataset: Dataset = DATASET) -> np.ndarray:
    """(H, W, 3) of 0..255 -> float32 (3, H, W)."""
    chw = (image.astype(FLOAT) / FLOAT(255)).transpose(2, 0, 1)
    channels = zip(chw, dataset.mean, dataset.std, strict=True)
    return np.stack([(c - FLOAT(mean)) / FLOAT(std) for c, mean, std in channels])


def pad_and_crop(image: np.ndarray, draws: dict[str, np.ndarray], i: int) -> np.ndarray:
    """Normalise, mirror, pad with zeros, crop: one image, in that order."""
    x = normalised(image)
    if not draws:
        return x
    if draws["flip"][i]:
        x = x[:, :, ::-1]
    x = np.pad(x, ((0, 0), (4, 4), (4, 4)))
    top, left = (int(v) for v in draws["crop"][i])
    return x[:, top : top + 32, left : left + 32]


@pytest.mark.parametrize("train", [True, False])
def test_cls_exactly(pictures: torch.Tensor, train: bool) -> None:
    inputs, targets, draws = batch("cls", pictures, train)
    expected = np.stack([pad_and_crop(image, draws, i) for i, image in enumerate(pictures.numpy())])
    np.testing.assert_array_equal(inputs, expected)
    np.testing.assert_array_equal(targets, np.arange(N) % 10)


@pytest.mark.parametrize("train", [True, False])
def test_rot_exactly(pictures: torch.Tensor, train: bool) -> None:
    inputs, targets, draws = batch("rot", pictures, train)
    expected = [
        # np.rot90 over (H, W): counter-clockwise.
        np.rot90(pad_and_crop(image, draws, i), turn, axes=(1, 2))
        for i, image in enumerate(pictures.numpy())
        for turn in range(4)
    ]
    np.testing.assert_array_equal(inputs, np.stack(expected))
    np.testing.assert_array_equal(targets, np.tile(np.arange(4), N))


@pytest.mark.parametrize("train", [True, False])
def test_col_labels_exactly(pictures: torch.Tensor, train: bool) -> None:
    inputs, targets, draws = batch("col", pictures, train)
    nearest = cKDTree(centres())
    for i, image in enumerate(pictures.numpy()):
        lab = rgb2lab(image[:, ::-1] if train and draws["flip"][i] else image)
        lightness = lab[..., 0].astype(FLOAT) / FLOAT(100)
        expected = (lightness - np.mean(DATASET.mean).astype(FLOAT)) / np.mean(DATASET.std).astype(FLOAT)
        np.testing.assert_allclose(inputs[i, 0], expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(targets[i], nearest.query(lab[..., 1:])[1])


@pytest.mark.parametrize("train", [True, False])
def test_jig_tiles(pictures: torch.Tensor, train: bool) -> None:
    inputs, targets, draws = batch("jig", pictures, train)
    orders = list(permutations(range(4)))
    for i, image in enumerate(pictures.numpy()):
        if train and draws["flip"][i]:
            image = image[:, ::-1]
        if train and draws["grey"][i]:
            image = np.repeat(rgb2gray(image)[..., None] * 255, 3, axis=2)
        x = normalised(image)
        expected = np.full((4, 3, 12, 12), np.nan)
        for position in range(4):
            down, right = (int(v) for v in draws["offset"][i, position])
            top, left = 16 * (position // 2) + down, 16 * (position % 2) + right
            tile = x[:, top : top + 12, left : left + 12]
            expected[orders[targets[i]][position]] = (tile - tile.mean()) / tile.std()
        np.testing.assert_allclose(inputs[i], expected, rtol=0, atol=1e-5)


def test_jig_of_a_flat_grey_tile_is_finite() -> None:
    task = tasks.get("jig")
    dataset = datasets.get("photos")
    images = torch.full((4, 32, 32, 3), 118, dtype=torch.uint8)
    draws = task.draw(4, dataset, torch.Generator().manual_seed(0), True)
    inputs, _ = task.batch(images, torch.zeros(4, dtype=torch.int64), draws, dataset)
    assert inputs.isfinite().all()


def test_draws_cover_what_the_paper_s_code_covers() -> None:
    generator = torch.Generator().manual_seed(5)
    crops = tasks.get("cls").draw(20_000, DATASET, generator, True)
    assert crops["crop"].unique().tolist() == list(range(8))  # never 8, the last that would fit
    assert crops["flip"].float().mean() == pytest.approx(0.5, abs=0.02)
    tiles = tasks.get("jig").draw(20_000, DATASET, generator, True)
    assert tiles["offset"].unique().tolist() == list(range(5))  # 16 - 12, inclusive
    assert tiles["permutation"].unique().tolist() == list(range(24))
    assert tiles["grey"].float().mean() == pytest.approx(0.3, abs=0.02)
    assert "grey" not in tasks.get("jig").draw(10, DATASET, generator, False)
    large = tasks.get("jig").draw(20_000, datasets.get("imagenet"), generator, False)
    assert large["offset"].unique().tolist() == list(range(85 - 64 + 1))
    assert large["permutation"].max() == 999


def test_the_colour_head_lays_corners_on_corners() -> None:
    class Quarter(torch.nn.Module):
        out_channels = 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, ::4, ::4]

    net = tasks.get("col").network(Quarter(), DATASET)
    x = torch.rand(2, 1, 32, 32)
    out, coarse = net(x), net.head(Quarter()(x))
    assert out.shape == (2, 313, 32, 32)
    torch.testing.assert_close(out[:, :, [0, 0, -1, -1], [0, -1, 0, -1]], coarse[:, :, [0, 0, -1, -1], [0, -1, 0, -1]])


def test_the_jigsaw_head_reads_tiles_in_slot_order() -> None:
    class Bright(torch.nn.Module):
        out_channels = 3

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    net = tasks.get("jig").network(Bright(), DATASET)
    tiles = torch.rand(2, 4, 3, 12, 12)
    features = torch.cat([tiles[:, slot].mean(dim=(2, 3)) for slot in range(4)], dim=1)
    torch.testing.assert_close(net(tiles), net.head(features))
