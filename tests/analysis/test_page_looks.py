"""The appearance of the page and its figures: colours, dashes, recipes, empty charts, rounding."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import population, row, write_run
from matplotlib.colors import to_hex

import analysis
from analysis import figures
from analysis.comparison import recipes
from analysis.drawing import experiment_curves, palette
from analysis.page.line_charts import Chart, Series, charts

pytestmark = pytest.mark.filterwarnings("error")
SWATCH = re.compile(r'<path style="(stroke:[^"]*)" d="M0 4H30"/></svg>([^<]*)</span>')


def page(rows: Any, folder: Path, **options: Any) -> str:
    """The report's page, without the static figures, which take most of its time."""
    source = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    options = {"resamples": 40, "figures": "none"} | options
    return analysis.report(source, folder, **options).read_text(encoding="utf-8")


def words(text: str) -> str:
    """What a reader sees of the page's body."""
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", text[text.index("<main>") :], flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def data(text: str) -> Any:
    return json.loads(text.split('id="data">')[1].split("</script>")[0])


def looks(text: str) -> dict[str, set[str]]:
    """How each name in a key of the page is drawn."""
    found: dict[str, set[str]] = {}
    for style, name in SWATCH.findall(text):
        found.setdefault(name, set()).add(style)
    return found


def growing(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with curves whose ranking changes on the way."""
    for k, line in enumerate(rows):
        line["curve_test_score"] = [line["score_best"] * (0.5 + 0.4 * math.sin(k)), line["score_best"]]
    return rows


@pytest.mark.parametrize("many", [3, 14])
def test_each_cell_has_one_look_in_all_charts_however_many_tasks(many: int, tmp_path: Path) -> None:
    tasks = ("cls", "rot", *(f"t{k}" for k in range(many - 2)))
    datasets = ("cifar10", "cifar100") if many < 10 else ("cifar10",)
    text = page(growing(population(6, tasks=tasks, datasets=datasets)), tmp_path)
    found = looks(text)
    cells = {name: styles for name, styles in found.items() if name not in ("DARTS", "drawn at random")}
    assert len(cells) == many * len(datasets), "every cell is a proxy or a target somewhere"
    assert all(len(styles) == 1 for styles in found.values()), "neighbouring charts agree"
    assert len(set.union(*found.values())) == len(found), "and no look has two meanings"
    hues = {axis["hue"] for axis in data(text)["spaces"][0]["axes"] if axis.get("task") == "cls"}
    (style,) = next(styles for name, styles in cells.items() if "classification" in name)
    assert style.startswith(f"stroke:var(--hue-{hues.pop()})"), "the panels of points agree, too"


def test_cells_of_one_task_and_tasks_beyond_the_palette_differ_in_their_dashes() -> None:
    cells = [(s, d, f"t{t}", r) for s in ("a", "b") for d in "de" for t in range(25) for r in (f"{s}1", f"{s}2")]
    found = palette.Looks(cells)
    of_one_space = [found.cell(*cell) for cell in cells if cell[0] == "a"]
    assert len(set(of_one_space)) == len(of_one_space) == 100
    assert len({(look.colour, look.dashes) for look in of_one_space}) == 100
    assert of_one_space == [found.cell(*cell) for cell in cells if cell[0] == "b"], "the same in every space"
    assert palette.AT_RANDOM not in of_one_space
    few = palette.Looks([("a", "d", f"t{k}", "r") for k in range(9)])
    assert len({few.task(f"t{k}").colour for k in range(9)}) == 9
    assert few.task("t0") == palette.Looks([("a", "d", "t0", "r")]).task("t0")


def test_figure_5_is_the_same_on_the_page_and_on_paper() -> None:
    df = pd.DataFrame(population(20, datasets=("cifar10", "imagenet"), tasks=("cls", "rot", "x", "y")))
    table = analysis.random_experiment(df, sizes=[1, 4, 16])
    drawn = next(one for one in experiment_curves.curves(table) if one.name == "experiment-cifar10-imagenet")
    lines = table[table["target_dataset"] == "imagenet"].groupby(["proxy_task"], sort=False)
    ax = drawn.figure.axes[0]
    for (_, one), line, band in zip(lines, ax.lines[::2], ax.collections, strict=True):
        assert line.get_ydata() == pytest.approx(one["expected"] * 100)
        heights = band.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx(
            (100 * one["best_low"].min(), 100 * one["best_high"].max())
        )
        assert heights.max() <= 100 * df["score_best"].max()
    own = palette.Looks.of(table, "target", "proxy")
    shades = [own.cell(*key).colour for key in lines[["space"]].first().index.map(lambda t: _cell(table, t))]
    assert [to_hex(line.get_color()).upper() for line in ax.lines[::2]] == [shade.upper() for shade in shades]


def _cell(table: pd.DataFrame, task: str) -> tuple[str, ...]:
    parts = ["space", "proxy_dataset_id", "proxy_task", "proxy_recipe_id"]
    first = table[(table["proxy_task"] == task) & (table["target_dataset"] == "imagenet")].iloc[0]
    return tuple(first[parts])


def test_charts_without_a_point_are_left_out() -> None:
    look = palette.Look(0)
    empty = Chart("empty", "x", "y", [Series("nothing", look, [1, 2], [np.nan, np.nan])])
    full = Chart("full", "x", "y", [Series("line", look, [1, 2], [0.5, 0.6]), Series("nothing", look, [1], [np.nan])])
    assert charts([empty]) == ""
    drawn = charts([empty, full])
    assert "full" in drawn
    assert "empty" not in drawn
    assert "nothing" not in drawn


def test_constant_curves_make_no_section(tmp_path: Path) -> None:
    assert "Early budget" not in words(page(population(8, tasks=("cls", "rot")), tmp_path / "constant"))
    assert "Early budget" in words(page(growing(population(8, tasks=("cls", "rot"))), tmp_path / "varied"))


def test_equal_scores_are_named_where_findings_stand(tmp_path: Path) -> None:
    df = pd.DataFrame(population(8, tasks=("cls", "rot", "jig")))
    df.loc[df["task"] == "cls", "score_best"] = 1.0
    text = page(df, tmp_path / "all")
    assert "nothing can be said, as all 8 have the same score in classification" in words(text)
    told = {rho[2] for rho in data(text)["spaces"][0]["rhos"]}
    assert "ρ not defined (classification: all 8 have the same score)" in told, "by name: x of a panel can be chosen"
    df = pd.DataFrame(population(8, tasks=("cls", "rot", "jig")))
    df.loc[df["task"] == "jig", "score_best"] = 1.0
    assert "All 8 have the same score in jigsaw." in words(page(df, tmp_path / "one"))
    few = words(page(population(2, tasks=("cls", "rot")), tmp_path / "few"))
    assert "nothing can be said yet, as only 2 architectures can be compared" in few
    (drawn,) = figures.scatter(df, resamples=0)
    said = [" ".join(t.get_text() for t in ax.texts) for ax in drawn.figure.axes]
    assert [("all 8 have the same" in one) for one in said] == ["jigsaw" in ax.get_ylabel() for ax in drawn.figure.axes]


def test_recipes_of_one_name_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    rows = []
    for epochs, name in ((1, "r-one"), (2, "r-two")):
        text = json.dumps({"epochs": epochs, "lr": 0.1, "model": {"width": 4}})
        rows += [
            row(**{**line, "recipe": "demo", "recipe_id": name, "recipe_json": text, "trial_id": f"{name}{k}"})
            for k, line in enumerate(population(6, tasks=("cls", "rot"), rng=epochs))
        ]
    df = pd.DataFrame(rows)
    assert recipes.unique_names(df) == {"r-one": "demo (epochs=1)", "r-two": "demo (epochs=2)"}
    text = words(page(df, tmp_path))
    assert "rotation, demo (epochs=1)" in text
    assert re.search(r"rotation demo \(epochs=1\) 6 6 1 6", text), "what ran"
    assert re.search(r"classification demo \(epochs=2\) 6 0\.06", text), "and what it cost"
    assert "demo (epochs=2): recipe r-two; epochs = 2." in text
    assert set(pd.read_csv(tmp_path / "correlations.csv")["x_recipe"]) == {"demo"}, "the table has the rows' names"
    assert recipes.unique_names(df.assign(recipe_json=None)) == {"r-one": "demo (r-one)", "r-two": "demo (r-two)"}
    nested = df.assign(
        recipe_json=[json.dumps({"model": {"width": 4 if i == "r-one" else 8}}) for i in df["recipe_id"]]
    )
    assert recipes.unique_names(nested)["r-two"] == "demo (model.width=8)"
    assert recipes.unique_names(df[df["recipe_id"] == "r-one"]) == {}
    other = df.assign(recipe_id=df["recipe_id"] + "-b", space="b")
    both = recipes.unique_names(pd.concat([df, other]))
    assert both["r-one-b"] == both["r-one"] == "demo (epochs=1)", "spaces have ids of their own"


def test_a_number_is_rounded_once() -> None:
    rng = np.random.default_rng(5)
    rows = population(9, tasks=("cls", "rot", "jig", "col"), agreement=0.3)
    df = pd.DataFrame(rows)
    found = analysis.correlate(df, resamples=100)
    from analysis.comparison.cells import compare
    from analysis.comparison.options import Options
    from analysis.page.data import _rounded, content

    comparison = compare(df, Options())
    data = content(comparison, found, {}, figures.looks_of(comparison.spaces))
    told = {t[2] for t in data["spaces"][0]["rhos"]}
    for line in found.itertuples():
        numbers = [f"{v:z.2f}".replace("-", "−") for v in (line.rho, line.rho_low, line.rho_high)]
        assert f"ρ = {numbers[0]} [{numbers[1]}, {numbers[2]}]" in told
    values = rng.normal(size=4000) * 3
    from analysis.page import data as page_data

    shown = page_data._digits(values, page_data._SHOWN)
    for sent, value in zip(_rounded(values), values, strict=True):
        assert f"{sent:.{shown}f}" == f"{value:.{shown}f}"


@pytest.mark.parametrize("agreement", [-0.6, 0.0, 0.9])
def test_the_axis_of_findings_has_round_ticks_and_shows_zero(agreement: float, tmp_path: Path) -> None:
    df = pd.DataFrame(population(12, tasks=("cls", "rot"), agreement=abs(agreement)))
    df.loc[df["task"] == "rot", "score_best"] *= np.sign(agreement) or 1
    text = page(df, tmp_path)
    ticks = re.findall(
        r"<span style=\"left:[^\"]*\">([^<]*)</span>", text.split('class="scale">')[1].split("</span></span>")[0]
    )
    numbers = [float(tick.replace("−", "-")) for tick in ticks]
    assert 0.0 in numbers
    assert len(set(np.diff(numbers).round(9))) == 1
    assert all(4 * n == round(4 * n) for n in numbers)


def test_imported_results_are_not_said_to_be_what_nobody_knows(tmp_path: Path) -> None:
    long = pd.DataFrame({"net": list("abcdef") * 2, "task": ["cls"] * 6 + ["rot"] * 6, "acc": range(12)})
    df = analysis.from_table(long, space="mine", arch="net", dataset="x", task="task", value="acc")
    text = words(page(df, tmp_path / "imported"))
    for claim in ("best epoch", "test split", "No attempt has failed", "Failures"):
        assert claim not in text
    assert "12 imported results are taken as given" in text
    assert re.search(r"cls|classification .* 6 6 1 6 0 0 0 \S+ \S+ –", text), "hours of others are not known"
    own = pd.DataFrame(population(6, tasks=("cls", "rot")))
    mixed = words(page(pd.concat([own, df], ignore_index=True), tmp_path / "mixed"))
    assert "Score of a trial of our own: its best epoch" in mixed
    assert "12 imported results" in mixed
    assert "imported" not in words(page(own, tmp_path / "own"))


def test_trainings_that_diverged_are_counted(tmp_path: Path) -> None:
    rows = population(8, tasks=("cls", "rot"))
    for line in rows[:3]:
        line["diverged"] = True
    rows[0]["score_best"] = math.nan
    run = write_run(tmp_path / "x", rows)
    table = analysis.compute("cells", analysis.load(run)).set_index("task")
    assert table.loc["cls", ["ok", "failed", "diverged", "no_score"]].tolist() == [8, 0, 3, 1]
    assert table.loc["rot", ["diverged", "no_score"]].tolist() == [0, 0]
    text = words(page(analysis.load(run), tmp_path))
    assert re.search(r"diverged no score .* classification unnas 8 8 1 8 0 3 1", text)


def test_chance_reaches_the_page_and_the_figures(tmp_path: Path) -> None:
    df = pd.DataFrame(population(12, datasets=("cifar10", "imagenet"), tasks=("cls", "rot")))
    level = {"rot": float(df.loc[df["task"] == "rot", "score_best"].median())}
    expected = analysis.correlate(df, chance=level, resamples=0)
    assert (expected["x_diverged"] > 0).any()
    text = page(df, tmp_path, chance=level, resamples=0)
    written = pd.read_csv(tmp_path / "correlations.csv")
    assert written["rho"].tolist() == pytest.approx(expected["rho"].tolist())
    assert "not above chance" in words(text)
    texts = [
        t.get_text()
        for one in figures.scatter(df, chance=level, resamples=0)
        for ax in one.figure.axes
        for t in ax.texts
    ]
    within = expected[(expected["x_dataset"] == "cifar10") & (expected["y_dataset"] == "cifar10")]
    assert f"ρ = {within['rho'].iloc[0]:.2f}" in texts
    plain = analysis.random_experiment(df, sizes=[4])
    floored = analysis.random_experiment(df, sizes=[4], chance={"rot": 2.0, "cls": 0.0})
    drawn = plain["proxy_task"] == "rot"
    assert (plain.loc[drawn, "expected"] != floored.loc[drawn, "expected"]).all(), "a proxy at chance picks at random"
    assert plain.loc[~drawn, "expected"].tolist() == floored.loc[~drawn, "expected"].tolist()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (population(1), "1 architecture"),
        (population(12, tasks=("cls",)), "One cell only in each space"),
    ],
)
def test_small_runs_are_told_in_grammar(rows: list[dict[str, Any]], says: str, tmp_path: Path) -> None:
    text = words(page(rows, tmp_path))
    assert says in text
    assert not re.search(r"\b1 (architectures|attempts|rows|trials)\b", text)


def test_a_notebook_shows_the_figures() -> None:
    drawn = figures.scatter(pd.DataFrame(population(5, tasks=("cls", "rot"))), resamples=0)
    assert drawn[0]._repr_png_().startswith(b"\x89PNG")
    assert drawn._repr_html_().count('src="data:image/png;base64,') == len(drawn) == 1
    assert "classification against" in drawn._repr_html_()
