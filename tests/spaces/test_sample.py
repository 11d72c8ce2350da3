"""Samples of distinct architectures."""

import json

import numpy as np
import pytest
from scipy.stats import ks_2samp

import spaces


class Coin:
    """A space of two architectures that are one and the same but for their spelling, and a third."""

    name = "coin"
    cifar_size = (1, 1)

    def sample(self, rng):
        return ["head", "HEAD", "tail"][rng.integers(3)]

    def canonical(self, arch):
        return arch.lower()

    def cost(self, arch, **_):
        return spaces.Cost(params=100 if arch == "tail" else 90, macs=0, channels=1, size=1)


def test_equal_canonical_forms_are_one_architecture_kept_as_first_drawn():
    sample = spaces.sample(Coin(), 2, seed=0)
    assert sorted(arch.lower() for arch in sample.archs) == ["head", "tail"]
    assert sample.drawn == 2 + sample.rejected.get("duplicate", 0)


def test_min_params_counts_the_linear_layer_to_ten_classes():
    at_least = 100 + 10 + 10
    sample = spaces.sample(Coin(), 1, seed=0, min_params=at_least)
    assert sample.archs == ("tail",)
    assert set(sample.rejected) <= {"below min_params"}
    with pytest.raises(ValueError, match="lower min_params"):
        spaces.sample(Coin(), 1, seed=0, min_params=at_least + 1)


def test_an_exhausted_space_says_how_many_there_are():
    with pytest.raises(ValueError, match=r"122 distinct.*'chain'; 121 found.*at most 121"):
        spaces.sample(spaces.get("chain"), 122, seed=0)
    assert len(spaces.sample(spaces.get("chain"), 121, seed=0).archs) == 121


def test_nothing_asked_nothing_drawn():
    assert spaces.sample(Coin(), 0, seed=1) == spaces.Sample((), 0, {})


@pytest.mark.parametrize(("n", "seed"), [(-1, 0), (1, -1)])
def test_negative_numbers_are_refused(n, seed):
    with pytest.raises(ValueError, match="0 or more"):
        spaces.sample(Coin(), n, seed)


def test_seeds_give_unrelated_streams():
    space = spaces.get("darts")
    streams = [set(spaces.sample(space, 100, seed).archs) for seed in range(4)]
    assert len(set.union(*streams)) == 400


def test_the_kept_share_of_darts_is_that_of_unnas():
    """Liu et al. 2020 kept 500 of 2,772 draws, 18.0 %; a uniform stream holds 18.6 %."""
    space = spaces.get("darts")
    sample = spaces.sample(space, 500, seed=0, min_params=684_858)
    assert 0.16 < 500 / sample.drawn < 0.215
    assert sample.rejected["below min_params"] == sample.drawn - 500
    params = [
        space.cost(a, in_channels=3, width=16, depth=20, stem="cifar", size=32).params + 256 * 10 + 10
        for a in sample.archs
    ]
    assert min(params) >= 684_858
    assert np.median(params) == pytest.approx(734_000, rel=0.01)  # as in the 500 of UnNAS


@pytest.mark.data
def test_darts_sizes_are_distributed_as_in_the_500_of_unnas(data):
    table = json.loads((data / "unnas" / "darts_500.json").read_text())
    theirs = [row["params"][0] for row in table["archs"]]
    space = spaces.get("darts")
    ours = [
        space.cost(a, in_channels=3, width=16, depth=20, stem="cifar", size=32).params + 256 * 10 + 10
        for a in spaces.sample(space, 500, seed=1, min_params=min(theirs)).archs
    ]
    assert ks_2samp(ours, theirs).pvalue > 1e-3
