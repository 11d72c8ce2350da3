"""Which files a folder of ImageNet's kind holds, what they are called together, and what is prepared of them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.io import savemat

from tests.workers.photographs import WNIDS, encoded, folder, picture
from workers import datasets
from workers.data import chunks
from workers.data.decode import decoded
from workers.data.image_files import find
from workers.data.large import LargeDataset
from workers.datasets import Form

ARRAY = Form("array", short_side=48)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return folder(tmp_path / "data" / "imagenet")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def prepare(root: Path, cache: Path, form: Form = ARRAY, **more) -> LargeDataset:
    return datasets.prepare("imagenet", root, cache, form=form, **more)


def every(stored: LargeDataset) -> list[bytes]:
    return [split.pixels(i).tobytes() for split in (stored.train, stored.test) for i in range(len(split))]


def test_labels_are_ranks_of_sorted_folders(root: Path, cache: Path) -> None:
    stored = prepare(root.parent, cache)  # the folder above serves as well
    assert stored.train.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert stored.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert stored.dataset_id == datasets.identify("imagenet", root, cache, ARRAY)


def test_the_id_is_of_paths_sizes_and_choice(root: Path, cache: Path, tmp_path: Path) -> None:
    def name(form: Form = ARRAY, where: Path = root) -> str:
        return datasets.identify("imagenet", where, cache, form)

    shutil.copytree(root, tmp_path / "copy")
    choices = [Form(), ARRAY, Form("array"), Form("array", 0.5), Form(fraction=0.125), Form(skip_broken=True)]
    ids = [name(form) for form in choices]
    assert len(set(ids)) == len(choices)
    assert [Form.of(i) for i in ids] == choices
    assert name(where=tmp_path / "copy") == name()
    victim = tmp_path / "copy" / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    victim.write_bytes(victim.read_bytes() + b"\0")
    assert name(where=tmp_path / "copy") != name()
    assert not cache.exists()


def test_plans_without_files_are_told_apart_and_never_trained(root: Path, cache: Path, tmp_path: Path) -> None:
    planned = datasets.identify("imagenet", tmp_path, cache, ARRAY)
    assert Form.of(planned) == ARRAY
    assert not datasets.is_read("imagenet", planned)
    assert datasets.is_read("imagenet", datasets.identify("imagenet", root, cache, ARRAY))
    with pytest.raises(ValueError, match="saw no files"):
        datasets.prepare("imagenet", root, cache, expect=planned)


def test_other_files_than_planned_are_refused(root: Path, cache: Path) -> None:
    planned = datasets.identify("imagenet", root, cache, ARRAY)
    (root / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG").unlink()
    with pytest.raises(ValueError, match=rf"{planned} was planned"):
        datasets.prepare("imagenet", root, cache, expect=planned)


def test_fractions_are_stratified_nested_and_leave_the_test_images(root: Path) -> None:
    whole = find(root, "imagenet", 1000)
    third, half = whole.part(1 / 3), whole.part(0.5)
    assert np.bincount([e.label for e in third.train]).tolist() == [2, 2, 2]
    assert np.bincount([e.label for e in half.train]).tolist() == [3, 3, 3]
    assert {e.name for e in third.train} < {e.name for e in half.train}
    assert [e.name for e in half.train] == sorted(e.name for e in half.train)
    assert half.test == whole.test
    assert np.bincount([e.label for e in whole.part(0.01).train]).tolist() == [1, 1, 1]


def test_a_flat_val_is_labelled_by_the_devkit(root: Path, cache: Path) -> None:
    wanted = {}
    numbers = {wnid: i for i, wnid in zip((700, 3, 12), WNIDS, strict=True)}  # as odd as the original's
    files = sorted((root / "val").glob("*/*.JPEG"))
    order = np.random.default_rng(1).permutation(len(files))
    for place, which in enumerate(order):
        wanted[place] = files[which].parent.name
        files[which].rename(root / "val" / f"ILSVRC2012_val_{place + 1:08d}.JPEG")
    for wnid in WNIDS:
        (root / "val" / wnid).rmdir()
    with pytest.raises(FileNotFoundError, match="devkit"):
        prepare(root, cache)
    kit = root / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    truth = [str(numbers[wanted[place]]) for place in range(len(files))]
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(truth) + "\n")
    about = np.array(
        [(numbers[w], w) for w in WNIDS] + [(1001, "n00000001")], dtype=[("ILSVRC2012_ID", object), ("WNID", object)]
    )
    savemat(kit / "meta.mat", {"synsets": about})
    stored = prepare(root, cache)
    assert stored.test.labels.tolist() == [WNIDS.index(wanted[place]) for place in range(len(files))]
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(reversed(truth)) + "\n")
    assert datasets.identify("imagenet", root, cache, ARRAY) != stored.dataset_id


@pytest.mark.parametrize("form", [Form(), ARRAY], ids=["exact", "array"])
def test_shards_hold_the_images_of_the_folder(root: Path, cache: Path, tmp_path: Path, form: Form) -> None:
    listing = find(root, "imagenet", 1000)
    (tmp_path / "shards").mkdir()
    for name, entries in (
        ("train-00000-of-00002", listing.train[:10]),
        ("train-00001-of-00002", listing.train[10:]),
        ("validation-00000-of-00001", listing.test),
    ):
        images = [{"bytes": (root / e.file).read_bytes(), "path": e.file} for e in entries]
        table = pa.table({"image": images, "label": [e.label for e in entries]})
        pq.write_table(table, tmp_path / "shards" / f"{name}.parquet", row_group_size=4)
    files, shards = prepare(root, cache, form), prepare(tmp_path / "shards", cache, form)
    assert files.dataset_id != shards.dataset_id
    assert every(files) == every(shards)
    assert files.train.labels.tolist() == shards.train.labels.tolist()


def test_exact_images_are_the_decoded_files(root: Path, cache: Path) -> None:
    stored = prepare(root, cache, Form())
    listing = find(root, "imagenet", 1000)
    for number in (0, 7, 17):
        with Image.open(root / listing.train[number].file) as image:
            assert np.array_equal(stored.train.pixels(number), np.asarray(image))
            assert stored.train.sizes(np.array([number])).tolist() == [[image.height, image.width]]


def test_array_images_have_the_short_side(root: Path, cache: Path) -> None:
    exact, stored = prepare(root, cache, Form()), prepare(root, cache)
    for number in range(len(stored.train)):
        full, small = exact.train.pixels(number), stored.train.pixels(number)
        if min(full.shape[:2]) <= 48:
            assert np.array_equal(full, small)
        else:
            assert min(small.shape[:2]) == 48
            assert small.shape[0] / small.shape[1] == pytest.approx(full.shape[0] / full.shape[1], rel=0.05)
            assert abs(small.mean(dtype=float) - full.mean(dtype=float)) < 3
    shutil.rmtree(root)
    again = datasets.prepare("imagenet", root, cache, expect=stored.dataset_id)  # the originals are not needed again
    assert every(again) == every(stored)


def test_colour_models_and_formats_are_no_obstacle(root: Path, cache: Path) -> None:
    place = root / "train" / WNIDS[0]
    original = picture(1000, (60, 50))
    odd = {"grey": encoded(original.convert("L")), "cmyk": encoded(original.convert("CMYK")),
           "png": encoded(original, "PNG"), "palette": encoded(original.convert("P"), "PNG"),
           "alpha": encoded(original.convert("RGBA"), "PNG")}  # fmt: skip
    for name, data in odd.items():
        (place / f"odd_{name}.JPEG").write_bytes(data)
    stored = prepare(root, cache, Form())
    names = [e.file for e in find(root, "imagenet", 1000).train]
    seen = {n: stored.train.pixels(names.index(f"train/{WNIDS[0]}/odd_{n}.JPEG")) for n in odd}
    assert all(pixels.shape == (50, 60, 3) for pixels in seen.values())
    assert np.array_equal(seen["png"], np.asarray(original))
    assert np.array_equal(seen["alpha"], np.asarray(original))
    assert (seen["grey"][..., 0] == seen["grey"][..., 2]).all()
    assert np.abs(seen["cmyk"].astype(int) - np.asarray(original)).mean() < 12


def test_a_camera_held_upright_is_turned() -> None:
    import io

    image, out = picture(5, (60, 40)), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(out, "PNG", exif=exif)
    assert np.array_equal(decoded(out.getvalue()), np.rot90(np.asarray(image), -1))


@pytest.mark.parametrize("form", [Form(), ARRAY], ids=["exact", "array"])
def test_broken_images_are_listed_and_stop_unless_skipped(root: Path, cache: Path, form: Form) -> None:
    cut = root / "train" / WNIDS[1] / f"{WNIDS[1]}_3.JPEG"
    cut.write_bytes(cut.read_bytes()[:-200])
    text = root / "val" / WNIDS[2] / f"{WNIDS[2]}_1.JPEG"
    text.write_text("<html>not found</html>")
    with pytest.raises(ValueError, match="2 images cannot be decoded") as told:
        prepare(root, cache, form)
    assert str(cut) in str(told.value)
    assert str(text) in str(told.value)
    assert "skip_broken" in str(told.value)
    skipped = prepare(root, cache, Form(form.mode, 1.0, form.short_side, skip_broken=True))
    assert (len(skipped.train), len(skipped.test)) == (17, 5)
    assert skipped.train.labels.tolist() == [0] * 6 + [1] * 5 + [2] * 6
    # Once replaced, only what belongs to them is decoded again, and nothing is broken.
    for file in (cut, text):
        file.write_bytes(encoded(picture(7, (50, 60))))
    assert len(prepare(root, cache, form).train) == 18


def test_a_changed_file_is_noticed_when_it_is_read(root: Path, cache: Path) -> None:
    stored = prepare(root, cache, Form())
    file = root / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    file.write_bytes(encoded(picture(7, (41, 77))))
    with pytest.raises(ValueError, match=rf"{file.name}.*has changed"):
        stored.train.pixels(0)


def test_damaged_chunks_are_found_by_prepare_and_made_again(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "COUNT", 5)
    good = every(prepare(root, cache))
    files = sorted((cache / "chunks").glob("*.bin"))
    assert len(files) == 6
    with files[2].open("r+b") as out:
        out.seek(100)
        out.write(b"\xff\x00\xff\x00\xff")
    files[3].write_bytes(files[3].read_bytes()[:-1])
    told: list[str] = []
    assert every(prepare(root, cache, check=True, note=told.append)) == good
    assert any(files[2].stem in line and "damaged" in line for line in told)
    assert not any(files[1].stem in line for line in told)


def test_a_killed_preparation_goes_on_where_it_was(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of decoding; what was done is not done again, and the pixels are the same."""
    monkeypatch.setattr(chunks, "COUNT", 2)
    script = (
        "import sys, time; from workers import datasets; from workers.data import chunks as c\n"
        "c.COUNT = 2; make = c.make\n"
        "def slow(plan, folder): time.sleep(0.3); return make(plan, folder)\n"
        "c.make = slow\n"
        f"datasets.prepare('imagenet', {str(root)!r}, {str(cache)!r}, form=datasets.Form('array', short_side=48))"
    )
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as process:
        until = time.monotonic() + 60
        while len(list((cache / "chunks").glob("*.json"))) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    done = {file: file.stat().st_mtime_ns for file in (cache / "chunks").glob("*.json")}
    assert 3 <= len(done) < 12
    assert not list((cache / "photographs").glob("*.arrow"))
    (cache / "chunks" / ".left.bin.1.aa").write_bytes(b"draft")
    told: list[str] = []
    stored = prepare(root, cache, note=told.append)
    assert f"{2 * len(done)} of 24 images are done" in told[0]
    assert all(file.stat().st_mtime_ns == when for file, when in done.items())
    assert not (cache / "chunks" / ".left.bin.1.aa").exists()
    assert every(stored) == every(prepare(root, cache.with_name("other")))


