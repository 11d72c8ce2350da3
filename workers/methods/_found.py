"""The columns of a row that every search has: what it found, and what it would have found after each epoch."""

import json
from collections.abc import Sequence
from typing import Any

from spaces import Space

KEPT = 10  # of the best architectures, that a row names


def found_columns(space: Space, found: str | None, curve: Sequence[str | None]) -> dict[str, Any]:
    """Columns of the architecture found and of the curve, as text and as the graphs of their cells; None where a search
    has found nothing."""
    archs = {arch for arch in (found, *curve) if arch is not None}
    graphs = {arch: json.dumps(space.graph(arch), separators=(",", ":")) for arch in archs}
    return {
        "found": found,
        "found_arch_id": None if found is None else space.arch_id(found),
        "found_graph": None if found is None else graphs[found],
        "curve_found": list(curve),
        "curve_graph": [None if arch is None else graphs[arch] for arch in curve],
    }
