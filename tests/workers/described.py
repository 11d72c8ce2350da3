"""Described datasets as they lie on a disk: class folders and Parquet files, planned and prepared as by a run."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.workers.photographs import encoded, picture
from workers import datasets
from workers.datasets import CustomDataset, Form, LargeDataset, Source

EXACT, ARRAY = Form(), Form("array", short_side=48)
BOTH = pytest.mark.parametrize("form", [EXACT, ARRAY], ids=["exact", "array"])
SAME = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def classes(root: Path, kind: str = "PNG", end: str = ".png", first: int = 0) -> Path:
    """train/ and val/ with the classes a and b, four images of 120 px each."""
    for split in ("train", "val"):
        for number, name in enumerate("ab"):
            (root / split / name).mkdir(parents=True)
            for i in range(4):
                seed = first + 10 * number + i + (100 if split == "val" else 0)
                (root / split / name / f"{i}{end}").write_bytes(encoded(picture(seed, (120, 120)), kind))
    return root


def shard(file: Path, images: list[bytes], labels: list[Any], **more: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"image": [{"bytes": b, "path": "x.png"} for b in images], "label": labels})
    pq.write_table(table, file, **more)


def pngs(count: int, first: int = 0, kind: str = "PNG") -> list[bytes]:
    return [encoded(picture(first + i, (120, 120)), kind) for i in range(count)]


def described(root: Path, cache: Path, form: Form = EXACT, **keys: Any) -> tuple[CustomDataset, LargeDataset]:
    """A described set of 96 px as a run would see it: planned, then prepared."""
    source = Source(**{"kind": "folder", "size": 96, **SAME, **keys})
    own, dataset_id = datasets.describe("mine", source, root, cache, form)
    stored = datasets.prepare(own, root, cache, expect=dataset_id, form=form)
    assert isinstance(stored, LargeDataset)
    return own, stored


def rewritten(file: Path, data: bytes) -> None:
    """Other content of the same length; the time moves on as on any disk, however coarse its clock."""
    assert len(data) == file.stat().st_size
    when = file.stat().st_mtime_ns + 10**9
    file.write_bytes(data)
    os.utime(file, ns=(when, when))
