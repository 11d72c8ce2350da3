"""One line per cell with the range of its scores, after `run` and in `status`."""

import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orchestrator.cli import score_lines
from orchestrator.cli.status_view import show
from orchestrator.store.run_folder import RunStore
from orchestrator.store.scores import COLUMNS, Scores, by_cell
from orchestrator.terminal import Terminal
from workers.row import SCHEMA, parquet_bytes

from .conftest import Write, inline
from .warm import Screen

CELL = ("darts", "photos", "cls", "demo")


def table(rows: list[dict[str, Any]]) -> pa.Table:
    names = ["trial_id", "status", *COLUMNS]
    ordinary = {"status": "ok", "metric": "top1", "diverged": False, "chance": 0.1, "test_images": 100}
    lines = [{"trial_id": str(k)} | ordinary | row for k, row in enumerate(rows)]
    return pa.Table.from_pylist(lines, schema=pa.schema([SCHEMA.field(name) for name in names]))


def scores(*given: float | None, **same: Any) -> Scores:
    rows = table([{"score_best": value} | same for value in given])
    return by_cell(rows, rows["trial_id"].to_pylist(), [CELL] * len(given))[CELL]


def printed(found: dict[tuple[str, ...], Scores], width: int = 80) -> list[str]:
    file = io.StringIO()
    out = Terminal(file=file, width=width)
    for one in score_lines.tables(found, out.width):
        out.print(one)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_numbers_are_of_finished_planned_trials_of_their_cell() -> None:
    other = (*CELL[:2], "jig", "demo")
    rows = table(
        [
            {"score_best": 0.2},
            {"score_best": None, "status": "failed"},
            {"score_best": 0.5},
            {"score_best": 0.3, "diverged": True},
            {"score_best": math.nan, "diverged": True},
            {"score_best": 0.9, "trial_id": "not planned"},
        ]
    )
    found = by_cell(rows, ["0", "1", "2", "3", "4", "5"], [CELL] * 5 + [other])
    assert list(found) == [CELL]
    one = found[CELL]
    assert (one.n, one.min, one.median, one.max, one.diverged) == (4, 0.2, 0.3, 0.5, 2)
    assert (one.chance, one.test_images, one.metric) == (0.1, 100, "top1")


def test_a_cell_without_a_score_and_rows_without_chance() -> None:
    one = scores(None, math.inf, chance=None, test_images=None)
    assert (one.n, one.min, one.median, one.max, one.missing) == (2, None, None, None, 2)
    assert not one.at_chance
    assert not one.all_equal
    assert printed({CELL: one})[1].split() == ["darts", "photos", "cls", "2", "-", "-", "-", "2"]


@pytest.mark.parametrize(
    ("given", "at_chance", "all_equal"),
    [
        ([0.11, 0.16, 0.30], True, False),  # two standard errors are 0.06
        ([0.11, 0.165, 0.17], False, False),
        ([0.02, 0.03, 0.9], True, False),  # also below
        ([1.0, 1.0, 1.0], False, True),
        ([0.1, 0.1], True, True),
        ([1.0], False, False),
    ],
)
def test_cells_that_say_nothing_are_marked(given: list[float], at_chance: bool, all_equal: bool) -> None:
    one = scores(*given)
    assert (one.at_chance, one.all_equal) == (at_chance, all_equal)
    line = printed({CELL: one})[1]
    assert ("at chance" in line, "all equal" in line) == (at_chance, all_equal)


def test_fractions_are_in_percent_and_other_metrics_as_they_are() -> None:
    other = (*CELL[:2], "synflow", "demo")
    found = {CELL: scores(0.125, 0.5), other: scores(1234.5, 1e9, metric="synflow", chance=None)}
    assert [line.split() for line in printed(found)] == [
        ["score", "in", "%", "n", "min", "median", "max", "chance"],
        ["darts", "photos", "cls", "2", "12.50", "31.25", "50.00", "10.00"],
        ["score", "n", "min", "median", "max"],
        ["darts", "photos", "synflow", "2", "1234", "5e+08", "1e+09"],
    ]


@pytest.mark.parametrize("width", [80, 60, 40])
def test_long_names_and_every_remark_fit_the_width(width: int) -> None:
    dataset = "a-dataset-of-somebody-with-a-very-long-name"
    recipes = ("unnas (epochs=2, lr=0.05, width=16…)", "unnas (epochs=4, lr=0.05, width=16…)")
    worst = [*scores(*[0.1] * 12_345).__dict__.values()][:-2]
    found = {("nasbench101", dataset, "cls", name): Scores(*worst, diverged=1234) for name in recipes}
    lines = printed(found, width)
    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    if width > 40:
        assert all("at chance, all equal" in line and "12,345" in line and "10.00" in line for line in lines[1:])
    if width == 80:
        assert lines[0].split()[-6:] == ["n", "min", "median", "max", "chance", "diverged"]


def test_status_and_run_print_them_and_json_holds_them(
    study: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = study(archs=3, tasks=("cls", "jig"))
    store = RunStore(str(tmp_path / "run"))
    inline(file)
    shown = io.StringIO()
    show([store.url], [store], False, Terminal(file=shown, width=80))
    found = re.findall(r"^chain pictures (cls|jig) +3 +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)", shown.getvalue(), re.M)
    told = io.StringIO()
    show([store.url], [store], True, Terminal(file=told, width=80))
    cells = {one["task"]: one["scores"] for one in json.loads(told.getvalue())["cells"]}
    rows = store.attempts(["task", "score_best", "chance"]).to_pandas().groupby("task")
    assert [task for task, *_ in found] == ["cls", "jig"]
    for task, *numbers in found:
        mine = rows.get_group(task)
        expected = [*mine["score_best"].quantile([0, 0.5, 1]), mine["chance"].iloc[0]]
        assert [float(v) for v in numbers] == pytest.approx([100 * v for v in expected], abs=0.006)
        assert [cells[task][k] for k in ("min", "median", "max", "chance")] == pytest.approx(expected)
        assert cells[task]["n"] == 3


def test_run_ends_with_them_on_a_terminal(study: Write) -> None:
    screen = Screen("run", study(archs=2, tasks=("cls",)), columns=80)
    assert screen.code() == 0
    after = screen.text[screen.text.rindex("trials done (") :]
    assert re.search(r"^score in % +n +min +median +max +chance", after, re.M)
    assert re.search(r"^chain pictures cls +2 +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+", after, re.M)


def test_a_run_that_has_no_finished_trial_has_none(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "part-000001-a.parquet").write_bytes(
        parquet_bytes(
            [
                {
                    "trial_id": "a",
                    "launch": "1",
                    "attempt": 1,
                    "status": "failed",
                    "space": "darts",
                    "dataset": "photos",
                    "task": "cls",
                    "recipe": "demo",
                    "recipe_id": "x",
                    "recipe_json": "{}",
                }
            ]
        )
    )
    shown = io.StringIO()
    store = RunStore(str(tmp_path))
    show([store.url], [store], False, Terminal(file=shown, width=80))
    assert "0 of 1 trials done" in shown.getvalue()
    assert "score" not in shown.getvalue()
