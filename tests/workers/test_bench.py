"""Bench: both sides compute the same, differences are detected, and the output has the documented keys."""

import functools
import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.cli import main
from tests.workers.photographs import folder
from workers.bench import GateFailed, data, packing, step
from workers.bench.baseline_step import Library, Plain, topk_errors
from workers.bench.timing import Ceiling, Paired
from workers.training.epoch import learning_rate

CPU = torch.device("cpu")
TASKS = ["cls", "rot", "col", "jig"]
CONDITIONS = {"date", "device", "cores", "threads", "load", "python", "torch", "git_revision", "archsweep"}
TIMES = {
    "rounds",
    "ours_s_per_image",
    "baseline_s_per_image",
    "ours_images_per_s",
    "baseline_images_per_s",
    "ratio",
    "ratio_min",
    "ratio_max",
    "gate",
    "task",
    "batch",
}
STEP = {
    "space",
    "quantile",
    "baseline",
    "arch",
    "steps",
    "width",
    "depth",
    "params",
    "macs",
    "ours_gflops",
    "baseline_gflops",
    "ceiling_gflops",
    "ours_share",
    "baseline_share",
}


@pytest.mark.parametrize("task", TASKS)
def test_equal_draws_give_equal_batches(task: str) -> None:
    t = data.training(task, 96, 16, CPU)
    found = data.gate(t, data.plain(t))
    assert found["images"] == 96
    assert found["labels_equal"]
    assert found["max_abs_dx"] <= data.TOLERANCE


@pytest.mark.parametrize("task", TASKS)
def test_a_wrong_batch_fails_the_gate(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    t = data.training(task, 16, 16, CPU)
    baseline = data.plain(t)
    baseline.images[3, :, 20, 9] += 40
    with pytest.raises(GateFailed, match=f"data, {task}.*differ"):
        data.gate(t, baseline)


def test_a_wrong_label_fails_the_gate() -> None:
    t = data.training("cls", 16, 16, CPU)
    baseline = data.plain(t)
    baseline.labels = np.roll(baseline.labels, 1)
    with pytest.raises(GateFailed, match="labels differ"):
        data.gate(t, baseline)


@functools.cache
def cells(space: str, task: str) -> dict[str, step.Cell]:
    """Small networks of every size by quantile and rival; the sample takes a second and is drawn once."""
    found = step.cells([task], [space], list(step.QUANTILES), 2, small=True)
    return {f"{cell.quantile} {cell.rival.name}": cell for cell in found}


# Every task on the smallest networks, and networks of every size on one task.
SIDES = [(space, task, "p10 plain") for space in step.SPACES for task in TASKS]
SIDES += [(space, "cls", f"{size} plain") for space in step.SPACES for size in ("median", "p90")]
SIDES += [("nasbench101", "cls", f"{size} {Library.name}") for size in step.QUANTILES]


@pytest.mark.parametrize(("space", "task", "which"), SIDES)
def test_equal_weights_give_equal_steps(space: str, task: str, which: str) -> None:
    cell = cells(space, task)[which]
    found = step.gate(*step.sides(cell, CPU, torch.float64), str(cell))
    assert max(found["outputs"], found["gradients"], found["weights"]) <= step.TOLERANCE
    assert found["loss"] <= 1e-6


@pytest.mark.parametrize("rival", [Plain, Library])
def test_a_wrong_weight_fails_the_gate(rival: type[Plain] | type[Library]) -> None:
    t, other = step.sides(cells("nasbench101", "cls")[f"p10 {rival.name}"], CPU, torch.float64)
    with torch.no_grad():
        other.parameters()[0].view(-1)[0] += 1e-6
    with pytest.raises(GateFailed, match="gradients by"):
        step.gate(t, other, "step")


def test_a_wrong_optimiser_fails_the_gate() -> None:
    t, other = step.sides(cells("nasbench101", "cls")["p10 plain"], CPU, torch.float64)
    other.optimizer.param_groups[0]["nesterov"] = False
    with pytest.raises(GateFailed, match="weights by"):
        step.gate(t, other, "step")


@pytest.mark.parametrize("space", ["darts", "nasbench101"])
def test_the_gate_passes_with_the_learning_rate_of_a_gpu(space: str) -> None:
    """There a step reads it from a tensor, as float32."""
    t, rival = step.sides(cells(space, "jig")["p10 plain"], CPU, torch.float64)
    captured = replace(t, record=lambda work, device: work)  # a replay that does the work again
    assert step.gate(captured, rival, "step")["weights"] <= step.TOLERANCE
    assert isinstance(captured.optimizer.param_groups[0]["lr"], torch.Tensor)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_packing_trains_as_a_study_does() -> None:
    """A captured step reads its learning rate from a tensor."""
    trial = packing.cells(["jig"], ["nasbench101"], ["p10"], 1, small=True)[0].trial
    (t,) = packing.prepared(packing.Load(trial.model_dump_json(), "cuda", True, 1, 0.1))
    rate = t.optimizer.param_groups[0]["lr"]
    assert isinstance(rate, torch.Tensor)
    assert rate.item() == pytest.approx(learning_rate(trial.recipe, 0))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_the_gate_passes_on_a_gpu() -> None:
    cell = step.cells(["jig"], ["nasbench101"], ["p10"], 2, small=True)[0]
    assert step.gate(*step.sides(cell, torch.device("cuda"), torch.float64), "step")["weights"] <= step.TOLERANCE


def test_architectures_are_those_of_the_quantiles() -> None:
    macs = [step.workers.cost(c.trial)[1] for c in step.cells(["cls"], ["darts"], list(step.QUANTILES), 1, small=False)]
    assert macs == sorted(macs)
    assert len(set(macs)) == 3
    assert 100e6 < macs[0] < 150e6  # published: 107.7 .. 147.9 M


def test_sorted_errors() -> None:
    scores = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]])
    assert [e.item() for e in topk_errors(scores, torch.tensor([0, 2, 2]), (1, 2))] == pytest.approx([100 / 3, 0])
    pixels, classes = torch.randn(2, 5, 3, 3), torch.randint(5, (2, 3, 3))
    wrong = (pixels.argmax(1) != classes).float().mean() * 100
    assert topk_errors(pixels, classes, (1,))[0].item() == pytest.approx(wrong.item(), abs=1e-4)


