"""The batches of photographs of many sizes, against one image at a time in plain NumPy (float64) for equal draws."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from skimage.color import rgb2lab

from tests.workers.photographs import picture
from workers import datasets, tasks
from workers.data.resize import crop, scaled, shrunk
from workers.tasks._cielab import centres
from workers.tasks._crops import TRIES
from workers.tasks._permutations import orders

DATASET = datasets.get("imagenet")
SIZES = [(500, 375), (375, 500), (90, 300), (640, 100), (256, 256), (300, 256), (31, 47), (225, 224)]  # (W, H)
N = len(SIZES)
MEAN, STD = np.array(DATASET.mean), np.array(DATASET.std)
V = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])  # R, G, B
LAMBDA = np.array([0.2175, 0.0188, 0.0045])


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [np.array(picture(seed, size)) for seed, size in enumerate(SIZES)]


def bilinear(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Pixels are areas; a new pixel's middle lies between four old middles, at the border between fewer."""
    if image.shape[:2] == (rows, columns):
        return image.astype(float)
    height, width = image.shape[:2]
    y = np.clip((np.arange(rows) + 0.5) * height / rows - 0.5, 0, height - 1)
    x = np.clip((np.arange(columns) + 0.5) * width / columns - 0.5, 0, width - 1)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    low, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    fy, fx = (y - top)[:, None, None], (x - left)[None, :, None]
    upper = image[top][:, left] * (1 - fx) + image[top][:, right] * fx
    lower = image[low][:, left] * (1 - fx) + image[low][:, right] * fx
    return upper * (1 - fy) + lower * fy


def scale(image: np.ndarray, size: int) -> np.ndarray:
    height, width = image.shape[:2]
    if min(height, width) == size:
        return image.astype(float)
    if width < height:
        return bilinear(image, math.floor(height / width * size), size)
    return bilinear(image, size, math.floor(width / height * size))


def centre(image: np.ndarray, size: int) -> np.ndarray:
    top, left = (math.ceil((n - size) / 2) for n in image.shape[:2])
    return image[top : top + size, left : left + size]


def random_sized_crop(image: np.ndarray, draws: dict, size: int) -> np.ndarray:
    height, width = image.shape[:2]
    for k in range(TRIES):
        area = (0.08 + 0.92 * float(draws["area"][k])) * height * width
        aspect = 3 / 4 + (4 / 3 - 3 / 4) * float(draws["aspect"][k])
        w, h = max(1, round(math.sqrt(area * aspect))), max(1, round(math.sqrt(area / aspect)))
        if draws["swap"][k]:
            w, h = h, w
        if h <= height and w <= width:
            top = math.floor(float(draws["place"][0]) * (height - h))
            left = math.floor(float(draws["place"][1]) * (width - w))
            return bilinear(image[top : top + h, left : left + w], size, size)
    return centre(scale(image, size), size)


def normalised(image: np.ndarray, draws: dict) -> np.ndarray:
    image = image / 255
    if "light" in draws:
        image = image + V @ (np.asarray(draws["light"], dtype=float) * LAMBDA)
    return ((image - MEAN) / STD).transpose(2, 0, 1)


def flipped(image: np.ndarray, draws: dict) -> np.ndarray:
    return image[:, ::-1] if draws.get("flip") else image


def cut_out(task: str, image: np.ndarray, draws: dict, train: bool) -> np.ndarray:
    """The square of 0..255 that the task sees, before anything is done with it."""
    if task == "jig":
        large = scale(image, 256)
        if not train:
            return centre(large, 255)
        top, left = (math.floor(float(p) * (n - 255)) for p, n in zip(draws["place"], large.shape[:2], strict=True))
        return large[top : top + 255, left : left + 255]
    return random_sized_crop(image, draws, 224) if train else centre(scale(image, 256), 224)


