"""A drawn cell inside the page, in the page's colours, without a script."""

import html
from collections.abc import Sequence
from typing import Any

from analysis.drawing.cells.drawing import HEIGHT, Cell, draw, ink
from analysis.drawing.cells.files import curves


def cells_svg(cells: Sequence[dict[str, Any]]) -> str:
    """The cells that `rows.graph.read` gives, side by side; empty where none can be drawn."""
    drawn = "".join(map(_figure, draw(cells)))
    return f'<div class="cells">{drawn}</div>' if drawn else ""


def _figure(cell: Cell) -> str:
    name = html.escape(cell.name)
    size = f'viewBox="-1 -1 {cell.width + 2:g} {cell.height + 2:g}" width="{cell.width:g}"'
    parts = [f'<figure class="cell"><figcaption>{name}</figcaption><svg {size} role="img" aria-label="cell {name}">']
    for line in cell.lines():
        steps = "".join(f"C{' '.join(f'{v:.0f}' for v in point)}" for point in curves(line))
        parts.append(f'<path class="edge" d="M{line[0][0]:.0f} {line[0][1]:.0f}{steps}"/>')
    for box in cell.boxes:
        corner = f'x="{box.x - box.width / 2:.1f}" y="{box.y - HEIGHT / 2:g}" rx="{10 if box.round else 5}"'
        parts.append(
            f'<rect class="box" {corner} width="{box.width:.1f}" height="{HEIGHT:g}" fill="{box.colour}"/>'
            f'<text x="{box.x:.1f}" y="{box.y + 3.7:.1f}" fill="{ink(box.colour)}">{html.escape(box.label)}</text>'
        )
    return "".join([*parts, "</svg></figure>"])
