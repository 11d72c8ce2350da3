"""Figures as files, and a self-contained report."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from made_up import failed, population, row, write_attempts, write_plan, write_run

import analysis
from analysis import figures

pytestmark = pytest.mark.filterwarnings("error")


class Page(HTMLParser):
    """What a page shows and what it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.scripts = "", ""
        self.refers, self.pictures, self.open = [], [], []  # type: ignore[var-annotated]
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "src" and tag == "img" and str(value).startswith("data:image/png;base64,"):
                self.pictures.append(base64.b64decode(str(value).split(",", 1)[1]))
            elif name in ("src", "href", "srcset", "action", "data", "poster") and not str(value).startswith("#"):
                self.refers.append(value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts += data
        else:
            self.text += data


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two spaces on two datasets, with a failure, a divergence and two seeds on one dataset."""
    spaces = ("darts", "nasbench101")
    rows = population(12, spaces=spaces, tasks=("cls", "rot"), seeds=(1, 2))
    rows += population(12, spaces=spaces, tasks=("cls", "rot"), datasets=("imagenet",), rng=3)
    rows[0]["score_best"] = float("nan")
    rows[1] = failed(**{k: rows[1][k] for k in ("space", "arch", "task", "seed")}, error_text="<b>lost</b> & gone")
    return write_run(tmp_path_factory.mktemp("runs") / "both", rows, name="a study & more")


@pytest.fixture(scope="module")
def reported(both: Path) -> Path:
    return analysis.report(both, resamples=200)


def test_the_report_is_one_file_that_refers_to_nothing(both: Path, reported: Path) -> None:
    path = reported
    assert path == both / "report" / "report.html"
    page = Page(path)
    assert not page.open, "every element is closed"
    assert page.refers == []
    assert not re.search(r"https?:|url\(|@import|<link", path.read_text(encoding="utf-8"))
    assert not re.search(r"\beval\b|\bFunction\(|fetch\(|XMLHttp|import\(", page.scripts)
    drawn = sorted((both / "report" / "figures").glob("*.png"))
    assert {png.read_bytes() for png in drawn} == set(page.pictures)


def test_the_report_says_what_ran_and_how_the_numbers_came(both: Path, reported: Path) -> None:
    text = Page(reported).text
    assert "a study & more" in text
    found = analysis.correlate(analysis.load(both))
    for line in found.itertuples():
        assert f"{line.rho:.2f}".replace("-", "−") in text
    assert str(found["n"].max()) in text
    for words in ("average of their ranks", "averaged over seeds", "best epoch", "UnNAS", "ranks? below|rank below"):
        assert re.search(words, text)
    assert "<b>lost</b> & gone" in text, "texts of others are shown, not obeyed"
    assert "2.15.0" in text
    assert "0123456789ab" in text


def test_the_tables_beside_the_report(both: Path, reported: Path) -> None:
    folder = reported.parent
    found = analysis.correlate(analysis.load(both))
    written = pd.read_csv(folder / "correlations.csv")
    assert list(written) == list(found)
    assert np.allclose(written["rho"], found["rho"])
    lines = (folder / "correlations.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(found)
    assert len({line.count("|") for line in lines}) == 1


def test_every_figure_has_a_file(reported: Path) -> None:
    assert len(list(reported.parent.rglob("*.*"))) == 4 + 6


@pytest.mark.figures
def test_the_same_rows_give_the_same_files(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", population(12, tasks=("cls", "rot")))
    one, two = (analysis.report([run], tmp_path / name, resamples=50).parent for name in ("one", "two"))
    files = sorted(p.relative_to(one) for p in one.rglob("*.*"))
    assert len(files) == 3 + 1  # the page, two tables and one figure
    assert all((one / f).read_bytes() == (two / f).read_bytes() for f in files)


def test_the_findings_come_first_in_words_no_stronger_than_the_interval(tmp_path: Path) -> None:
    clear = population(60, tasks=("cls", "rot"), seeds=(1, 2), agreement=0.95)
    vague = population(12, spaces=("nasbench101",), tasks=("cls", "rot"), agreement=0.05)
    both = pd.DataFrame(clear + vague)
    text = Page(analysis.report(both, tmp_path, resamples=200)).text
    found = analysis.correlate(both, resamples=200).set_index("space")
    for space, says in (("darts", "agrees well with"), ("nasbench101", "shows no clear agreement with")):
        line = found.loc[space]
        numbers = f"ρ = {line['rho']:z.2f} [{line['rho_low']:z.2f}, {line['rho_high']:z.2f}]".replace("-", "−")
        sentence = f"Rotation {says} classification on CIFAR-10: {numbers}, n\u00a0=\u00a0{line['n']}."
        assert sentence in text
        assert text.index(sentence) < text.index("Drag over points"), "before anything else"
    assert "Preliminary: few architectures." in text
    assert "Noise ceiling" in text, "two seeds say how much noise there is"


def test_rankings_by_luck_are_no_findings(tmp_path: Path) -> None:
    """Of three label-free tasks one is at chance; the others agree with cls, and are the finding."""
    rows = [row | {"test_images": 10_000, "chance": 0.1} for row in population(40, tasks=("cls", "rot", "jig"))]
    luck = np.random.default_rng(0).binomial(10_000, 0.1, 40) / 10_000
    for line, score in zip((line for line in rows if line["task"] == "jig"), luck, strict=True):
        line["score_best"] = line["score_final"] = score
    path = analysis.report(pd.DataFrame(rows), tmp_path, resamples=200, figures="none")
    text = Page(path).text
    assert "Rotation agrees well with classification on CIFAR-10: ρ" in text
    assert "No signal, so no finding: jigsaw: not above chance (10 % on 10,000 test images)." in text
    only = [line for line in rows if line["task"] != "rot"]
    assert (
        "Nothing was found: no pair has signal in both of its rankings."
        in Page(analysis.report(pd.DataFrame(only), tmp_path, resamples=200, figures="none")).text
    )


def test_a_report_amid_a_run_says_so(tmp_path: Path) -> None:
    rows = population(20, tasks=("cls", "rot"))
    run = write_run(tmp_path / "x", rows[:20] + rows[20:25])
    write_plan(run, rows)
    text = Page(analysis.report(run, resamples=20)).text
    assert "Not complete: 25 of 40 planned trials are done (62 %)." in text
    assert "25 of 40 planned trials" not in Page(analysis.report(write_run(tmp_path / "y", rows), resamples=20)).text


def test_a_large_table_is_drawn_in_part_and_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.page.data.MOST_POINTS", 50)
    df = pd.DataFrame(population(120, tasks=("cls", "rot")))
    path = analysis.report(df, tmp_path, resamples=20)
    assert "50 of 120 architectures drawn" in Page(path).text
    data = json.loads(path.read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0])
    assert len(data["spaces"][0]["archs"]) == 50
    best = df[df["task"] == "cls"].set_index("arch")["score_best"].idxmax()
    assert best in data["spaces"][0]["archs"], "the ends of the ranking are among them"
    assert data["spaces"][0]["rhos"][0][-1] == 120, "numbers are of all"


def test_a_run_without_results_has_a_report_too(tmp_path: Path) -> None:
    write_plan(tmp_path / "x", [row()])
    text = Page(analysis.report(tmp_path / "x")).text
    assert "0 of 1 planned trials done" in text
    write_attempts(tmp_path / "x", [failed()])
    assert "out of memory" in Page(analysis.report(tmp_path / "x")).text


def test_a_report_of_a_table_and_of_a_remote_run_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "near", population(3, tasks=("cls",)))
    fsspec.filesystem("memory").put(str(run), "/far/run", recursive=True)
    assert analysis.report("memory://far/run") == Path("report/report.html")
    long = pd.DataFrame({"net": list("abcdef"), "acc": [1.0, 2, 3, 4, 5, 6], "on": ["x"] * 6})
    long = pd.concat([long, long.assign(on="$y_1$ <i>", acc=lambda t: t["acc"] * 10)])
    df = analysis.from_table(long, space="mine", arch="net", dataset="on", task="cls", value="acc")
    assert "$y_1$ <i>" in Page(analysis.report(df, "mine")).text


@pytest.mark.figures
def test_figures_are_written_as_png_pdf_and_svg(both: Path, tmp_path: Path) -> None:
    drawn = figures.scatter(analysis.load(both), resamples=20)
    assert [one.name for one in drawn] == [
        "within-cifar10",
        "within-imagenet",
        "across-cifar10-imagenet",
        "across-imagenet-cifar10",
    ]
    for one in (drawn[0], drawn[-1]):
        paths = png, pdf, svg = figures.save(one.figure, tmp_path, one.name)
        assert png.read_bytes().startswith(b"\x89PNG")
        assert pdf.read_bytes().startswith(b"%PDF")
        assert "classification" in "".join(ElementTree.parse(svg).getroot().itertext()), "text stays text"
    again = figures.scatter(analysis.load(both), resamples=20)[-1]
    for before, after in zip(paths, figures.save(again.figure, tmp_path / "again", again.name), strict=True):
        assert before.read_bytes() == after.read_bytes()


def test_a_report_writes_the_figures_that_are_wanted(tmp_path: Path) -> None:
    df = pd.DataFrame(population(5, tasks=("cls", "rot")))
    for chosen, suffixes in (("none", set()), ("png", {".png"}), ("all", {".png", ".pdf", ".svg"})):
        path = analysis.report(df, tmp_path / chosen, resamples=20, figures=chosen)
        assert {file.suffix for file in path.parent.glob("figures/*")} == suffixes
        assert ("Figures for a paper" in Page(path).text) == bool(suffixes)
    with pytest.raises(ValueError, match='"none", "png" or "all"'):
        analysis.report(df, tmp_path, figures="pdf")


def test_a_panel_says_rho_and_n_and_shows_every_architecture(both: Path) -> None:
    df = analysis.load(both)
    found = analysis.correlate(df).set_index(["space", "x_dataset", "x_task", "y_dataset", "y_task"])
    within = figures.scatter(df, resamples=20)[0].figure
    assert len(within.axes) == 2, "one line of panels a space"
    for ax, space in zip(within.axes, ("darts", "nasbench101"), strict=True):
        line = found.loc[(space, "cifar10", "rot", "cifar10", "cls")]
        said = " ".join(t.get_text() for t in ax.texts)
        assert f"ρ = {line['rho']:z.2f}".replace("-", "−") in said
        assert f"n = {line['n']}" in said
        points = np.concatenate([c.get_offsets() for c in ax.collections])
        assert len(points) == line["n"]
        assert ((points[:, 0] >= ax.get_xlim()[0]) & (points[:, 0] <= ax.get_xlim()[1])).all()
        assert ((points[:, 1] >= ax.get_ylim()[0]) & (points[:, 1] <= ax.get_ylim()[1])).all()
        assert 50 < points[:, 0].mean() < 100, "accuracies are in percent"


@pytest.mark.figures
def test_the_words_in_a_panel_cover_no_point() -> None:
    for agreement in (0.0, 0.95):
        df = pd.DataFrame(population(60, tasks=("cls", "rot", "jig"), agreement=agreement))
        figure = figures.scatter(df, resamples=50)[0].figure
        figure.draw_without_rendering()
        for ax in figure.axes:
            points = ax.transData.transform(np.concatenate([c.get_offsets() for c in ax.collections]))
            for said in ax.texts:
                box = said.get_window_extent()
                assert not any(box.contains(x, y) for x, y in points)


@pytest.mark.figures
def test_one_point_equal_points_and_no_points_are_drawn() -> None:
    for rows in (population(1), population(0), [row(task=t, arch=a) for t in ("cls", "rot") for a in "abcdef"]):
        for one in figures.scatter(pd.DataFrame(rows, columns=list(row())), resamples=0):
            one.figure.draw_without_rendering()
            assert "not defined" in " ".join(t.get_text() for t in one.figure.axes[0].texts)


def test_a_task_has_one_colour() -> None:
    df = pd.DataFrame(population(6, datasets=("cifar10", "imagenet"), tasks=("cls", "rot", "own task")))
    shades: dict[str, set[tuple[float, ...]]] = {}
    for one in figures.scatter(df, resamples=0):
        for ax in one.figure.axes:
            task = next(t for t in ("classification", "rotation", "own task") if t in ax.get_ylabel())
            shades.setdefault(task, set()).update(tuple(c.get_facecolor()[0][:3]) for c in ax.collections[:1])
    assert {task: len(found) for task, found in shades.items()} == dict.fromkeys(shades, 1)
    assert len(set.union(*shades.values())) == 3


def test_no_window_and_no_global_state() -> None:
    import subprocess
    import sys

    code = (
        "import sys, analysis; print([m for m in ('matplotlib.pyplot', 'torch', 'ray', 'spaces') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_markdown_keeps_every_cell_in_its_place() -> None:
    text = analysis.to_markdown(pd.DataFrame({"a|b": ["x|y", "two\nlines"], "n": [1, 20], "v": [0.5, float("nan")]}))
    assert text.splitlines() == [
        "| a\\|b | n | v |",
        "| --- | ---: | ---: |",
        "| x\\|y | 1 | 0.5000 |",
        "| two lines | 20 |  |",
    ]
