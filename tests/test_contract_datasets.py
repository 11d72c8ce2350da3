"""The contract of datasets; a new dataset in the folder is tested automatically."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from workers import contracts, datasets
from workers.datasets import Arrays

NAMES = datasets.names()
SMALL = [name for name in NAMES if datasets.get(name).large is None]  # the others are tested in tests/workers


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def arrays(name: str, cache: Path, request: pytest.FixtureRequest) -> Arrays:
    """The dataset as it lies on this machine, complete; decoded once a session."""
    root = None
    try:
        datasets.get(name).files(root)
    except FileNotFoundError:
        root = request.getfixturevalue("data")
        try:
            datasets.get(name).files(root)
        except FileNotFoundError as error:
            pytest.skip(str(error))
    return datasets.prepare(name, root, cache)


def test_the_registry_lists_without_importing() -> None:
    code = (
        "import sys, workers.datasets as d; names = d.names();"
        "assert not any(f'workers.datasets.{n}' in sys.modules for n in names);"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules; print(*names)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    assert {"cifar10", "imagenet", "photos", "scenes"} <= set(out.stdout.split())


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LookupError, match=r"'mnist'.*cifar10.*photos"):
        datasets.get("mnist")


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    d = datasets.get(name)
    assert d.name == name
    assert d.published_id is None or d.published_id.startswith(f"{name}-")
    for check in contracts.checks("dataset", d):
        check()


@pytest.mark.parametrize("name", NAMES)
def test_plans_need_no_data(name: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    dataset_id = datasets.identify(name, tmp_path / "data", tmp_path / "cache")
    assert dataset_id == (datasets.get(name).published_id or f"{name}-unread")
    # Digits tell the content; other ids are names for plans, and `run` asks for the files.
    assert datasets.is_read(name, dataset_id) == bool(re.search(r"-[0-9a-f]{16}$", dataset_id))
    assert not (tmp_path / "cache").exists()


def test_the_ids_of_embedded_and_published_sets_stay() -> None:
    """Stored rows are known by them.  That today's readers still give them is tried below, where the data is."""
    ids = {name: datasets.get(name).published_id for name in NAMES}
    assert {name: found for name, found in ids.items() if found} == {
        "camvid": "camvid-segnet",
        "chexpert": "chexpert-v1",
        "cifar10": "cifar10-5eb90c224ed3d7da",
        "cifar10_valid": "cifar10_valid-faeaa536c63a9332",
        "cityscapes": "cityscapes-fine",
        "imagenet": "imagenet-1k-2012",
        "imagenet22k": "imagenet22k-fall11",
        "photos": "photos-48e2065f960dbfbd",
        "scenes": "scenes-2cecdfd3288ac717",
    }
    for embedded in ("photos", "scenes"):
        assert datasets.identify(embedded) == ids[embedded]


@pytest.mark.parametrize("name", SMALL)
def test_arrays_are_what_the_facts_say(name: str, arrays: Arrays) -> None:
    d = datasets.get(name)
    for split, n in ((arrays.train, d.train_images), (arrays.test, d.test_images)):
        assert split.images.shape == (n, d.size, d.size, 3)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert np.bincount(split.labels, minlength=d.classes).tolist() == [n // d.classes] * d.classes
    assert arrays.dataset_id == d.published_id
    pixels = arrays.train.images.reshape(-1, 3)
    np.testing.assert_allclose(pixels.mean(axis=0) / 255, d.mean, atol=1e-3)
    np.testing.assert_allclose(pixels[::7].std(axis=0) / 255, d.std, atol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_arrays_belong_to_the_process_that_maps_them(name: str, arrays: Arrays, cache: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = torch.from_numpy(arrays.test.images)
    before = images[0].clone()
    images[0] = 255 - before
    again = datasets.prepare(name, None, cache, expect=arrays.dataset_id)
    assert torch.equal(torch.from_numpy(again.test.images)[0], before)
    images[0] = before
