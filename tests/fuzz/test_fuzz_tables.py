# ruff: noqa: PT017  (a refusal is as right as an answer)
"""Parquet files and label maps as they occur, in every reader of them: right, or refused by name."""

import io
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from workers import datasets
from workers.datasets import Form, Source

from .pictures import SIDE, Content, contents, exif
from .promise import Reader, World, check, found, left_out

BOUNDED = settings(max_examples=15, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))

WRAPS: dict[str, Callable[[list[Any]], pa.Array]] = {
    "struct": lambda rows: pa.array([{"bytes": r, "path": "1.png"} for r in rows]),
    "binary": lambda rows: pa.array(rows, pa.binary()),
    "large binary": lambda rows: pa.array(rows, pa.large_binary()),
    "dictionary": lambda rows: pa.array(rows, pa.binary()).dictionary_encode(),
}
TYPES = {"text": pa.string(), "number": pa.int64(), "small number": pa.uint8(), "dictionary": None}
# Each makes one thing odd: of a row, of a file, or of the files of a split.
ROWS = ("a broken image", "no image", "a path for an image", "no label", "a label with a fraction", "a label below 0")
FILES = ("cut short", "empty", "a page of the web", "without rows", "without labels", "text among numbers")
SETS = ("a missing shard", "a hidden file beside", "a foreign file beside", "a pipe for a shard",
        "a split of another name beside", "another generation beside", "two columns of one name")  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, base: Path, registered: bool, kinds: Sequence[str]) -> World:
    """Shards of both splits, with at most one thing odd."""
    shutil.rmtree(base, ignore_errors=True)
    world = World(base / "data")
    folder = world.root / draw(st.sampled_from(["", "data"]))
    folder.mkdir(parents=True)
    wrap, kind = WRAPS[draw(st.sampled_from(sorted(WRAPS)))], draw(st.sampled_from(sorted(TYPES)))
    column, shards = draw(st.sampled_from(["image", "img"])), draw(st.integers(1, 2))
    kind = "number" if registered else kind
    odd, victim = draw(st.sampled_from(kinds)), draw(st.sampled_from(["train", "validation"]))
    world.log.append(f"{odd or 'nothing'} in {victim}, labels as {kind}")
    classes = ["ant", "bee"] if kind in ("text", "dictionary") else [0, 1]
    for split in ("train", "validation"):
        for shard in range(shards):
            file = folder / (f"{split}-{shard:05d}-of-{shards:05d}.parquet" if shards > 1 else f"{split}.parquet")
            rows = [draw(contents()) for _ in range(4)]
            labels: list[Any] = [classes[n % 2] for n in range(4)]
            images: list[Any] = [row.data for row in rows]
            hit = odd if (split, shard) == (victim, 0) else ""
            lost = hit in (*FILES[:3], "without labels", "a missing shard", "a pipe for a shard")
            if hit == "a broken image":
                rows[1] = draw(contents(broken=True))
                images[1] = rows[1].data
            if hit in ("no image", "a path for an image"):
                images[1] = None
            if hit == "no label":
                labels[1] = None
            if hit == "a label below 0":
                labels = [-1 if kind in ("number", "small number") else None, *labels[1:]]
            if hit == "text among numbers":
                labels = [str(label) for label in labels] if isinstance(labels[0], int) else [0, 1, 0, 1]
            type_ = TYPES[kind] if hit not in ("text among numbers", "a label below 0") else None
            numbers = pa.array(labels, type_)
            if hit == "a label with a fraction":
                numbers = pa.array([0.5, 1.0, 0.0, 1.0])
            numbers = (
                numbers.dictionary_encode() if kind == "dictionary" and pa.types.is_string(numbers.type) else numbers
            )
            table = pa.table({column: wrap(images), "label": numbers, "id": pa.array(range(4))})
            if hit == "two columns of one name":
                table = table.append_column("label", numbers)
            if hit == "without labels":
                table = table.drop_columns(["label"])
            pq.write_table(table.slice(0, 0) if hit == "without rows" else table, file, row_group_size=3)
            if hit in ("cut short", "empty", "a page of the web"):
                whole = file.read_bytes()
                file.write_bytes({"c": whole[: len(whole) - 30], "e": b"", "a": b"<!DOCTYPE html>"}[hit[0]])
            if hit in ("a missing shard", "a pipe for a shard"):
                file.unlink()
                if hit == "a pipe for a shard":
                    os.mkfifo(file)
            if hit.endswith("beside"):
                beside = (
                    folder
                    / {
                        "a hidden file beside": f"._{file.name}",
                        "a foreign file beside": "notes.parquet.txt",
                        "a split of another name beside": f"{split}_small.parquet",
                        "another generation beside": f"{split}-00000-of-00001.parquet",
                    }[hit]
                )
                if not beside.exists():
                    beside.write_bytes(b"\0\5\x16\7" if "file" in hit else file.read_bytes())
                    world.odd.append(beside.name)
            elif hit:
                # A set that lacks rows or a split altogether is named by its folder or by what is missing.
                world.odd += [file.name, f"{split}*.parquet", f"{split} shards", f"({split})", f"({split[:3]})", "val*"]
                world.odd += ["val shards", "none of val, test", "labels are text in one split"]
                world.odd.append("labels are text in one file")
            if not lost and hit != "without rows":
                world.there += [
                    ("train" if split == "train" else "val", str(label), row)
                    for row, label, image in zip(rows, labels, images, strict=True)
                    if row.pixels is not None and image is not None
                ]
    return world


