# ruff: noqa: PT017  (a refusal is as right as an answer)
"""Damaged files of published sets: the images that were put into them, or one message that names a file."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.workers.test_datasets_published import MAKERS, content
from workers import datasets

BOUNDED = settings(max_examples=20, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
HEADER = 48  # bytes: what a damaged reader stumbles over; a changed pixel further on nobody could tell
WAYS = ("cut", "changed", "longer", "page", "empty", "gone", "folder", "dead link", "pipe", "locked")


@pytest.mark.parametrize("name", sorted(MAKERS))
@given(data=st.data())
@BOUNDED
def test_damaged_files_are_read_right_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    base = tmp_path_factory.getbasetemp() / "fuzz-originals"
    shutil.rmtree(base, ignore_errors=True)
    made = content(name)
    base.mkdir(parents=True)
    MAKERS[name](base, made)
    files = sorted(path for path in base.rglob("*") if path.is_file() and path.name != "meta")
    victim, way = data.draw(st.sampled_from(files)), data.draw(st.sampled_from(WAYS))
    damage(victim, way, data)
    for read in (datasets.identify, datasets.prepare):
        try:
            found = read(name, base, base / "cache")
        except (ValueError, OSError) as error:
            # Without their checksums known, all files of some sets are refused; the message names one of them.
            named = [file.name for file in files] + [victim.parent.name]
            assert any(part in str(error) for part in named), f"{way} {victim.name}: {error!r}"
            continue
        if isinstance(found, str):
            continue
        for split, (images, labels) in made.items():
            part = getattr(found, split)
            assert np.array_equal(part.images, images), f"{way} {victim.name}"
            assert np.array_equal(part.labels, labels), f"{way} {victim.name}"


def damage(file: Path, way: str, data: st.DataObject) -> None:
    whole = file.read_bytes()
    if way == "cut":
        file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    elif way == "changed":
        changed = bytearray(whole)
        changed[data.draw(st.integers(0, min(HEADER, len(whole)) - 1))] = data.draw(st.integers(0, 255))
        # Beyond the head of an IDX file lie pixels and labels, of which any are as good.
        head = 16 if "images" in file.name else 8
        file.write_bytes(bytes(changed[:head]) + whole[head:] if "ubyte" in file.name else bytes(changed))
    elif way == "longer":
        file.write_bytes(whole + b"\0" * data.draw(st.integers(1, 5000)))
    elif way == "page":
        file.write_bytes(b"<!DOCTYPE html><title>404</title>")
    elif way == "locked":
        file.chmod(0)
    elif way == "empty":
        file.write_bytes(b"")
    else:
        file.unlink()
        if way == "folder":
            file.mkdir()
        elif way == "dead link":
            file.symlink_to("/no/such/mount")
        elif way == "pipe":
            os.mkfifo(file)
