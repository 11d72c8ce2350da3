"""Segmentation, and the other tasks on images at random scales: against slow references, and as trainings."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import Tensor, nn

import spaces
import workers
from tests.workers.photographs import picture
from tests.workers.prepared import prepare, stop_after
from tests.workers.replayed import tape
from tests.workers.test_imagenet_tasks import bilinear, centre, flipped, normalised, one, scale
from workers import datasets, tasks
from workers.data.resize import crop, crop_map
from workers.datasets import IGNORED, OUTSIDE, Form
from workers.tasks._aspp import Aspp
from workers.training.epoch import evaluate, train_epoch

CITY = datasets.get("cityscapes")
SIZES = [(900, 600), (1100, 560), (330, 700), (640, 322)]  # width, height
N = len(SIZES)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [np.array(picture(seed, size)) for seed, size in enumerate(SIZES)]


def zoom_and_crop(image: np.ndarray, draws: dict, side: int, nearest: bool = False) -> np.ndarray:
    """The shorter side to int(max(side, T * 2 ** u)), then a square anywhere but at the last offset."""
    height, width = image.shape[:2]
    short = int(max(side, 512 * 2 ** float(draws["zoom"])))
    rows = math.floor(height / width * short) if width < height else short
    columns = short if width < height else math.floor(width / height * short)
    top, left = (math.floor(float(p) * (n - side)) for p, n in zip(draws["place"], (rows, columns), strict=True))
    if not nearest:
        return bilinear(image, rows, columns)[top : top + side, left : left + side]
    y = [min(int((r + 0.5) * height / rows), height - 1) for r in range(top, top + side)]
    x = [min(int((c + 0.5) * width / columns), width - 1) for c in range(left, left + side)]
    return image[y][:, x]


def fed(task: str, images: list[np.ndarray], maps: list[np.ndarray], draws: dict) -> tuple[Tensor, Tensor]:
    t = tasks.get(task)
    how = t.crops(torch.tensor([image.shape[:2] for image in images]), draws, CITY).tolist()
    frame = (t.side(CITY), t.side(CITY))
    pixels = torch.stack([crop(image, h, frame, torch.float32) for image, h in zip(images, how, strict=True)])
    return pixels, torch.stack([crop_map(m, h, frame) for m, h in zip(maps, how, strict=True)])


def test_training_batches_are_those_of_the_reference(images: list[np.ndarray]) -> None:
    """Scales on both sides of where only a part of the resized image is made; equal draws, one image at a time."""
    seg, rng = tasks.get("seg"), np.random.default_rng(0)
    maps = [rng.choice([*range(19), IGNORED], image.shape[:2]).astype(np.uint8) for image in images]
    draws = seg.draw(N, CITY, torch.Generator().manual_seed(3), True)
    draws["zoom"] = torch.tensor([0.93, -0.99, 0.4, -0.2])
    draws["flip"] = torch.tensor([True, False, False, True])
    inputs, targets = seg.batch(*fed("seg", images, maps, draws), draws, CITY)
    for k in range(N):
        mine = one(draws, k)
        wanted = normalised(flipped(zoom_and_crop(images[k], mine, 321), mine), mine)
        np.testing.assert_allclose(inputs[k].numpy(), wanted, atol=2e-4)
        assert np.array_equal(targets[k].numpy(), flipped(zoom_and_crop(maps[k], mine, 321, nearest=True), mine))


@pytest.mark.parametrize("train", [True, False], ids=["train", "test"])
def test_rotation_on_cityscapes_is_that_of_the_reference(train: bool, images: list[np.ndarray]) -> None:
    rot = tasks.get("rot")
    draws = rot.draw(N, CITY, torch.Generator().manual_seed(4), train)
    pixels, _ = fed("rot", images, [image[..., 0] for image in images], draws)
    inputs, _ = rot.batch(pixels, torch.zeros(N), draws, CITY)
    for k in range(N):
        mine = one(draws, k)
        square = zoom_and_crop(images[k], mine, 321) if train else centre(scale(images[k], 512), 321)
        np.testing.assert_allclose(inputs[4 * k].numpy(), normalised(flipped(square, mine), mine), atol=2e-4)


def test_col_and_jig_see_the_squares_that_rot_sees() -> None:
    sizes = torch.tensor([[1024, 2048], [600, 900]])
    draws = tasks.get("jig").draw(2, CITY, torch.Generator().manual_seed(5), True)
    wanted = tasks.get("rot").crops(sizes, draws, CITY)
    assert torch.equal(tasks.get("jig").crops(sizes, draws, CITY), wanted)
    assert torch.equal(tasks.get("col").crops(sizes, draws, CITY), wanted)
    assert (CITY.jigsaw.patch, CITY.jigsaw.tile) == (107, 81)


def test_scales_are_spread_evenly_over_two_octaves() -> None:
    draws = tasks.get("seg").draw(20_000, CITY, torch.Generator().manual_seed(1), True)
    short = tasks.get("seg").crops(torch.tensor([[1024, 2048]]).expand(20_000, 2), draws, CITY)[:, 4]
    assert (short.min(), short.max()) == (321, 1023)
    # log2(321 / 256) of two octaves would be smaller than the crop, half of them is smaller than 512.
    assert (short == 321).double().mean().item() == pytest.approx(math.log2(321 / 256) / 2, abs=0.01)
    assert (short < 512).double().mean().item() == pytest.approx(0.5, abs=0.01)


def test_whole_images_are_tested_in_one_frame() -> None:
    seg = tasks.get("seg")
    assert seg.frame(torch.tensor([[1024, 2048]]), CITY) == (1025, 2049)
    assert seg.frame(torch.tensor([[30, 40], [17, 50]]), CITY) == (33, 65)
    pixels = torch.full((1, 33, 65, 3), 200, dtype=torch.uint8)
    maps = torch.full((1, 33, 65), OUTSIDE, dtype=torch.uint8)
    maps[:, :30, :40], maps[:, 0, 0] = 7, IGNORED
    inputs, targets = seg.batch(pixels, maps, {}, CITY)
    assert (inputs[:, :, :30, :40] != 0).all()
    assert inputs[:, :, 30:].abs().sum() + inputs[..., 40:].abs().sum() == 0
    assert targets.unique(return_counts=True)[1].tolist() == [30 * 40 - 1, 33 * 65 - 30 * 40 + 1]


def test_miou_counts_absent_classes_as_zero_and_leaves_out_what_is_ignored() -> None:
    """By hand: class 0 2 of 3, class 1 1 of 3, class 2 never there but once taken: 0 of 1, the other 16 nowhere."""
    seg = tasks.get("seg")
    target = torch.tensor([[[0, 0, 1, 1, 1, IGNORED]]])
    taken = torch.tensor([[[0, 0, 0, 1, 2, 2]]])
    out = nn.functional.one_hot(taken, 19).permute(0, 3, 1, 2).float()
    counts = seg.correct(out, target)
    assert counts.sum() == 5
    assert (counts[1, 2], counts[2, 1]) == (1, 0)  # a row is what a pixel is, a column what it was taken for
    assert seg.score(counts, 6) == pytest.approx((2 / 3 + 1 / 3 + 0) / 19, abs=1e-9)
    assert seg.score(seg.correct(out, taken), 6) == pytest.approx(3 / 19)
    assert seg.loss(out, target) == pytest.approx(
        nn.functional.cross_entropy(out[..., :5], target[..., :5]).item(), rel=1e-6
    )
    assert seg.loss(out, torch.full_like(target, IGNORED)) == 0


def trial(space: str, task: str, data: Path, arch: str | None = None, **changes) -> workers.Trial:
    r = workers.recipe("demo", space=space, dataset="camvid", task=task).replace(
        **{"epochs": 2, "precise_bn": 8, "depth": 3 if space == "darts" else 1, "batch": 8, **changes}
    )
    form = Form("array", short_side=96)
    return workers.Trial(
        space=space,
        arch=arch or spaces.sample(spaces.get(space), 1, 0).archs[0],
        dataset="camvid",
        task=task,
        recipe=r,
        dataset_id=datasets.identify("camvid", data / "camvid_mini", None, form),
    )


@pytest.fixture(autouse=True)
def _asked_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


SMALL = {"crop": 65, "scaled": 96}


def test_the_score_of_a_split_is_sklearns_however_it_is_batched(data: Path, cache: Path) -> None:
    root, scores = data / "camvid_mini", []
    for test_batch in (1, 4):
        t = prepare(trial("chain", "seg", data, test_batch=test_batch, **SMALL), torch.device("cpu"), root, cache)
        scores.append(evaluate(t))
    taken, true = [], []
    with torch.no_grad():
        for inputs, targets in t.test_batches():
            taken.append(t.net(inputs).argmax(1)[targets != IGNORED])
            true.append(targets[targets != IGNORED])
    assert targets.shape[1:] == (97, 129)
    expected = jaccard_score(torch.cat(true), torch.cat(taken), labels=range(11), average="macro", zero_division=0)
    assert scores[1] == (pytest.approx(expected, abs=1e-9), True)
    assert scores[0][0] == pytest.approx(expected, abs=1e-3)  # convolutions of one image round differently


@pytest.mark.parametrize("space", ["darts", "nasbench101"])
def test_a_training_learns_to_segment_and_resumes_bit_for_bit(
    space: str, data: Path, cache: Path, tmp_path: Path
) -> None:
    t, root = trial(space, "seg", data, epochs=3, **SMALL), data / "camvid_mini"
    whole = workers.run(t, root, cache_dir=cache)
    assert whole["curve_train_loss"][0] > 1.1 * whole["curve_train_loss"][-1]
    assert whole["metric"] == "miou"
    assert 0.02 < whole["score_best"] < 1
    where = {"cache_dir": cache, "checkpoint_url": str(tmp_path / "c.pt")}
    with pytest.raises(workers.Interrupted):
        workers.run(t, root, **stop_after(2), **where)
    resumed = workers.run(t, root, **where)
    assert resumed["resumed"] == 2
    for name in ("curve_train_loss", "curve_test_score"):
        assert resumed[name] == whole[name]


def test_the_pretext_tasks_train_on_the_same_images(data: Path, cache: Path) -> None:
    """Rotations are learned in seconds; the order of tiles is not, and stays about as likely as chance."""
    rot, jig = (
        workers.run(trial("nasbench101", task, data, lr=0.01, batch=4), data / "camvid_mini", cache_dir=cache)
        for task in ("rot", "jig")
    )
    assert rot["curve_train_loss"][0] > rot["curve_train_loss"][-1]
    assert jig["curve_train_loss"][-1] == pytest.approx(math.log(24), abs=0.4)
    assert (rot["metric"], rot["diverged"], jig["diverged"]) == ("top1", False, False)


def test_colours_of_photographs_with_maps_are_learned(data: Path, cache: Path) -> None:
    t = prepare(trial("chain", "col", data, batch=4), torch.device("cpu"), data / "camvid_mini", cache)
    losses = [t.learning.over(t.parts("train", 0, 1))[0].item() for _ in range(3)]
    assert losses[0] > losses[-1]


def test_recorded_steps_segment_like_eager_ones(data: Path, cache: Path) -> None:
    """As on a GPU: no step asks the device for a number, the confusion matrix adds up, the last part is smaller."""
    found = []
    for record in (None, tape):
        t = trial("chain", "seg", data, test_batch=4, **SMALL)
        ready = prepare(t, torch.device("cpu"), data / "camvid_mini", cache, record)
        found.append([float(v) for epoch in range(2) for v in (train_epoch(ready, epoch), *evaluate(ready))])
        assert (ready.learning.work.mode, ready.judging.work.mode) == (("graph",) * 2 if record else ("eager",) * 2)
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_aspp_has_true_gradients_and_sees_as_far_as_its_rates() -> None:
    torch.manual_seed(0)
    head = Aspp(3, 2, (2, 4), 5).double()
    features = torch.randn(2, 3, 6, 7, dtype=torch.float64, requires_grad=True)
    assert head(features).shape == (2, 5, 6, 7)
    assert torch.autograd.gradcheck(head, (features,))
    # Without the mean of the map, a place sees itself and what lies a rate away in any of eight directions.
    nn.init.zeros_(head.eval().whole[0].weight)
    at = torch.randn(1, 3, 11, 11, dtype=torch.float64, requires_grad=True)
    head(at)[0, :, 5, 5].sum().backward()
    seen = {(y - 5, x - 5) for y, x in (at.grad[0].abs().sum(0) > 0).nonzero().tolist()}
    assert seen == {(0, 0)} | {(a * r, b * r) for r in (2, 4) for a in (-1, 0, 1) for b in (-1, 0, 1)}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_segments_in_graphs(data: Path, cache: Path) -> None:
    t = trial("nasbench101", "seg", data, epochs=4, test_batch=4, **SMALL)  # the last part is smaller
    row = workers.run(t, data / "camvid_mini", "cuda", cache_dir=cache)
    assert row["step_mode"] == "graph"
    assert row["curve_train_loss"][0] > row["curve_train_loss"][-1]
    again = workers.run(t, data / "camvid_mini", "cuda", cache_dir=cache, cuda_graphs=False)
    assert row["curve_train_loss"][0] == pytest.approx(again["curve_train_loss"][0], rel=1e-2)


def test_seg_needs_maps_and_cls_needs_classes() -> None:
    r = workers.recipe("demo", space="chain", dataset="camvid", task="seg")
    for dataset, task, says in (("photos", "seg", "label map for every image"), ("camvid", "cls", "with classes")):
        with pytest.raises(LookupError, match=says):
            workers.Trial(space="chain", arch="c3", dataset=dataset, task=task, recipe=r)