def reference(task: str, image: np.ndarray, label: int, draws: dict, train: bool) -> tuple[np.ndarray, np.ndarray]:
    square = flipped(cut_out(task, image, draws, train), draws)
    if task == "cls":
        return normalised(square, draws), np.array(label)
    if task == "rot":
        upright = normalised(square, draws)
        return np.stack([np.rot90(upright, k, (1, 2)) for k in range(4)]), np.arange(4)
    if task == "col":
        lab = rgb2lab(square.astype(np.uint8))
        return (lab[None, ..., 0] / 100 - MEAN.mean()) / STD.mean(), cKDTree(centres()).query(lab[..., 1:])[1]
    if draws.get("grey"):
        square = np.repeat((square @ [0.2125, 0.7154, 0.0721])[..., None], 3, axis=2)
    planes, tiles = normalised(square, draws), []
    for place in range(9):
        top, left = (
            85 * (p % 3 if axis else p // 3) + int(draws["offset"][place][axis])
            for axis, p in enumerate((place, place))
        )
        tile = planes[:, top : top + 64, left : left + 64]
        tiles.append((tile - tile.mean()) / tile.std())
    order = orders(9, 1000)[int(draws["permutation"])]
    slots = np.empty((9, 3, 64, 64))
    for place, slot in enumerate(order):
        slots[slot] = tiles[place]
    return slots, np.array(int(draws["permutation"]))


def one(draws: dict, k: int) -> dict:
    return {name: values[k] for name, values in draws.items()}


def squares(task: str, images: list[np.ndarray], draws: dict, dtype: torch.dtype) -> torch.Tensor:
    sizes = torch.tensor([image.shape[:2] for image in images])
    how = tasks.get(task).crops(sizes, draws, DATASET)
    side = tasks.get(task).side(DATASET)
    return torch.stack([crop(image, h, (side, side), dtype) for image, h in zip(images, how.tolist(), strict=True)])


@pytest.mark.parametrize("train", [True, False], ids=["train", "test"])
@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
def test_batches_are_those_of_the_reference(task: str, train: bool, images: list[np.ndarray]) -> None:
    t = tasks.get(task)
    draws = t.draw(N, DATASET, torch.Generator().manual_seed(11), train)
    pixels = squares(task, images, draws, torch.float32)
    inputs, targets = t.batch(pixels, torch.arange(N), draws, DATASET)
    inputs, targets = inputs.view(N, t.views, *t.element(DATASET)), targets.view(N, t.views, *targets.shape[1:])
    for k in range(N):
        expected, wanted = reference(task, images[k], k, one(draws, k), train)
        got, met = inputs[k].numpy(), targets[k].numpy()
        if t.views == 1:
            got, met = got[0], met[0]
        if task == "col":
            # A resized value may lie so near a whole number that float32 falls on its other side: another colour.
            assert (met != wanted).mean() < 0.002
            assert (np.abs(got - expected) > 1e-4).mean() < 0.005
        else:
            np.testing.assert_allclose(got, expected, atol=2e-4 if task != "jig" else 2e-3)
            assert np.array_equal(met, wanted)


@pytest.mark.parametrize("task", ["cls", "jig"])
def test_bytes_are_resized_to_within_a_level(task: str, images: list[np.ndarray]) -> None:
    draws = tasks.get(task).draw(N, DATASET, torch.Generator().manual_seed(3), True)
    exact, rounded = (squares(task, images, draws, kind).double() for kind in (torch.float32, torch.uint8))
    assert (exact - rounded).abs().max() <= 1.01
    assert (exact - rounded).abs().mean() < 0.4
    assert abs((exact - rounded).mean()) < 0.02


def test_sized_crops_are_spread_as_they_should_be() -> None:
    n = 20_000
    draws = tasks.get("cls").draw(n, DATASET, torch.Generator().manual_seed(1), True)
    cuts = tasks.get("cls").crops(torch.tensor([[400, 400]]).expand(n, 2), draws, DATASET).double()
    area, aspect = cuts[:, 2] * cuts[:, 3] / 400**2, cuts[:, 3] / cuts[:, 2]
    assert area.min() >= 0.079
    assert area.max() <= 1
    assert 0.49 < (aspect > 1).double().mean() / (aspect != 1).double().mean() < 0.51
    assert (aspect.max() <= 1.36) & (aspect.min() >= 0.73)
    # Where all shapes fit, areas are uniform.
    small = area[area < 0.7]
    counts = torch.histc(small, 5, 0.08, 0.7)
    assert (counts / counts.mean() - 1).abs().max() < 0.06
    room = 400 - cuts[:, 2]
    assert (cuts[:, 0] < room.clamp_min(1)).all()
    assert 0.49 < (cuts[:, 0] / room.clamp_min(1))[room > 100].mean() < 0.505


def test_a_stored_image_gives_the_jigsaw_what_the_original_gives(images: list[np.ndarray]) -> None:
    """The jigsaw and the tests scale to 256 px first: what mode array does once, to rounding."""
    for image in images:
        small = shrunk(image, 256)
        assert min(small.shape[:2]) == min(256, *image.shape[:2])
        if min(image.shape[:2]) > 256:
            assert small.shape[:2] == scaled(*image.shape[:2], 256)
        assert np.abs(scale(small, 256) - scale(image, 256)).max() <= 0.51


@pytest.mark.parametrize("size", [(1, 1), (3000, 40), (1, 90), (224, 224)])
def test_odd_sizes_are_cut(size: tuple[int, int], tmp_path: Path) -> None:
    image = np.full((size[1], size[0], 3), 77, np.uint8)
    for task in ("cls", "rot", "col", "jig"):
        for train in (True, False):
            draws = tasks.get(task).draw(1, DATASET, torch.Generator().manual_seed(1), train)
            assert (squares(task, [image], draws, torch.uint8) == 77).all()
