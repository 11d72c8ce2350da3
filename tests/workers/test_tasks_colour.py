"""Colour classes and lightness: exact for every colour there is."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from skimage.color import rgb2lab

from workers.tasks import _cielab
from workers.tasks._cielab import CLASSES, centres, lightness_and_class

PUBLISHED = "e74b520cf1929e90ad9f051db10931e8ac5d1534c6cedabd7bfeba7a78a96c89"


def test_the_rule_gives_the_published_centres() -> None:
    assert centres().shape == (CLASSES, 2)
    assert hashlib.sha256(centres().astype("<i2").tobytes()).hexdigest() == PUBLISHED


def test_the_centres_of_the_release(data: Path) -> None:
    released = json.loads((data / "unnas" / "ab_bins_313.json").read_text())
    assert centres().tolist() == released


@pytest.mark.parametrize("every", [16, pytest.param(1, marks=pytest.mark.soak)])
def test_every_colour_there_is(every: int) -> None:
    """Class as the nearest of the centres, lightness as scikit-image's in float32.

    All 16,777,216 with `pytest -m soak`; else those of every 16th red and of the last one, with every green and blue.
    """
    nearest = cKDTree(centres())
    byte = np.arange(256, dtype=np.uint8)
    seen = np.zeros(CLASSES, dtype=bool)
    for red in np.array_split(np.union1d(byte[::every], byte[-1:]), 64 // every):
        colours = np.stack(np.meshgrid(red, byte, byte, indexing="ij"), axis=-1)
        lab = rgb2lab(colours)
        lightness, classes = lightness_and_class(torch.from_numpy(colours))
        np.testing.assert_array_equal(lightness.numpy(), lab[..., 0].astype(np.float32))
        np.testing.assert_array_equal(classes.numpy(), nearest.query(lab[..., 1:])[1])
        seen[np.unique(classes.numpy())] = True
    # 52 classes are no colour's nearest centre and never occur as a label.
    assert int((~seen).sum()) == 52 if every == 1 else int((~seen).sum()) >= 52


def test_the_table_holds_what_the_rule_says_bit_for_bit() -> None:
    """Also where the rule gets them image by image, as before the table is made."""
    table = _cielab._Table(torch.device("cpu"))
    colours = (
        torch.randperm(_cielab.COLOURS, generator=torch.Generator().manual_seed(3)).to(torch.int32).view(-1, 32, 32)
    )
    assert table.look_up(colours[: len(colours) - 1]) is None
    found = table.look_up(colours[-1:])
    assert found is not None
    rule = [_cielab.by_rule(part) for part in colours[:4096].split(8)]
    looked_up = table.look_up(colours[:4096])
    assert looked_up is not None
    for values, expected in zip(looked_up, zip(*rule, strict=True), strict=True):
        assert torch.equal(values, torch.cat(expected))
