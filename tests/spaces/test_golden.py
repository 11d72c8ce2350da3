"""Numbers that must never change: published sizes, ids and the streams that samples are drawn from.

The published sizes are those of the papers' releases. The others were counted on built networks when
this file was written. If one of them changes, trained results no longer belong to the same architectures.
"""

import json
from pathlib import Path

import pytest

import spaces

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
PUBLISHED = [3_349_342, 4_718_752, 2_694_282, 5_255_648]


def test_the_published_sizes_are_among_the_golden_ones():
    assert [row["params"] for row in GOLDEN["networks"] if row["what"].startswith("published")] == PUBLISHED


@pytest.mark.parametrize("row", GOLDEN["networks"], ids=lambda row: f"{row['what']}-{row['arch']}-{row['size']}")
def test_sizes_with_a_linear_classifier(row):
    where = {key: row[key] for key in ("in_channels", "width", "depth", "stem", "size")}
    trunk = spaces.get(row["space"]).cost(row["arch"], **where)
    assert trunk.params + (trunk.channels + 1) * row["classes"] == row["params"]
    assert trunk.macs + trunk.channels * row["classes"] == row["macs"]


@pytest.mark.parametrize("row", GOLDEN["networks"], ids=lambda row: row["arch"])
def test_ids(row):
    assert spaces.get(row["space"]).arch_id(row["arch"]) == row["arch_id"]


@pytest.mark.parametrize("which", GOLDEN["samples"])
def test_samples(which):
    name, _, min_params = which.partition(", min_params ")
    sample = spaces.sample(spaces.get(name), 3, seed=0, min_params=int(min_params or 0))
    assert list(sample.archs) == GOLDEN["samples"][which]
