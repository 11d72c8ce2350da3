"""How the architecture of a search forms: weights, entropy and operations after each epoch."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import frame
from analysis.comparison.searches import OBJECTIVE, searches_in
from analysis.comparison.trials import expect_frame
from analysis.rows.architecture_weights import CellWeights
from analysis.rows.graph import is_nothing, is_skip, operations, read
from analysis.statistics.searches import weights_of

_IDS = ("objective_dataset_id", "algorithm_id", "trial_id")
_ABOUT = ("space", *OBJECTIVE, "seed")
_LAST = dict.fromkeys(_IDS, "str")
_CURVES = (
    dict.fromkeys(["space", *OBJECTIVE], "str")
    | dict.fromkeys(["seed", "epoch", "epochs"], "int64")
    | dict.fromkeys(["cell", "operation"], "str")
    | dict.fromkeys(["weight", "chosen", "entropy", "entropy_most"], "float64")
    | {"skip": "bool"}
    | _LAST
)
_WEIGHTS = (
    dict.fromkeys(["space", *OBJECTIVE], "str")
    | dict.fromkeys(["seed", "epoch", "epochs"], "int64")
    | dict.fromkeys(["cell", "edge", "operation"], "str")
    | dict.fromkeys(["value", "weight", "edge_weight"], "float64")
    | _LAST
)


def search_curves(df: pd.DataFrame) -> pd.DataFrame:
    """How each search's architecture formed: one row per (search, epoch, cell, operation).

    `weight` is the share that the softmax of the architecture weights gives to the operation, the mean over the edges
    of the cell; `chosen` is how often the cell that the search would have found after the epoch has it. `entropy` is
    that of an edge's shares in nats, the mean over the edges of the cell, `entropy_most` the same for equal shares of
    the operations that are left. `skip` marks skip connections. Random search and evolution have no weights, so only
    `chosen`. `df` is `load(..., curves=True)`; LookupError for rows without curves.
    """
    lines: list[dict[str, Any]] = []
    for about, cells, graphs in _each(df):
        counts = [_counts(graph) for graph in graphs]
        epochs = max(len(counts), *(len(cell.values) for cell in cells), 0) if cells else len(counts)
        named = {cell.name: cell for cell in cells}
        for name in dict.fromkeys([*named, *(key for one in counts for key in one)]):
            lines += [about | line | {"epochs": epochs} for line in _of_cell(name, named.get(name), counts)]
    return frame(lines, _CURVES)


def skips_of(curves: pd.DataFrame) -> pd.DataFrame:
    """The skip connections of the cells that each search would have found after each epoch, of `search_curves`: one row
    per (search, epoch), all its cells together."""
    known = curves[curves["chosen"].notna()]
    known = known.assign(skips=known["chosen"].where(known["skip"], 0.0))
    return known.groupby([*_ABOUT, *_IDS, "epoch"], as_index=False, sort=False)[["skips"]].sum()


def architecture_weights(df: pd.DataFrame) -> pd.DataFrame:
    """The architecture weights of each search: one row per (search, epoch, cell, edge, operation).

    `edge` is source and node, "0-2"; `value` is the weight before the softmax (minus infinity for an operation that was
    dropped), `weight` after it, `edge_weight` the share of the edge among those that enter its node (PC-DARTS, else
    missing). Edges and operations are numbers where the row does not name them. `df` is `load(..., curves=True)`;
    LookupError for rows without curves.
    """
    parts = []
    for about, cells, _ in _each(df):
        for cell in cells:
            many = cell.values.shape
            epoch, edge, op = (places.ravel() for places in np.indices(many))
            edges = [f"{a}-{b}" for a, b in cell.edges] if cell.edges else [str(k) for k in range(many[1])]
            of_edges = cell.edge_shares
            columns: dict[str, Any] = {"epoch": epoch + 1, "edge": np.array(edges, object)[edge]}
            columns |= {"operation": np.array(cell.operations, object)[op], "value": cell.values.ravel()}
            columns |= {"weight": cell.shares.ravel()}
            columns |= {"edge_weight": np.nan if of_edges is None else of_edges[epoch, edge]}
            parts.append(pd.DataFrame(columns).assign(**about, cell=cell.name, epochs=many[0]))
    return pd.concat(parts, ignore_index=True)[list(_WEIGHTS)].astype(_WEIGHTS) if parts else frame([], _WEIGHTS)


def _each(df: pd.DataFrame) -> Iterator[tuple[dict[str, Any], list[CellWeights], list[Any]]]:
    """What identifies each search, its architecture weights, and the graph of its cell after each epoch."""
    expect_frame(df)
    found = searches_in(df)
    if len(found) and not {"curve_arch", "curve_graph"} & set(df.columns):
        raise LookupError("no column 'curve_arch' or 'curve_graph'; load the runs with curves=True")
    graphs = df["curve_graph"].to_numpy() if "curve_graph" in df else None
    for search, cells in zip(found.to_dict("records"), weights_of(df, found), strict=True):
        curve = None if graphs is None else graphs[search["place"]]
        about = {str(name): search[name] for name in (*_ABOUT, *_IDS)}
        yield about, cells, list(curve) if curve is not None and hasattr(curve, "__len__") else []


def _counts(graph: Any) -> dict[str, Counter[str]]:
    """How often each operation is in each cell of a graph."""
    return {str(cell.get("name", "")): Counter(operations([cell])) for cell in read(graph)}


def _of_cell(name: str, cell: CellWeights | None, counts: list[dict[str, Counter[str]]]) -> Iterator[dict[str, Any]]:
    """The rows of one cell."""
    chosen = [one.get(name) for one in counts]
    known = list(cell.operations) if cell else []
    ops = [*known, *sorted({op for one in chosen if one for op in one} - set(known))]
    shares = cell.shares.mean(axis=1) if cell else None
    entropy, most = (cell.entropy, cell.most) if cell else (np.empty(0), np.empty(0))
    for epoch in range(max(len(counts), len(entropy))):
        numbers = [one[epoch] if epoch < len(one) else np.nan for one in (entropy, most)]
        there = chosen[epoch] if epoch < len(chosen) else None
        for k, op in enumerate(ops):
            weighed = shares is not None and epoch < len(shares) and k < shares.shape[1]
            yield {
                "cell": name,
                "operation": op,
                "epoch": epoch + 1,
                "weight": float(shares[epoch, k]) if weighed and shares is not None else np.nan,
                "chosen": np.nan if there is None or is_nothing(op) else float(there[op]),
                "entropy": float(numbers[0]),
                "entropy_most": float(numbers[1]),
                "skip": is_skip(op),
            }
