"""Scores after each epoch, as a table and on the page; the score of guessing in every chart."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import failed, population, row, write_run

import analysis
from analysis import figures
from analysis.comparison.cells import compare
from analysis.comparison.chance import levels, widened
from analysis.comparison.options import Options
from analysis.drawing.palette import Look
from analysis.page.line_charts import Chart, Mark, Series, charts
from analysis.page.score_curves import score_curves

pytestmark = pytest.mark.filterwarnings("error")


def trained(**curves: Any) -> pd.DataFrame:
    """A row for each curve: `a=[...]`, or of several seeds `a=[[...], [...]]`."""
    rows = []
    for arch, given in curves.items():
        for seed, curve in enumerate(given if isinstance(given[0], list) else [given]):
            rows.append(row(arch=arch, seed=seed, curve_test_score=curve, score_best=max(curve)))
    return pd.DataFrame(rows)


def test_each_number_by_counting() -> None:
    df = trained(a=[[0.1, 0.2, 0.3], [0.3, 0.4, 0.5]], b=[[0.2, 0.2, 0.6], [0.2]], c=[[0.5, math.nan], [0.5, math.inf]])
    df = pd.concat([df, pd.DataFrame([failed(arch="d"), df.iloc[0].to_dict() | {"launch": "a2"}])], ignore_index=True)
    found = analysis.score_curves(df, band=0.5)
    expected = [[0.2, 0.2, 0.5], [0.3, 0.2], [0.4, 0.6]]  # a trial counts once, a seed as long as it has the epoch
    assert found["epoch"].tolist() == [1, 2, 3]
    assert found["n"].tolist() == [3, 2, 2]
    assert (found["epochs"] == 3).all()
    assert found["mean"].tolist() == pytest.approx([np.mean(scores) for scores in expected])
    assert found["median"].tolist() == pytest.approx([np.median(scores) for scores in expected])
    assert found["low"].tolist() == pytest.approx([np.quantile(scores, 0.25) for scores in expected])
    assert found["high"].tolist() == pytest.approx([np.quantile(scores, 0.75) for scores in expected])


def test_what_cannot_be_computed_is_refused_or_empty() -> None:
    df = trained(a=[0.1, 0.2])
    with pytest.raises(LookupError, match="curves=True"):
        analysis.score_curves(df.drop(columns="curve_test_score"))
    with pytest.raises(ValueError, match="band is a share"):
        analysis.score_curves(df, band=1.0)
    assert analysis.score_curves(df.assign(curve_test_score=None)).empty


def section(page: str, name: str) -> str:
    found = re.search(rf'<h2 id="{name}">.*?(?=<h2|</main>)', page, re.DOTALL)
    return found[0] if found else ""


def report(df: pd.DataFrame, folder: Path) -> str:
    return analysis.report(df, folder, resamples=20, figures="none").read_text(encoding="utf-8")


def growing(n: int, chance: float | None = 0.1, **options: Any) -> pd.DataFrame:
    rows = population(n, **options)
    for line in rows:
        best = line["score_best"]
        line |= {"curve_test_score": [best / 4, best / 2, best], "chance": chance, "test_images": 1000}
    return pd.DataFrame(rows)


def test_the_page_draws_a_mean_and_some_single_lines_per_cell(tmp_path: Path) -> None:
    df = growing(60, tasks=("cls", "rot"))
    page = report(df, tmp_path / "one")
    drawn = section(page, "score-curves")
    assert drawn.count("<figure") == 2
    assert drawn.count('class="series"') == 2
    assert drawn.count(">chance<") == drawn.count('class="refer"') == 2
    for one in drawn.split("<figure")[1:]:
        names = re.findall(r'class="thin"[^>]*><title>([^<]*)</title>', one)
        task = "rot" if "rotation" in one else "cls"
        ranked = df[df["task"] == task].sort_values("score_best")["arch"].tolist()
        assert len(names) == 24
        places = [ranked.index(name) for name in names]
        assert (places[0], places[-1]) == (0, 59)
        assert {2, 3} >= set(np.diff(places))
    assert report(df, tmp_path / "two") == page


def test_many_cells_have_fewer_lines_each() -> None:
    comparison = compare(growing(30, tasks=[f"t{k}" for k in range(40)]), Options())
    drawn = score_curves(comparison, figures.looks_of(comparison.spaces), levels(comparison.rows))
    assert drawn.count("<figure") == 40
    assert drawn.count('class="thin"') == 40 * 9
    assert len(drawn) < 300_000


def test_trainings_of_one_epoch_and_rows_without_curves_have_no_section(tmp_path: Path) -> None:
    df = growing(5, tasks=("cls",))
    short = df.assign(curve_test_score=[[0.5]] * 5)
    assert section(report(short, tmp_path / "short"), "score-curves") == ""
    assert section(report(df.drop(columns="curve_test_score"), tmp_path / "none"), "score-curves") == ""
    assert section(report(df, tmp_path / "some"), "score-curves") != ""


def test_chance_of_a_cell_is_what_its_rows_say() -> None:
    df = pd.DataFrame(
        [
            row(arch="a", chance=1 / 3),
            row(arch="b", chance=1 / 3),
            failed(arch="c", chance=0.9),
            row(arch="a", task="col", chance=0.2),
            row(arch="b", task="col", chance=0.4),
            row(arch="c", task="col", chance=None),
            row(arch="a", task="seg", chance=None),
        ]
    )
    found = {key[2]: level for key, level in levels(df).items()}
    assert found == {"cls": 1 / 3, "col": pytest.approx(0.3)}
    assert next(iter(levels(df))) == ("darts", "cifar10-0123456789abcdef", "cls", "unnas-darts-cls")
    assert levels(df, "train_s") == {}
    assert levels(df.drop(columns="chance")) == {}


def test_recipes_that_differ_in_speed_only_have_one_chance() -> None:
    both = [
        row(arch=f"a{k}", recipe_id=f"r{k}", recipe_json=f'{{"lr": 1, "threads": {k}}}', chance=0.1) for k in (1, 2)
    ]
    assert list(levels(pd.DataFrame(both))) == [("darts", "cifar10-0123456789abcdef", "cls", "r1")]


def test_an_axis_follows_chance_as_long_as_its_points_fill_two_thirds() -> None:
    assert widened(10.0, 20.0, 15.0) == (10.0, 20.0)
    assert widened(10.0, 20.0, 8.0) == pytest.approx((7.8, 20.0))
    assert widened(10.0, 20.0, 22.0) == pytest.approx((10.0, 22.2))
    assert widened(10.0, 20.0, 1.0) == (10.0, 20.0)


@pytest.mark.parametrize(("at", "label"), [(0.5, ">chance<"), (-9.0, ">← chance -9<"), (9.0, ">chance 9 →<")])
def test_a_mark_is_a_line_inside_and_a_word_at_the_edge_outside(at: float, label: str) -> None:
    drawn = charts([Chart("c", "x", "y", [Series("s", Look(0), [0, 1], [0, 1])], marks=[Mark(at, "x", "chance")])])
    assert label in drawn
    assert ('class="refer"' in drawn) == (at == 0.5)


def test_chance_is_in_distributions_and_figures_and_linked_panels(tmp_path: Path) -> None:
    df = growing(12, tasks=("cls", "rot"))
    near = {task: float(df.loc[df["task"] == task, "score_best"].median()) for task in ("cls", "rot")}
    df["chance"] = df["task"].map(near)
    page = report(df, tmp_path)
    assert section(page, "distributions").count('class="refer"') == 2
    axes = page.split('id="data">')[1].split("</script>")[0]
    found = sorted(map(float, re.findall(r'"chance":([\d.]+)', axes)))
    assert found == pytest.approx(sorted(100 * v for v in near.values()), rel=1e-5)
    (drawn,) = figures.scatter(df, resamples=0)
    ax = drawn.figure.axes[0]
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]
    assert ([100 * near["cls"]] * 2, [0, 1]) in lines
    assert ([0, 1], [100 * near["rot"]] * 2) in lines
    assert "the score of guessing" in drawn.note
    (far,) = figures.scatter(df.assign(chance=0.001), resamples=0)
    (none,) = figures.scatter(df.drop(columns="chance"), resamples=0)
    assert len(far.figure.axes[0].lines) == len(none.figure.axes[0].lines)
    assert far.figure.axes[0].get_xlim() == none.figure.axes[0].get_xlim()
    assert "guessing" not in far.note + none.note


def test_the_command_line_prints_the_table(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", growing(5, tasks=("cls",)).to_dict("records"))
    table = analysis.compute("score_curves", analysis.load(run, curves=True))
    assert analysis.TABLES["score_curves"].curves
    assert table["epoch"].tolist() == [1, 2, 3]