def _own(size: int, choice: Form | None) -> Reader:
    def read(world: World, note: Callable[[str], None]) -> Any:
        cache = world.root.parent / "cache"
        source = Source(kind="parquet", size=size)
        own, planned = datasets.describe("fuzz", source, world.root, cache, choice)
        stored = datasets.prepare(own, world.root, cache, expect=planned, form=choice, note=note)
        note(own.unused)
        return found(stored, list(own.class_names))

    return read


def _imagenet(choice: Form) -> Reader:
    def read(world: World, note: Callable[[str], None]) -> Any:
        stored = datasets.prepare("imagenet", world.root, world.root.parent / "cache", form=choice, note=note)
        note(datasets.look("imagenet", world.root, form=choice).unused)
        return found(stored, [str(n) for n in range(1000)])

    return read


READERS = {
    "own, small": _own(16, None),
    "own, exact": _own(72, Form()),
    "own, skipping": _own(72, Form("array", short_side=64, skip_broken=True)),
    "imagenet, exact": _imagenet(Form()),
    "imagenet, skipping": _imagenet(Form("array", short_side=64, skip_broken=True)),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(BOUNDED, max_examples=24)
def test_a_table_is_read_whole_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    odd = ("", *ROWS, *FILES, *SETS)
    base = tmp_path_factory.getbasetemp() / "fuzz-tables"
    check(READERS[name], data.draw(tables(base, name.startswith("imagenet"), odd)))


@dataclass
class Scene:
    """An image and its label map: what is to be seen of both, or what is wrong with one."""

    image: Content
    classes: np.ndarray


ODD_MAPS = ("", "", "16 bits", "a JPEG", "4 bits", "another size", "colours", "a strange number", "missing", "broken",
            "turned", "hidden beside", "hidden image", "train ids")  # fmt: skip


def _map(draw: st.DrawFn, ids: np.ndarray, odd: str) -> bytes:
    image, options = Image.fromarray(ids.astype(np.uint8)), {}
    if odd == "16 bits":
        image = Image.fromarray(ids.astype(np.uint16))
    elif odd == "another size":
        image = image.crop((0, 0, SIDE - 1, SIDE))
    elif odd == "colours":
        image = image.convert("RGB")
    elif odd == "turned":
        options = {"exif": exif(draw(st.integers(2, 8)), [])}
    elif draw(st.booleans()):
        image = Image.fromarray(ids.astype(np.uint8), "P")
        image.putpalette([7, 8, 9] * 256)
    out = io.BytesIO()
    image.convert("L").save(out, "JPEG") if odd == "a JPEG" else image.save(out, "PNG", **options)
    return out.getvalue()[: 60 if odd == "broken" else None]


@pytest.mark.parametrize("skip", [False, True], ids=["stopping", "skipping"])
@pytest.mark.parametrize("name", ["cityscapes", "camvid"])
@given(data=st.data())
@BOUNDED
def test_label_maps_are_those_of_their_images_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, skip: bool, data: st.DataObject
) -> None:
    base = tmp_path_factory.getbasetemp() / "fuzz-scenes"
    shutil.rmtree(base, ignore_errors=True)
    root, log, odd_names = base / name, list[str](), set[str]()
    scenes: dict[str, Scene] = {}
    maps = datasets.get(name).large.maps  # type: ignore[union-attr]
    values = np.array(maps.values[-1][1])  # value and class
    for split in ("train", "val"):
        for number in range(3):
            odd = data.draw(st.sampled_from(ODD_MAPS)) if number == 1 else ""
            content = data.draw(contents(broken=data.draw(st.integers(0, 9)) == 0 and number == 2))
            picked = data.draw(st.lists(st.integers(0, len(values) - 2), min_size=2, max_size=4))
            if name == "cityscapes":
                picked.append(26)  # a car, so that these can only be label ids
                image = root / "leftImg8bit" / split / "ulm" / f"ulm_{number}_leftImg8bit.png"
                file = root / "gtFine" / split / "ulm" / f"ulm_{number}_gtFine_labelIds.png"
            else:
                image, file = root / split / f"{number}.png", root / f"{split}annot" / f"{number}.png"
            at = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // 5 % len(picked)
            ids, classes = (values[np.array(picked)[at], part] for part in (0, 1))
            if odd == "a strange number":
                ids = np.where(at == 0, 200, ids)
            if odd == "train ids":
                ids = np.where(at == 0, 255, ids % 11)
            for path in (image, file):
                path.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(content.data)
            if odd == "hidden beside":
                (root / f"{split}annot").mkdir(exist_ok=True)
                file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")
            if odd == "hidden image":
                image.with_name(f"._{image.name}").write_bytes(b"\0\5\x16\7")
            if odd != "missing":
                file.write_bytes(_map(data.draw, ids, odd))
            if odd == "4 bits":
                four = Image.fromarray(ids.astype(np.uint8) % 16, "P")
                four.putpalette([1, 2, 3] * 16)
                four.save(file, bits=4)
                classes = np.vectorize(dict(values.tolist()).get)(ids % 16)
            if odd not in ("", "hidden beside", "4 bits") or content.pixels is None or content.orientation > 1:
                odd_names.add(image.name)
            log.append(f"{image.relative_to(root)}: {content.about}; its map: {odd or 'as it should be'}")
            scenes[image.relative_to(root).as_posix()] = Scene(content, classes)
    context = "\n".join(log)
    said: list[str] = []
    try:
        choice = Form(skip_broken=skip)
        stored = datasets.prepare(name, root, base / "cache", form=choice, note=said.append)
        said.append(datasets.look(name, root, form=choice).unused)
    except (ValueError, OSError) as error:
        assert any(odd in str(error) for odd in odd_names), f"{error!r} names nothing odd of\n{context}"
        return
    used = 0
    for part in (stored.train, stored.test):
        assert isinstance(part, datasets.LargeSplit)
        for number, image_name in enumerate(part.table.column("name").to_pylist()):
            scene = scenes[image_name]
            used += 1
            assert scene.image.fits(part.pixels(number)), f"{image_name} of\n{context}"
            assert np.array_equal(part.label_map(number), scene.classes), f"the map of {image_name} of\n{context}"
    assert used + left_out(said) >= len(scenes), f"{used} of {len(scenes)}, and it said {said} of\n{context}"
