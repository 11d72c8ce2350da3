"""A drawn cell in a file: SVG, PNG, or DOT for those who have Graphviz; the format is the file's suffix."""

import html
import io
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

from analysis import whole_file
from analysis.drawing.cells.drawing import HEIGHT, PLAIN, Cell, draw, ink, operation
from analysis.rows.graph import operating, read

_MARGIN, _BETWEEN, _TITLE = 8.0, 28.0, 18.0  # points around, between two cells, and for a cell's name
_LINE = "#59636B"
_FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"


def save(graph: Any, file: str | PathLike[str], title: str = "") -> Path:
    """Draws a `graph` (as rows and plans hold it) into the file; ValueError for a suffix or a graph of another kind."""
    file = Path(file)
    cells = read(graph)
    if file.suffix.lower() not in WRITERS:
        raise ValueError(f"{file}: the ending says the format; known are {', '.join(WRITERS)}")
    if not draw(cells):
        raise ValueError("there is no cell to draw: a graph has cells of up to 80 nodes, with edges and no cycle")
    whole_file.write(file, WRITERS[file.suffix.lower()](cells, title))
    return file


def svg(cells: Sequence[dict[str, Any]], title: str = "") -> bytes:
    """The cells side by side, as SVG with real text."""
    drawn = draw(cells)
    width, height, places = _sheet(drawn)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="{_FONT}" font-size="10.5" text-anchor="middle">',
        f"<title>{html.escape(title or 'cell')}</title>",
    ]
    for cell, (left, top) in zip(drawn, places, strict=True):
        parts.append(f'<g transform="translate({left:g} {top:g})">')
        parts.append(f'<text x="{cell.width / 2:g}" y="-8" font-weight="bold">{html.escape(cell.name)}</text>')
        for line in cell.lines():
            steps = " ".join(f"C{' '.join(f'{v:.1f}' for v in point)}" for point in curves(line))
            start = f"M{line[0][0]:.1f} {line[0][1]:.1f}"
            parts.append(f'<path d="{start} {steps}" fill="none" stroke="{_LINE}" stroke-width="1.1"/>')
        for box in cell.boxes:
            corner = f'x="{box.x - box.width / 2:.1f}" y="{box.y - HEIGHT / 2:.1f}" rx="{10 if box.round else 5}"'
            parts.append(
                f'<rect {corner} width="{box.width:.1f}" height="{HEIGHT:g}" fill="{box.colour}" stroke="{_LINE}"/>'
                f'<text x="{box.x:.1f}" y="{box.y + 3.7:.1f}" fill="{ink(box.colour)}">{html.escape(box.label)}</text>'
            )
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"]).encode(errors="replace")


def curves(line: Sequence[tuple[float, float]]) -> list[tuple[float, ...]]:
    """The line as cubic Bezier steps (two control points and the end) that leave and arrive vertically."""
    steps: list[tuple[float, ...]] = []
    for (x, y), (to_x, to_y) in pairwise(line):
        half = (y + to_y) / 2
        steps.append((x, half, to_x, half, to_x, to_y))
    return steps


def png(cells: Sequence[dict[str, Any]], title: str = "") -> bytes:
    """The same picture at 300 dots per inch."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch, PathPatch
    from matplotlib.path import Path as Outline

    drawn = draw(cells)
    width, height, places = _sheet(drawn)
    with mpl.rc_context({"font.family": ["DejaVu Sans"], "font.size": 8.6}):
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        for cell, (left, top) in zip(drawn, places, strict=True):
            axes.text(left + cell.width / 2, top - 11, cell.name, weight="bold", ha="center", parse_math=False)
            for line in cell.lines():
                points = [(line[0][0], line[0][1])]
                for step in curves(line):
                    points += list(zip(step[::2], step[1::2], strict=True))
                codes = [Outline.MOVETO] + [Outline.CURVE4] * (len(points) - 1)
                path = Outline([(left + x, top + y) for x, y in points], codes)
                axes.add_patch(PathPatch(path, fill=False, edgecolor=_LINE, linewidth=1.1))
            for box in cell.boxes:
                corner = (left + box.x - box.width / 2, top + box.y - HEIGHT / 2)
                style = f"round,pad=0,rounding_size={10 if box.round else 5}"
                patch = FancyBboxPatch(
                    corner, box.width, HEIGHT, style, facecolor=box.colour, edgecolor=_LINE, linewidth=1, zorder=2
                )
                axes.add_patch(patch)
                where = (left + box.x, top + box.y + 0.6)
                axes.text(
                    *where, box.label, color=ink(box.colour), ha="center", va="center", zorder=3, parse_math=False
                )
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=300, metadata={"Software": None})
    return content.getvalue()


def dot(cells: Sequence[dict[str, Any]], title: str = "") -> bytes:
    """The graph for Graphviz, with the full names of operations."""
    lines = [f"digraph {_quoted(title or 'cell')} {{", '  rankdir=TB; node [shape=box, style="rounded,filled"];']
    for k, cell in enumerate(cells):
        lines.append(f"  subgraph cluster_{k} {{ label={_quoted(cell.get('name', ''))};")
        inner = set(operating(cell))
        for v, label in enumerate(cell["nodes"]):
            colour = operation(label).colour if v in inner else PLAIN
            lines.append(f"    n{k}_{v} [label={_quoted(label)}, fillcolor={_quoted(colour)}];")
        lines.append("  }")
        for source, target, op in cell["edges"]:
            named = f" [label={_quoted(op)}, color={_quoted(operation(op).colour)}]" if op else ""
            lines.append(f"  n{k}_{source} -> n{k}_{target}{named};")
    return "\n".join([*lines, "}\n"]).encode(errors="replace")


WRITERS: dict[str, Callable[[Sequence[dict[str, Any]], str], bytes]] = {".svg": svg, ".png": png, ".dot": dot}


def _sheet(drawn: Sequence[Cell]) -> tuple[float, float, list[tuple[float, float]]]:
    """Width and height of all cells side by side, and the upper left corner of each."""
    places, left = [], _MARGIN
    for cell in drawn:
        places.append((left, _MARGIN + _TITLE))
        left += cell.width + _BETWEEN
    height = max((cell.height for cell in drawn), default=0) + 2 * _MARGIN + _TITLE
    return left - _BETWEEN + _MARGIN, height, places


def _quoted(text: str) -> str:
    """A string of DOT, which knows the escapes of JSON that matter here."""
    return json.dumps(" ".join(str(text).split()), ensure_ascii=False)
