"""What searches found: one line per search and cell in which the architecture that it found was trained."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.cells import frame
from analysis.comparison.keys import NAMES
from analysis.comparison.options import Chance, Diverged, Options
from analysis.comparison.searches import OBJECTIVE, Target, chosen, place, scored, searches_in, targets_in
from analysis.rows import architecture_weights
from analysis.rows.graph import is_skip, operations, read

_TARGET = tuple(f"target_{name}" for name in NAMES)
_OWN = (
    *("found", "found_arch_id", "search_score", "search_seconds", "at_chance", "search_metric"),
    "objective_dataset_id",
)
_TYPES = (
    dict.fromkeys(["space", *OBJECTIVE], "str")
    | {"seed": "int64"}
    | dict.fromkeys(_TARGET[:3], "str")
    | {"n_seeds": "int64", "score": "float64", "std": "float64", "n": "int64", "n_dropped": "int64"}
    | dict.fromkeys(["percentile", "percentile_low", "percentile_high"], "float64")
    | dict.fromkeys(["rank", "params", "macs", "skips"], "Int64")
    | dict.fromkeys(["entropy", "entropy_most"], "float64")
    | {"ops": "object", "found": "object", "found_arch_id": "object"}
    | dict.fromkeys(["search_score", "search_seconds"], "float64")
    | {"at_chance": "bool"}
    | dict.fromkeys(["search_metric", "objective_dataset_id", "algorithm_id", "trial_id"], "str")
    | dict.fromkeys([*_TARGET[3:], "reason", "rule"], "str")
)


def searches(
    df: pd.DataFrame,
    *,
    controls: Collection[str] | None = None,
    published: Mapping[str, str] | None = None,
    score: str = "score_best",
    diverged: Diverged = "worst",
    chance: Chance = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """What each search found and how good that is: one row per (search, target).

    Targets are the cells of trainings, or of looked up results, of the space in which any architecture that a search
    found was tried. `score` and `std` (n - 1) are over the seeds of the found architecture in the target, `percentile`
    is the share of the n random cells below it (equal ones count half), with the interval of Clopper and Pearson, and
    `rank` its place among them (1: better than all). Scores are compared by their means over the seeds that random
    cells have. `skips`, `ops` count operations of the found cell, `entropy` is that of the architecture weights after
    the last epoch, in nats per edge (`entropy_most`: of equal weights), where `df` has curves. `at_chance`: the score
    of the supernet, on the images of the architecture weights, is not above chance.

    Random cells are the architectures of the target that no search found and that are not among `published`, texts by
    name; `controls` names others, as texts or arch_ids. Those that lack a seed which another one has are not compared
    (`n_dropped`). `reason` says why a number is missing, or what is still to come. Searches that found nothing, and
    those whose space has no target yet, have a row without one.
    """
    options = Options("pair", score, diverged, chance, confidence=confidence)
    return searches_of(searches_in(df), df, options, controls, published)


def searches_of(
    found: pd.DataFrame,
    df: pd.DataFrame,
    options: Options,
    controls: Collection[str] | None = None,
    published: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """`searches` of what `searches_in` gives of the rows."""
    which = chosen(df, controls, published)
    targets = list(targets_in(df, found, which, options.score, options.diverged, options.chance))
    weights = ends(df, found)
    lines: list[dict[str, Any]] = []
    for search, end in zip(found.to_dict("records"), weights, strict=True):
        about = {name: search[name] for name in ("space", *OBJECTIVE, "seed", *_OWN, "algorithm_id", "trial_id")}
        about |= end | counted(search["found_graph"])
        own = [target for target in targets if target.space == search["space"]] if search["found"] else []
        lines += [about | _line(search["found"], target, options) for target in own]
        if not own:
            lines.append(about | _nothing(search["reason"] or "not trained", options))
    return frame(lines, _TYPES)


def _line(arch: str, target: Target, options: Options) -> dict[str, Any]:
    """The columns of a search that depend on the target."""
    line: dict[str, Any] = {f"target_{name}": target.label[name] for name in NAMES}
    line |= scored(target, arch, options.diverged) | {"rule": rule(options)}
    stands = place(target, arch, options.diverged, options.confidence)
    line |= {"n": stands.n, "n_dropped": target.dropped, "percentile": stands.percentile, "rank": stands.rank}
    line |= {"percentile_low": stands.low, "percentile_high": stands.high}
    sizes = target.sizes[target.archs.index(arch)] if arch in target.archs else [np.nan, np.nan]
    line |= {"params": sizes[0], "macs": sizes[1]}
    if not stands.n and not line["reason"]:
        line["reason"] = "no random cells"
    return line


def _nothing(reason: str, options: Options) -> dict[str, Any]:
    numbers = ("score", "std", "percentile", "percentile_low", "percentile_high", "rank", "params", "macs")
    line: dict[str, Any] = dict.fromkeys(_TARGET, "") | dict.fromkeys(numbers, np.nan)
    return line | {"n_seeds": 0, "n": 0, "n_dropped": 0, "reason": reason, "rule": rule(options)}


def rule(options: Options) -> str:
    """By what architectures are compared: the words of column `rule`."""
    worst = "diverged ones rank last" if options.diverged == "worst" else "diverged ones are left out"
    return f"{options.score}; means over the seeds that the random cells have; {worst}"


def counted(graph: Any) -> dict[str, Any]:
    """How often each operation is in the cells of a graph, without `none`, and how many skip connections that are."""
    cells = read(graph)
    if not cells:
        return {"ops": None, "skips": np.nan}
    ops = Counter(operations(cells))
    return {"ops": dict(sorted(ops.items())), "skips": float(sum(n for op, n in ops.items() if is_skip(op)))}


def ends(df: pd.DataFrame, found: pd.DataFrame) -> Iterator[dict[str, float]]:
    """The entropy of each search's architecture weights after the last epoch, and the largest that they could have."""
    for cells in weights_of(df, found):
        edges = [cell.values.shape[1] for cell in cells]
        last = {"entropy": [cell.entropy[-1] for cell in cells], "entropy_most": [cell.most[-1] for cell in cells]}
        yield {name: float(np.average(one, weights=edges)) if cells else np.nan for name, one in last.items()}


def weights_of(df: pd.DataFrame, found: pd.DataFrame) -> Iterator[list[architecture_weights.CellWeights]]:
    """The architecture weights of each search; none where the rows have no curves."""
    names = ("curve_arch", "arch_shape", "arch_ops")
    columns = [df[name].to_numpy() if name in df else None for name in names]
    for place_ in found["place"]:
        yield architecture_weights.read(*(None if column is None else column[place_] for column in columns))