def test_a_preparation_without_room_is_refused_before_it_starts(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(OSError, match="are needed; name another cache_dir"):
        prepare(root, cache)
    assert not list((cache / "chunks").glob("*.json"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"mode": "arrays"}, "exact or array"),
        ({"fraction": 0.0}, "above 0"),
        ({"fraction": 0.12345678}, "six decimals"),
        ({"mode": "array", "short_side": 8}, "32 to 1024"),
        ({"short_side": 160}, "belongs to mode 'array'"),
    ],
)
def test_choices_that_cannot_be_are_refused(wrong: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Form(**wrong)


def test_folders_that_are_no_imagenet_are_named(root: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="needs data_root"):
        datasets.prepare("imagenet", None, cache)
    with pytest.raises(FileNotFoundError, match="no imagenet at"):
        prepare(tmp_path / "nowhere", cache)
    (root / "val" / "n09999999").mkdir()
    with pytest.raises(ValueError, match=r"classes that train lacks: n09999999"):
        prepare(root, cache)
    shutil.rmtree(root / "val")
    with pytest.raises(FileNotFoundError, match="no imagenet at"):
        datasets.identify("imagenet", root, cache)
    with pytest.raises(ValueError, match="photos has no mode"):
        datasets.prepare("photos", None, cache, form=ARRAY)
