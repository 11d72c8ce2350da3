# ruff: noqa: PT017  (an example that is accepted is as right as one that is refused)
"""Architectures of any text: one that can be counted and built, or one short ValueError."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spaces
import workers
from workers import datasets, recipes, tasks

BOUNDED = settings(max_examples=100, suppress_health_check=list(HealthCheck))
ALPHABET = "|~|~c3c5c1mpidsd0123456789._+:outn \n\0\x1b,'\"٣３ﬁ[](){}*-"
SIZE: dict[str, Any] = {"in_channels": 3, "width": 8, "depth": 3, "stem": "cifar"}


@st.composite
def texts(draw: st.DrawFn, name: str) -> str:
    """A drawn architecture with a few places changed, or any text at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.text(max_size=60) | st.text(ALPHABET, max_size=60))
    arch = spaces.get(name).sample(np.random.default_rng(draw(st.integers(0, 10**6))))
    for _ in range(draw(st.integers(0, 3))):
        at, cut = draw(st.integers(0, len(arch))), draw(st.integers(0, 3))
        arch = arch[:at] + draw(st.text(ALPHABET, max_size=3)) + arch[at + cut :]
    return arch


@pytest.mark.parametrize("name", spaces.names())
@given(data=st.data())
@BOUNDED
def test_a_text_is_an_architecture_or_one_message(name: str, data: st.DataObject) -> None:
    space, text = spaces.get(name), data.draw(texts(name))
    try:
        normal = space.normal(text)
    except ValueError as error:
        assert str(error)
        assert len(str(error)) < 2_000
        for method in (space.canonical, space.arch_id, space.graph):
            with pytest.raises(ValueError, match=r"\w"):
                method(text)
        return
    assert not set(normal) & set(" ,'\"\n\\/")
    assert normal.isascii()
    assert space.normal(normal) == normal
    canonical = space.canonical(text)
    assert space.canonical(canonical) == canonical == space.normal(canonical)
    assert space.arch_id(canonical) == space.arch_id(text)
    assert space.cost(text, **SIZE, size=32) == space.cost(normal, **SIZE, size=32)


@pytest.mark.parametrize("name", spaces.names())
@given(data=st.data())
@settings(BOUNDED, max_examples=10)
def test_what_is_accepted_is_built_as_it_is_counted(name: str, data: st.DataObject) -> None:
    space, text = spaces.get(name), data.draw(texts(name))
    try:
        counted = space.cost(text, **SIZE, size=32)
    except ValueError:
        return
    with torch.device("meta"):
        trunk = space.trunk(text, **SIZE)
        out = trunk(torch.empty(2, 3, 32, 32))
    assert sum(p.numel() for p in trunk.parameters()) == counted.params
    assert out.shape == (2, counted.channels, counted.size, counted.size)


@pytest.mark.parametrize("name", spaces.names())
@pytest.mark.parametrize("piece", ["c3_", "c3.0_", "0", ":", "+", "_", "s3.0+s3.1_", "\0", "٣"])
def test_megabytes_are_refused_in_a_few_words(name: str, piece: str) -> None:
    text = piece * (3_000_000 // len(piece))
    for before in ("", "c3.", "c3_"):
        with pytest.raises(ValueError, match="characters") as refused:
            spaces.get(name).normal(before + text)
        assert len(str(refused.value)) < 2_000


@given(st.text(max_size=30) | st.sampled_from(["_sample", "..", "os", "chain.", "darts.ops", "__init__", "chain\n"]))
@BOUNDED
def test_any_name_is_known_or_a_lookup_error(name: str) -> None:
    for registry in (spaces, datasets, tasks):
        if name not in registry.names():
            with pytest.raises(LookupError, match="have"):
                registry.get(name)
    if name not in recipes.names():
        with pytest.raises(LookupError, match="have"):
            workers.recipe(name, space="chain", dataset="photos", task="cls")
