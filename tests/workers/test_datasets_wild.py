"""Folders and files as they occur in the wild: the right images, or a refusal that names what is wrong."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.workers.described import ARRAY, BOTH, EXACT, SAME, classes, described, pngs, rewritten
from tests.workers.photographs import WNIDS, encoded, folder, picture
from workers import datasets
from workers.data import agreement
from workers.data.image_files import find
from workers.datasets import Form, Source


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    return folder(tmp_path / "imagenet", each=3, tests=1)


# --- what is trained on is what lies there ---


@BOTH
def test_files_replaced_by_others_of_the_same_size_are_seen(imagenet: Path, cache: Path, form: Form) -> None:
    """The id covers names, sizes and labels; the pixels are those of today, also where the id is known already."""
    for file in imagenet.rglob("*.JPEG"):
        file.write_bytes(encoded(picture(int(file.stem[-1]), (50, 50)), "BMP"))
    planned = datasets.prepare("imagenet", imagenet, cache, form=form).dataset_id
    victim = imagenet / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    new = picture(77, (50, 50))
    rewritten(victim, encoded(new, "BMP"))
    told: list[str] = []
    again = datasets.prepare("imagenet", imagenet, cache, expect=planned, note=told.append)
    assert again.dataset_id == planned
    assert (
        abs(again.train.pixels(0).astype(int) - np.asarray(new.resize((48, 48)) if form == ARRAY else new)).max() < 60
    )
    if form == EXACT:
        assert np.array_equal(again.train.pixels(0), np.asarray(new))
    else:
        fresh = datasets.prepare("imagenet", imagenet, cache.with_name("fresh"), form=form)
        assert np.array_equal(again.train.pixels(0), fresh.train.pixels(0))
    assert any("files are checked again" in line for line in told)


@BOTH
def test_a_copy_elsewhere_is_not_trained_from_the_cache_of_another(tmp_path: Path, cache: Path, form: Form) -> None:
    """Two folders with the same names and sizes, all of fixed size: other pixels are another set."""
    roots = [classes(tmp_path / f"v{n}", "BMP", ".bmp", first=1000 * n) for n in (1, 2)]
    found = [described(root, cache, form)[1] for root in roots]
    assert found[0].dataset_id != found[1].dataset_id
    for root, stored in zip(roots, found, strict=True):
        fresh = described(root, tmp_path / f"fresh-{root.name}", form)[1]
        assert np.array_equal(stored.train.pixels(0), fresh.train.pixels(0))


@BOTH
def test_two_images_that_change_places_are_noticed(tmp_path: Path, cache: Path, form: Form) -> None:
    root = classes(tmp_path / "data", "TIFF", ".tif")
    _, before = described(root, cache, form)
    first, second = before.train.pixels(0).copy(), before.train.pixels(4).copy()
    a, b = root / "train/a/0.tif", root / "train/b/0.tif"
    old, new = a.read_bytes(), b.read_bytes()
    rewritten(a, new)
    rewritten(b, old)
    _, after = described(root, cache, form)
    assert after.dataset_id != before.dataset_id
    assert np.array_equal(after.train.pixels(0), second)
    assert np.array_equal(after.train.pixels(4), first)


def test_a_cache_without_its_files_serves_and_half_of_the_files_do_not(imagenet: Path, cache: Path) -> None:
    planned = datasets.prepare("imagenet", imagenet, cache, form=ARRAY).dataset_id
    shutil.rmtree(imagenet / "val")
    with pytest.raises(FileNotFoundError, match="no imagenet at"):
        datasets.prepare("imagenet", imagenet, cache, expect=planned)
    shutil.rmtree(imagenet)
    assert len(datasets.prepare("imagenet", imagenet, cache, expect=planned).train) == 9


@pytest.mark.parametrize("change", ["deleted", "replaced", "touched"])
def test_a_file_that_changes_while_it_is_trained_on_is_named(imagenet: Path, cache: Path, change: str) -> None:
    for file in imagenet.rglob("*.JPEG"):
        file.write_bytes(encoded(picture(int(file.stem[-1]), (50, 50)), "BMP"))
    stored = datasets.prepare("imagenet", imagenet, cache, form=EXACT)
    victim = imagenet / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    if change == "deleted":
        victim.unlink()
    else:
        rewritten(victim, encoded(picture(77, (50, 50)), "BMP") if change == "replaced" else victim.read_bytes())
    with pytest.raises(ValueError, match=rf"{victim.name} below .* has changed since it was checked"):
        stored.train.pixels(0)
    assert stored.train.pixels(1).shape == (50, 50, 3)


# --- nothing vanishes without a word ---


def test_hidden_and_foreign_folders_are_no_classes(imagenet: Path, cache: Path) -> None:
    clean = datasets.prepare("imagenet", imagenet, cache, form=EXACT)
    for name in (".ipynb_checkpoints", "@eaDir", "__MACOSX", "lost+found"):
        (imagenet / "train" / name).mkdir()
        (imagenet / "val" / name).mkdir()
        (imagenet / "train" / name / "x.jpg").write_bytes(encoded(picture(5, (50, 50))))
    (imagenet / "train" / WNIDS[0] / "._x.JPEG").write_bytes(b"resource fork")
    found = datasets.prepare("imagenet", imagenet, cache, form=EXACT)
    assert found.dataset_id == clean.dataset_id
    assert found.train.labels.tolist() == clean.train.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert datasets.look("imagenet", imagenet, cache).unused == "left out: 5 hidden images"


@pytest.mark.parametrize("classes_at_most", [3, 1000])
def test_a_foreign_folder_with_images_is_no_class_of_imagenet(imagenet: Path, classes_at_most: int) -> None:
    (imagenet / "train" / "backup").mkdir()
    (imagenet / "train" / "backup" / "x.JPEG").write_bytes(encoded(picture(5, (50, 50))))
    with pytest.raises(ValueError, match="beside 3 classes named like n01440764 the folders backup"):
        find(imagenet, "imagenet", classes_at_most)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_class_without_images_is_refused_by_name(imagenet: Path, split: str) -> None:
    shutil.rmtree(imagenet / split / WNIDS[1])
    (imagenet / split / WNIDS[1] / "inner").mkdir(parents=True)
    (imagenet / split / WNIDS[1] / "inner" / "x.JPEG").write_bytes(encoded(picture(5, (50, 50))))
    with pytest.raises(ValueError, match=rf"{WNIDS[1]} holds no image.*1 image in folders inside of classes"):
        datasets.look("imagenet", imagenet)


def test_what_is_not_read_is_counted_by_kind(tmp_path: Path, cache: Path) -> None:
    root = classes(tmp_path / "data")
    place = root / "train" / "a"
    for name in ("1.gif", "2.GIF", "3.heic", "plain", "notes.txt"):
        (place / name).write_bytes(b"?")
    (place / "inner" / "more").mkdir(parents=True)
    for file in (place / "inner" / "4.png", place / "inner" / "more" / "5.jpg"):
        file.write_bytes(pngs(1)[0])
    (root / "val" / "labels.csv").write_text("x")
    (root / "extra").mkdir()
    own, _ = described(root, cache)
    assert own.unused == (
        "left out: 5 files of train (.gif 2, .heic 1, .txt 1, none 1); 1 file of val (.csv 1); "
        "2 images in folders inside of classes; not looked at: extra/"
    )
    assert own.train_images == 8
    assert described(root, cache)[0].unused == own.unused  # also when all is known already


@pytest.mark.parametrize("end", [".jfif", ".jpe", ".JPE"])
def test_rarer_names_of_jpegs_are_read(tmp_path: Path, cache: Path, end: str) -> None:
    own, stored = described(classes(tmp_path / "data", "JPEG", end), cache)
    assert (len(stored.train), own.unused) == (8, "")


@BOTH
def test_names_of_any_bytes_are_read(tmp_path: Path, cache: Path, form: Form) -> None:
    root = classes(tmp_path / "data")
    odd = root / "train" / "a" / os.fsdecode(b"\xff\xfe.png")
    odd.write_bytes(encoded(picture(900, (120, 120)), "PNG"))
    _, stored = described(root, cache, form)
    assert len(stored.train) == 9
    image = np.asarray(picture(900, (120, 120)))
    assert form == ARRAY or any(np.array_equal(stored.train.pixels(n), image) for n in range(9))
    odd.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"1 images cannot be decoded"):
        described(root, cache, form)


def flat_images(root: Path) -> None:
    (root / "train" / "stray.png").write_bytes(pngs(1)[0])


def half_sorted(root: Path) -> None:
    for file in (root / "val" / "b").iterdir():
        file.rename(root / "val" / f"b_{file.name}")
    (root / "val" / "b").rmdir()


def dead_image(root: Path) -> None:
    (root / "train" / "a" / "9.png").symlink_to("/nowhere/9.png")


def dead_class(root: Path) -> None:
    (root / "train" / "c").symlink_to("/nowhere/c")


def dead_split(root: Path) -> None:
    classes(root / "more")
    (root / "more" / "val").rename(root / "test")
    shutil.rmtree(root / "val")
    (root / "val").symlink_to("/nowhere/val")


def circle(root: Path) -> None:
    (root / "train" / "a" / "9.png").symlink_to("9.png")


def same_looks(root: Path) -> None:
    shutil.copytree(root / "train" / "a", root / "train" / "a ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (flat_images, "beside them 1 image without a class.*stray.png"),
        (half_sorted, "beside them 4 images without a class"),
        (dead_image, "9.png is a link to /nowhere/9.png"),
        (dead_class, "c is a link to /nowhere/c"),
        (dead_split, "val is a link to /nowhere/val"),
        (circle, "9.png"),
        (same_looks, "'a' and 'a ' look the same"),
        (lambda r: (r / "val" / "b").rename(r / "val" / "B"), "test classes that train lacks: B .*train has 'b'"),
        (lambda r: (r / "val").rename(r / "Val"), "there is Val/"),
        (lambda r: (r / "train").rename(r / "Train"), "there is Train/"),
    ],
)
def test_what_looks_like_an_accident_is_refused(tmp_path: Path, change: Callable[[Path], object], says: str) -> None:
    root = classes(tmp_path / "data")
    change(root)
    with pytest.raises((ValueError, OSError), match=f"(?s){says}"):
        Source(kind="folder", size=96).listing("mine", root)


@pytest.mark.parametrize("split", ["train", "val"])
def test_dead_links_and_flat_images_are_refused_in_imagenet_too(imagenet: Path, split: str) -> None:
    dead = imagenet / split / WNIDS[0] / "dead.JPEG"
    dead.symlink_to("/nowhere/dead.JPEG")
    with pytest.raises(ValueError, match=r"dead.JPEG is a link to /nowhere/dead.JPEG"):
        datasets.look("imagenet", imagenet)
    dead.unlink()
    (imagenet / split / "flat.JPEG").write_bytes(encoded(picture(5, (50, 50))))
    with pytest.raises(ValueError, match=r"1 image without a class \(flat.JPEG\)"):
        datasets.look("imagenet", imagenet)


# --- what cannot be read, and what is left out ---


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_could_not_be_read_is_tried_again_by_permission(tmp_path: Path, cache: Path) -> None:
    root = classes(tmp_path / "data")
    (root / "train/a/0.png").chmod(0)
    with pytest.raises(PermissionError, match=r"train/a/0\.png"):
        described(root, cache, Form(skip_broken=True))
    (root / "train/a/0.png").chmod(0o644)
    assert len(described(root, cache)[1].train) == 8


@pytest.mark.parametrize("size", [32, 96])
def test_a_disk_that_fails_for_a_moment_breaks_no_image(
    tmp_path: Path, cache: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same on any machine and for any user: the first read of one file is answered with ESTALE."""
    import errno

    root, whole, failed = classes(tmp_path / "data"), Path.read_bytes, []

    def read_bytes(self: Path) -> bytes:
        if self.name == "2.png" and not failed:
            failed.append(self)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return whole(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    keys = {"mean": None, "std": None, "size": size}  # measured, so that images are read when it is described
    with pytest.raises(OSError, match=r"Stale.*2\.png"):
        described(root, cache, **keys)
    own, _ = datasets.describe("mine", Source(kind="folder", size=size), root, cache)
    stored = datasets.prepare(own, root, cache)
    assert len(stored.train) == 8
    assert own == datasets.describe("mine", Source(kind="folder", size=size), root, tmp_path / "other")[0]


def test_machines_that_leave_out_other_images_do_not_train_in_one_run(imagenet: Path, tmp_path: Path) -> None:
    """A copy of the same size is broken on one of them."""
    shutil.copytree(imagenet, tmp_path / "copy" / "imagenet")
    victim = tmp_path / "copy" / "imagenet" / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    rewritten(victim, bytes(victim.stat().st_size))
    form, run = Form(skip_broken=True), str(tmp_path / "run")
    here = datasets.prepare("imagenet", imagenet, tmp_path / "a", form=form)
    there = datasets.prepare("imagenet", tmp_path / "copy", tmp_path / "b", form=form)
    assert here.dataset_id == there.dataset_id
    agreement.check_left_out_images(run, here)
    agreement.check_left_out_images(run, here)
    with pytest.raises(ValueError, match=r"leaves out 1 image on this machine .*but 0 images where the run began"):
        agreement.check_left_out_images(run, there)
    agreement.check_left_out_images(str(tmp_path / "other"), there)


# --- caches that others made ---


def test_a_cache_that_may_only_be_read_serves(tmp_path: Path, cache: Path) -> None:
    root = classes(tmp_path / "data")
    ids = [described(root, cache, size=size)[1].dataset_id for size in (96,)]
    small, small_id = datasets.describe("mine", Source(kind="folder", size=32), root, cache)
    datasets.prepare(small, root, cache)
    folders = [cache, *(p for p in cache.rglob("*") if p.is_dir())]
    for place in folders:
        place.chmod(0o555)
    try:
        assert datasets.prepare(small, root, cache).dataset_id == small_id
        own, dataset_id = datasets.describe("mine", Source(kind="folder", size=96, **SAME), root, cache)
        assert datasets.prepare(own, root, cache, check=True).dataset_id == dataset_id == ids[0]
    finally:
        for place in folders:
            place.chmod(0o755)


def test_the_lock_of_another_user_is_no_obstacle(tmp_path: Path, cache: Path) -> None:
    described(classes(tmp_path / "one"), cache)
    for file in cache.rglob("*.lock"):
        file.chmod(0o444)
    described(classes(tmp_path / "two", first=500), cache)
