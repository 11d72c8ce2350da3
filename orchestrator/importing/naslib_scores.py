"""The tables of zero-cost proxies that NASLib publishes (NAS-Bench-Suite-Zero; Krishnakumar et al. 2022).

One JSON file per space: `{"cifar10": {"(4, 0, 3, 1, 4, 3)": {"synflow": {"score": 57.4, "time": 0.8}, ...,
"val_accuracy": 93.1}, ...}, ...}`.  Scores are signed so that higher is better, times are seconds, accuracies are
percentages.  An architecture is a tuple of integers, whose meaning depends on the space.
"""

import ast
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import spaces
from spaces import quoted

ACCURACY = "val_accuracy"  # the key of the accuracies, and the name of their recipe
FAMILY = "zero_cost"
_FAILED = -1e8  # what NASLib stores for a score that is not finite
_DATASETS = {"ImageNet16-120": "imagenet16_120"}  # names that differ from ours
_ALSO = {"nasbench301": "darts"}  # NAS-Bench-301 is a benchmark on the space of DARTS

_OPS_201 = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_ORDER_201 = (0, 1, 3, 2, 4, 5)  # our edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3 among NASLib's 0-1, 0-2, 0-3, 1-2, 1-3, 2-3
_OPS_101 = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")
_OPS_DARTS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


def space_of(name: str) -> str:
    """Our name of a space; LookupError where its tuples are not known."""
    found = _ALSO.get(name, name)
    if found not in _READERS:
        raise LookupError(
            f"import naslib-zc reads the tables of {', '.join([*_READERS, *_ALSO])}; there is no rule for the "
            f"architectures of {quoted(name)}"
        )
    return found


def read(path: Path, data: bytes, space: str) -> pd.DataFrame:
    """One line per architecture, dataset and score: dataset, arch, name, score (NaN: missing), why, seconds.

    `why` says why a score is missing.  ValueError naming the file, and the architecture, where it is another format.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    try:
        lines = list(_lines(found, space))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    table = pd.DataFrame(lines, columns=["dataset", "arch", "name", "score", "why", "seconds"])
    if table.empty:
        raise ValueError(f"{path} holds no score of any architecture")
    keys = ["dataset", "arch", "name"]
    # Two tuples may spell one architecture; a mean over what is finite, as of any repeated measurement.
    once = table.groupby(keys, sort=False, as_index=False).agg({"score": "mean", "seconds": "mean", "why": "first"})
    return once.assign(why=once["why"].where(once["score"].isna(), None))


def _lines(found: Any, space: str) -> Iterator[tuple[Any, ...]]:
    if not isinstance(found, dict) or not all(isinstance(archs, dict) for archs in found.values()):
        raise ValueError('expected {"dataset": {"(operations)": {"proxy": {"score": ..., "time": ...}}}}')
    spelled: dict[str, str] = {}
    for dataset, archs in found.items():
        for key, scores in archs.items():
            if key not in spelled:
                spelled[key] = _arch(key, space)
            for name, value in _scores(key, scores):
                yield (_DATASETS.get(dataset, dataset), spelled[key], name, *value)


def _scores(key: str, scores: Any) -> Iterator[tuple[str, tuple[float, str | None, float]]]:
    """The scores of an architecture: name, and value, why it is missing, and seconds; other keys are ignored."""
    if not isinstance(scores, dict):
        raise ValueError(f"architecture {quoted(key)} has {quoted(scores)}; expected an object of scores")
    for name, value in scores.items():
        if isinstance(value, dict) and "score" in value:
            yield name, (*_value(key, name, value["score"]), _seconds(value.get("time")))
        elif name == ACCURACY:
            yield name, (*_value(key, name, value), math.nan)


def _value(key: str, name: str, value: Any) -> tuple[float, str | None]:
    """A score, NaN if it is missing, and why it is missing."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"architecture {quoted(key)}: {quoted(name)} is {quoted(value)}; expected a number")
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    if math.isfinite(number) and number != _FAILED:
        return number, None
    return math.nan, f"{name} is {quoted(value)} in the table, which is not finite"


def _seconds(value: Any) -> float:
    known = isinstance(value, int | float) and math.isfinite(value) and value >= 0
    return float(value) if known else math.nan


def _arch(key: str, space: str) -> str:
    """The text of an architecture from NASLib's tuple."""
    try:
        found = ast.literal_eval(key)
        return _READERS[space](found)
    except (ValueError, SyntaxError, TypeError, IndexError, MemoryError, RecursionError) as error:
        raise ValueError(f"{quoted(key)} is not an architecture of {space} as NASLib writes it: {error}") from None


def _named(names: Sequence[str], number: Any) -> str:
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise ValueError(f"{quoted(number)} is not an operation; expected 0 to {len(names) - 1}")
    return names[number]


def _nasbench201(numbers: tuple[int, ...]) -> str:
    """Six operations, for the edges 0-1, 0-2, 0-3, 1-2, 1-3, 2-3."""
    if len(numbers) != len(_ORDER_201):
        raise ValueError(f"{len(numbers)} numbers, expected {len(_ORDER_201)} operations")
    return spaces.get("nasbench201").encode(ops=[_named(_OPS_201, numbers[k]) for k in _ORDER_201])


def _nasbench101(numbers: tuple[int, ...]) -> str:
    """The n x n matrix row by row, then n operations."""
    n = math.isqrt(len(numbers))
    if n * (n + 1) != len(numbers):
        raise ValueError(f"{len(numbers)} numbers, expected n * n of a matrix and n operations")
    matrix = [list(numbers[n * k : n * (k + 1)]) for k in range(n)]
    return spaces.get("nasbench101").encode(matrix=matrix, ops=[_named(_OPS_101, k) for k in numbers[n * n :]])


def _darts(cells: tuple[tuple[tuple[int, int], ...], ...]) -> str:
    """The normal and the reduction cell, each of eight (input node, operation)."""
    normal, reduce = ([(_named(_OPS_DARTS, op), node) for node, op in cell] for cell in cells)
    return spaces.get("darts").encode(normal=normal, reduce=reduce)


_READERS: Mapping[str, Callable[[Any], str]] = {
    "nasbench201": _nasbench201,
    "nasbench101": _nasbench101,
    "darts": _darts,
}
