"""The report in a real browser: quiet, narrow enough, its panels linked, its cells drawn."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from made_up import population, write_run

import analysis
from analysis.drawing.cells.drawing import draw
from analysis.rows.graph import read
from tests.conftest import blank_figures

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not BROWSER or not DRIVER, reason="chromium and chromedriver are not installed"),
    pytest.mark.xdist_group("browser"),
]
LABELS = {"sep_conv_3x3": "sep 3×3", "max_pool_3x3": "max 3×3", "skip_connect": "skip"}


def graph(k: int) -> str:
    ops = [list(LABELS)[(k + turn) % 3] for turn in range(2)]
    cell = {"name": "normal", "nodes": ["in", "0", "out"], "edges": [[0, 1, ops[0]], [0, 1, ops[1]], [1, 2, ""]]}
    return json.dumps({"cells": [cell]})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    rows = population(40, spaces=("darts", "nasbench101"), tasks=("cls", "rot", "jig"), seeds=(1, 2))
    for line in rows:
        k = int(line["arch"][-4:])
        line |= {"graph": graph(k), "params": 1000 + 10 * k, "curve_test_score": [0.1 + k / 1000, line["score_best"]]}
    with pytest.MonkeyPatch.context() as patch:
        blank_figures(patch)
        page = analysis.report(write_run(tmp_path_factory.mktemp("runs") / "seen", rows), resamples=100)
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    try:
        _width(driver, 1280)
        driver.get(page.as_uri())
        yield driver
    finally:
        driver.quit()


def _width(driver: Any, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def _drag(driver: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Presses, moves and lets go on the second panel of the first space, at its own coordinates."""
    code = (
        "const c = archsweep.spaces[0].panels[1].canvas; c.scrollIntoView(); return c.getBoundingClientRect().toJSON()"
    )
    edge = driver.execute_script(code)
    events = [("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)]
    for kind, (x, y) in events:
        at = {"type": kind, "x": edge["x"] + x, "y": edge["y"] + y, "button": "left", "clickCount": 1}
        driver.execute_cdp_cmd("Input.dispatchMouseEvent", at | {"buttons": int(kind != "mouseReleased")})


# Draws, and says of each panel which architectures have the colour of what is not selected, read from the canvas;
# those that a selected one may cover count as null.
SEEN = """
const space = archsweep.spaces[0];
space.draw();
const faint = space.theme().faint.match(/\\d+/g).map(Number);
return space.panels.map((panel) => space.data.archs.map((_, k) => {
  const at = panel.place(k);
  const near = (j) => j !== k && Math.hypot(panel.px[j] - at.x, panel.py[j] - at.y) < 12;
  if (space.data.archs.some((_, j) => near(j))) return null;
  const [r, g, b] = panel.canvas.getContext("2d").getImageData(at.x, at.y, 1, 1).data;
  return Math.abs(r - faint[0]) + Math.abs(g - faint[1]) + Math.abs(b - faint[2]) < 30 ? "faint" : "shown";
}));
"""


def test_a_brush_in_one_panel_selects_the_same_architectures_in_all(browser: Any) -> None:
    space = "archsweep.spaces[0]"
    panel = f"{space}.panels[1]"
    wide, high = browser.execute_script(f"return [{panel}.width, {panel}.height]")
    _drag(browser, (wide * 0.45, 4), (wide - 6, high - 30))
    places = browser.execute_script(f"return {space}.data.archs.map((_, k) => {panel}.place(k))")
    inside = [wide * 0.45 <= at["x"] <= wide - 6 and 4 <= at["y"] <= high - 30 for at in places]
    assert 3 < sum(inside) < 37
    assert browser.execute_script(f"return {space}.selected") == inside
    panels = browser.execute_script(SEEN)
    assert len(panels) == 3, "two tasks and size against cls"
    for seen in panels:
        told = [(colour, chosen) for colour, chosen in zip(seen, inside, strict=True) if colour]
        assert {colour for colour, _ in told} == {"faint", "shown"}
        assert all((colour == "shown") == chosen for colour, chosen in told)
    assert browser.execute_script("return archsweep.spaces[1].selected") is None, "each space has its own"
    assert f"{sum(inside)} of 40 selected" in browser.find_element("tag name", "main").text


def test_a_click_picks_an_architecture_and_draws_its_cell(browser: Any) -> None:
    at = browser.execute_script("return archsweep.spaces[0].panels[1].place(7)")
    _drag(browser, (at["x"], at["y"]), (at["x"], at["y"]))
    card = browser.find_element("css selector", ".card")
    assert "darts0007" in card.text
    (cell,) = draw(read(graph(7)))
    rects = """return [...arguments[0].querySelectorAll("rect")].map((e) => [
        Number(e.getAttribute("x")) + Number(e.getAttribute("width")) / 2, e.nextSibling.textContent])"""
    drawn = browser.execute_script(rects, card)
    assert [label for _, label in drawn] == [box.label for box in cell.boxes]
    assert [x for x, _ in drawn] == pytest.approx([box.x for box in cell.boxes], abs=0.5)
    assert {LABELS[op] for *_, op in json.loads(graph(7))["cells"][0]["edges"] if op} <= {label for _, label in drawn}
    outlines = "return [...arguments[0].querySelectorAll('path')].map((e) => e.getAttribute('d'))"
    for path, line in zip(browser.execute_script(outlines, card), cell.lines(), strict=True):
        numbers = [float(v) for v in re.findall(r"[0-9.]+", path)]
        assert numbers[:2] + numbers[-2:] == pytest.approx([*line[0], *line[-1]], abs=0.5)


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_reaches_beyond_the_window(browser: Any, width: int) -> None:
    _width(browser, width)
    browser.refresh()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_page_is_quiet_and_asks_for_nothing(browser: Any) -> None:
    browser.execute_script("document.getElementById('theme').click()")
    # Reading pixels is the tests' own doing.
    assert [entry for entry in browser.get_log("browser") if "getImageData" not in entry["message"]] == []
    events = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked, "the page itself"
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert {url for url in asked if url.startswith("file")} == {browser.current_url}
