"""Datasets that a study describes: what is found in folders and Parquet files, what names it, what is refused."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import spaces
import workers
from tests.forks import program
from workers import datasets, tasks
from workers.datasets import CustomDataset, Form, Source

from .photographs import encoded, picture

CLASSES = ("daisy", "rose", "tulip")
GIVEN = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)}


def fill(root: Path, each: int = 4, size: tuple[int, int] = (40, 30), seed: int = 0, kind: str = "PNG") -> Path:
    """`each` images a class below root."""
    for name in CLASSES:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            seed += 1
            (root / name / f"{number}.{kind.lower()}").write_bytes(encoded(picture(seed, size), kind))
    return root


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    fill(tmp_path / "flowers" / "train")
    fill(tmp_path / "flowers" / "val", each=2, seed=100)
    return tmp_path / "flowers"


def source(**keys: Any) -> Source:
    return Source(**{"kind": "folder", "size": 16, **keys})


def identity(root: Path, cache: Path | None = None, **keys: Any) -> str:
    return datasets.describe("flowers", source(**keys), root, cache or root.parent / "cache")[1]


def test_a_folder_of_class_folders_is_a_dataset(flowers: Path, tmp_path: Path) -> None:
    own, dataset_id = datasets.describe("flowers", source(), flowers, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()  # a plan writes nothing
    assert (own.classes, own.class_names, own.train_images, own.test_images) == (3, CLASSES, 12, 6)
    arrays = datasets.prepare(own, flowers, tmp_path / "cache", expect=dataset_id)
    assert arrays.train.images.shape == (12, 16, 16, 3)
    assert arrays.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    pixels = arrays.train.images.reshape(-1, 3) / 255
    np.testing.assert_allclose(pixels.mean(axis=0), own.mean, atol=6e-5)
    np.testing.assert_allclose(pixels.std(axis=0), own.std, atol=6e-5)
    # The middle square of 40x30, scaled: what Pillow makes of columns 5 to 34.
    whole = Image.open(flowers / "train" / "rose" / "2.png").crop((5, 0, 35, 30))
    assert np.array_equal(arrays.train.images[6], np.asarray(whole.resize((16, 16), Image.Resampling.BICUBIC)))
    # What was prepared is known again without opening an image.
    for file in flowers.rglob("*.png"):
        stamp = file.stat()
        file.write_bytes(bytes(stamp.st_size))

        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert datasets.describe("flowers", source(), flowers, tmp_path / "cache") == (own, dataset_id)


def test_an_id_follows_what_changes_numbers_and_nothing_else(flowers: Path, tmp_path: Path) -> None:
    own, usual = datasets.describe("flowers", source(), flowers, tmp_path / "cache")
    assert identity(flowers, test="val", mean=own.mean, std=own.std) == usual  # said or measured
    moved = flowers.rename(tmp_path / "elsewhere")
    assert identity(moved) == usual
    same = [identity(moved, size=17), identity(moved, **GIVEN), usual]
    (moved / "train" / "daisy" / "3.png").unlink()
    assert len({*same, identity(moved)}) == 4
    large = identity(moved, size=72)
    assert large == identity(moved, size=72, test="val")
    assert len({large, *(identity(moved, size=size, **GIVEN) for size in (72, 73))}) == 3


def test_parquet_files_with_the_same_pixels_are_the_same_dataset(flowers: Path, tmp_path: Path) -> None:
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for split, name in (("train", "train"), ("val", "validation")):
        rows = [(p.read_bytes(), p.parent.name) for p in sorted((flowers / split).rglob("*.png"))]
        for shard, part in enumerate((rows[:5], rows[5:])):
            table = pa.table({"img": [{"bytes": b, "path": None} for b, _ in part], "kind": [k for _, k in part]})
            pq.write_table(table, tmp_path / "hub" / "data" / f"{name}-0000{shard}-of-00002.parquet")
    assert identity(tmp_path / "hub", kind="parquet", label_column="kind") == identity(flowers)
    numbers = pa.table({"pixels": [b for b, _ in rows], "y": [7, 7, 9, 9, 12, 12]})
    (tmp_path / "one").mkdir()
    pq.write_table(numbers, tmp_path / "one" / "all.parquet")
    keys = {"kind": "parquet", "image_column": "pixels", "label_column": "y", "test_fraction": 0.5}
    own, dataset_id = datasets.describe("flowers", source(**keys, size=72), tmp_path / "one", tmp_path / "cache")
    assert own.class_names == ("7", "9", "12")
    stored = datasets.prepare(own, tmp_path / "one", tmp_path / "cache", expect=dataset_id)
    assert stored.train.labels.tolist() == stored.test.labels.tolist() == [0, 1, 2]
    assert stored.train.pixels(0).shape == (30, 40, 3)


def test_a_fraction_of_every_class_is_the_test_split(flowers: Path, tmp_path: Path) -> None:
    def parts(**keys: Any) -> tuple[set[str], set[str]]:
        listing, _ = source(test_fraction=0.25, **keys).listing("flowers", flowers / "train")
        assert [e.label for e in listing.test] == [0, 1, 2]
        return {e.name for e in listing.train}, {e.name for e in listing.test}

    train, test = parts()
    assert len(train) == 9
    assert not train & test
    assert parts() == (train, test)
    assert parts(split_seed=1) != (train, test)
    ids = {identity(flowers / "train", test_fraction=0.25, split_seed=seed, size=72, **GIVEN) for seed in (0, 1)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("change", "keys", "says"),
    [
        (lambda r: r.rename(r.parent / "gone"), {}, "there is no folder .*flowers"),
        (lambda r: (r / "val").rename(r / "later"), {}, "holds none of val, validation, valid, test"),
        (lambda r: fill(r / "test"), {}, "holds val and test .*test = "),
        (lambda r: (r / "val" / "rose").rename(r / "val" / "nettle"), {}, "classes that train lacks: nettle"),
        (lambda r: (r / "train" / "empty").mkdir(), {}, "empty holds no image"),
        (lambda r: [p.unlink() for p in r.rglob("*.png")], {}, "holds no image"),
        (lambda r: fill(r / "train", each=1), {"test": "exam"}, "no folder exam"),
        (lambda r: (r / "train" / "rose" / "1.png").write_bytes(b"?"), {}, r"1 images of train .*rose/1\.png"),
        (lambda r: None, {"kind": "parquet"}, r"holds a \*\.parquet file"),
    ],
)
def test_what_is_wrong_with_the_files_is_said(flowers: Path, change: Any, keys: dict[str, Any], says: str) -> None:
    change(flowers)
    with pytest.raises((ValueError, FileNotFoundError), match=f"(?s){says}"):
        identity(flowers, **keys)


def test_one_class_is_too_few_and_a_class_of_one_image_cannot_be_divided(tmp_path: Path) -> None:
    fill(tmp_path / "x", each=1)
    with pytest.raises(ValueError, match="daisy has one image"):
        identity(tmp_path / "x", test_fraction=0.5)
    for name in CLASSES[1:]:
        (tmp_path / "x" / name / "0.png").unlink()
        (tmp_path / "x" / name).rmdir()
    with pytest.raises(ValueError, match="has the classes: daisy; at least two"):
        identity(tmp_path / "x", test_fraction=0.5)


def test_grey_images_are_not_coloured(flowers: Path, tmp_path: Path) -> None:
    own, _ = datasets.describe("flowers", source(), flowers, tmp_path / "cache")
    assert tasks.get("col").unsupported_reason(own) is None
    for file in flowers.rglob("*.png"):
        Image.open(file).convert("L").save(file)
    for size in (16, 72):
        grey, _ = datasets.describe("flowers", source(size=size), flowers, tmp_path / "cache")
        assert tasks.get("cls").unsupported_reason(grey) is None
        with pytest.raises(LookupError, match="col needs images with colours, and those of flowers are grey"):
            trial(grey, "flowers-0", "col")


def trial(own: CustomDataset, dataset_id: str, task: str) -> workers.Trial:
    r = workers.recipe("demo", space="chain", dataset=own.name, task=task, size=own.size)
    r = r.replace(epochs=1, width=4, batch=4, precise_bn=4)
    return workers.Trial(
        space="chain", arch="c3_mp", dataset=own.name, task=task, recipe=r, dataset_id=dataset_id, own=own
    )


def test_a_trial_carries_all_that_another_machine_needs_besides_the_files(flowers: Path, tmp_path: Path) -> None:
    """Trained there from its JSON and an empty cache, a small and a large one; the rows are those of this process."""
    asked, here = [], []
    for size, task in ((16, "rot"), (72, "jig")):
        own, dataset_id = datasets.describe("flowers", source(size=size), flowers, tmp_path / "cache")
        asked.append(trial(own, dataset_id, task))
        here.append(workers.run(asked[-1], flowers, cache_dir=tmp_path / "cache"))
    code = (
        "import json, sys, workers\n"
        "for text in json.loads(sys.argv[1]):\n"
        "    row = workers.run(workers.Trial.model_validate_json(text), sys.argv[2], cache_dir=sys.argv[3])\n"
        "    print(row['trial_id'], row['train_loss'], row['score_best'])\n"
    )
    done = program(code, json.dumps([t.model_dump_json() for t in asked]), flowers, tmp_path / "fresh")
    assert done.stdout.splitlines() == [f"{r['trial_id']} {r['train_loss']} {r['score_best']}" for r in here]
    # Other files under the same description are refused by both ids.
    (flowers / "train" / "daisy" / "3.png").unlink()
    for one in asked:
        with pytest.raises(ValueError, match=f"{one.dataset_id} was planned"):
            workers.run(one, flowers, cache_dir=tmp_path / "other")


def test_a_large_one_has_the_forms_and_proportions_of_imagenet(flowers: Path, tmp_path: Path) -> None:
    own, exact = datasets.describe("flowers", source(size=224), flowers, tmp_path / "cache")
    imagenet = datasets.get("imagenet")
    assert own.large is not None
    constants = replace(own.large, mark="train", listing=None)
    assert (constants, own.jigsaw, own.stem) == (imagenet.large, imagenet.jigsaw, imagenet.stem)
    half = Form("array", 0.5, 32)
    _, dataset_id = datasets.describe("flowers", source(size=224), flowers, tmp_path / "cache", half)
    assert exact.startswith("flowers-exact-")
    assert dataset_id.startswith("flowers-array32-f0_5-")
    stored = datasets.prepare(own, flowers, tmp_path / "cache", expect=dataset_id)
    assert len(stored.train) == 6
    assert stored.train.pixels(0).shape == (30, 40, 3)  # smaller images stay as they are


@pytest.mark.parametrize("space", spaces.names())
def test_tiles_of_every_size_survive_the_poolings(space: str) -> None:
    """The networks of every size that a dataset may have, built without memory and asked for an answer."""
    arch, depth = spaces.sample(spaces.get(space), 1, 0).archs[0], 3 if space == "darts" else 1
    sized = [
        CustomDataset(name="mine", source=source(size=s), classes=2, mean=(0.5,) * 3, std=(0.2,) * 3, grey=False,
            train_images=9, test_images=9)
        for s in (16, 17, 64, 65, 127, 128)
    ]  # fmt: skip
    for dataset in (*sized, *map(datasets.get, ("fashion_mnist", "stl10"))):
        task = tasks.get("jig")
        with torch.device("meta"):
            trunk = spaces.get(space).trunk(arch, in_channels=3, width=4, depth=depth, stem=dataset.stem)
            net, tiles = task.network(trunk, dataset), torch.empty(2, *task.element(dataset))
        assert net(tiles).shape == (2, task.classes(dataset))
        cost = spaces.get(space).cost(
            arch, in_channels=3, width=4, depth=depth, stem=dataset.stem, size=dataset.jigsaw.tile
        )
        assert cost.size >= 1