def test_a_ratio_is_the_median_of_pairs() -> None:
    found = Paired((1.0, 2.0, 4.0), (3.0, 4.0, 20.0)).as_json()
    assert (found["ratio"], found["ratio_min"], found["ratio_max"]) == (3.0, 2.0, 5.0)
    assert found["ours_images_per_s"] == 0.5


def test_the_ceiling_counts_its_operations() -> None:
    assert Ceiling(CPU, batch=2, channels=4, size=8).flop == 3 * 2 * (2 * 4 * 4 * 9 * 64)


def bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str, str]:
    """Exit code, output and messages of `archsweep bench`."""
    monkeypatch.setattr("sys.argv", ["archsweep", "bench", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.mark.parametrize("what", ["data", "step"])
def test_smoke_writes_the_documented_keys(what: str, tmp_path: Path, capsys, monkeypatch) -> None:
    file = tmp_path / "deep" / "bench.json"
    size = ["--size", "p10", "--space", "nasbench101"] if what == "step" else []
    code, out, _ = bench(capsys, monkeypatch, what, "--smoke", "--rounds", 2, "--json", file, *size)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    found = json.loads(file.read_text())
    assert set(found) == {"bench", "conditions", "load_after", "cells"}
    assert set(found["conditions"]) >= CONDITIONS
    assert found["conditions"]["threads"] == 1
    assert {cell["task"] for cell in found["cells"]} == set(TASKS)
    assert len(found["cells"]) == (4 if what == "data" else 4 + 1)
    for cell in found["cells"]:
        assert set(cell) == TIMES | (STEP if what == "step" else {"workers"})
        assert len(cell["ours_s_per_image"]) == len(cell["baseline_s_per_image"]) == cell["rounds"] == 2
        assert cell["ratio_min"] <= cell["ratio"] <= cell["ratio_max"]


def test_both_modes_of_imagenet_are_measured(tmp_path: Path, capsys, monkeypatch) -> None:
    folder(tmp_path / "imagenet", each=6)
    file = tmp_path / "bench.json"
    words = ["modes", "--data-root", tmp_path, "--task", "jig", "--rounds", 2, "--json", file]
    code, out, err = bench(capsys, monkeypatch, *words)
    assert code == 0, err
    found = json.loads(file.read_text())
    assert [(cell["task"], cell["part"]) for cell in found["cells"]] == [("jig", "cut"), ("jig", "batch")]
    for cell in found["cells"]:
        assert cell["ours_images_per_s"] > 0
        assert len(cell["ours_s_per_image"]) == len(cell["baseline_s_per_image"]) == 2
    assert "array im/s" in out
    (tmp_path / "few").mkdir()
    folder(tmp_path / "few" / "imagenet", each=2)
    code, _, err = bench(capsys, monkeypatch, "modes", "--data-root", tmp_path / "few")
    assert code == 2
    assert "6 training images; one batch has 16" in err


def test_a_plain_path_with_workers_is_measured_beside_the_one_without(tmp_path: Path, capsys, monkeypatch) -> None:
    file = tmp_path / "bench.json"
    words = ["data", "--smoke", "--task", "rot", "--workers", 2, "--rounds", 1, "--json", file]
    assert bench(capsys, monkeypatch, *words)[0] == 0
    assert [(c["task"], c["workers"]) for c in json.loads(file.read_text())["cells"]] == [("rot", 0), ("rot", 2)]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_plain_path_makes_as_many_batches_as_asked_for_in_every_round(workers: int) -> None:
    t = data.training("rot", 96, 16, CPU)
    loader = data.baseline_data.loader(data.plain(t), 16, 3, workers)
    for _ in range(2):
        assert [inputs.shape for inputs, _ in loader] == [(16, 4, 3, 32, 32)] * 3


def test_filters(capsys, monkeypatch, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    words = ["step", "--smoke", "--rounds", 1, "--task", "jig", "--space", "darts", "--size", "p10", "--json", file]
    assert bench(capsys, monkeypatch, *words)[0] == 0
    assert [(c["space"], c["task"], c["quantile"]) for c in json.loads(file.read_text())["cells"]] == [
        ("darts", "jig", "p10")
    ]
    code, _, err = bench(capsys, monkeypatch, "step", "--task", "seg")
    assert code == 2
    assert "bench knows cls, rot, col, jig" in err


@pytest.mark.parametrize("words", [["data", "--size", "p10"], ["sweep", "--device", "cpu"], ["steps"]])
def test_an_option_of_another_bench_is_refused(words: list[str], capsys, monkeypatch) -> None:
    code, _, err = bench(capsys, monkeypatch, *words)
    assert code == 2
    assert words[-2 if len(words) > 1 else 0] in err


@pytest.mark.parametrize("what", ["data", "step"])
def test_a_failed_gate_prints_no_ratio(what: str, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(f"workers.bench.{what}.TOLERANCE", -1.0)
    file = tmp_path / "bench.json"
    code, out, err = bench(capsys, monkeypatch, what, "--smoke", "--task", "cls", "--json", file)
    assert code == 1
    assert out == ""
    assert "no ratio" in err
    assert not file.exists()


@pytest.fixture
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of a measurement are forked from one that has imported everything, instead of importing it each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "workers.bench.packing"])
    monkeypatch.setattr(packing.multiprocessing, "get_context", lambda method: context)


@pytest.mark.xdist_group("packing")
@pytest.mark.usefixtures("_forked")
def test_packing_measures_processes_side_by_side(tmp_path: Path, capsys, monkeypatch) -> None:
    file = tmp_path / "bench.json"
    words = ["packing", "--smoke", "--device", "cpu", "--seconds", 0.2, "--at-once", "2", "--json", file]
    chosen = ["--way", "processes", "--task", "jig", "--space", "nasbench101", "--size", "p10"]
    code, out, err = bench(capsys, monkeypatch, *words, *chosen)
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    lines = json.loads(file.read_text())["lines"]
    assert [(line["way"], line["k"]) for line in lines] == [("processes", 2)]
    assert all(line["steps_per_s"] > 0 and line["mode"] == "eager" and line["peak_mem_bytes"] > 0 for line in lines)
    code, _, err = bench(capsys, monkeypatch, "packing", "--device", "cpu", "--at-once", "1;2")
    assert code == 2
    assert "as 1,2,4" in err


@pytest.mark.xdist_group("packing")
@pytest.mark.usefixtures("_forked")
def test_a_process_that_fails_is_said() -> None:
    cell = packing.cells(["cls"], ["nasbench101"], ["p10"], 1, small=True)[0]
    trial = cell.trial.model_copy(update={"recipe": cell.trial.recipe.replace(batch=4096)})
    line = packing.measure(replace(cell, trial=trial), "processes", 1, "cpu", 0.1)
    assert "steps_per_s" not in line
    assert "batch of 4096" in line["error"]


def test_hours_of_a_study_follow_from_the_paces() -> None:
    line = {"batch": 500, "steps_per_s": 10.0, "test_images_per_s": 1000.0}
    # 100 steps and 10,000 test images an epoch: 20 s; 100 epochs of 500 architectures.
    assert packing.hours([line, line]) == pytest.approx(500 * 100 * 20 / 3600)
