"""The files that the authors of UnNAS published, as rows and as lists of architectures (Liu et al., ECCV 2020).

Results are in `<space>/<data>/<task>/<run>/sweep_summary.json`, one file per run of all architectures; configurations
in `<space>/<data>/<task>/<id>.yaml`, one file per architecture.  Both contain DARTS cells in full; a NAS-Bench-101
result has only the id of its module, and the configurations contain the module.  The architectures are also available
as JSON, all of a space in one file: `{"archs": [{"id", "matrix", "ops"} or {"id", "normal", "reduce"},
...]}`, operations by name, or by `op_codes` and by their position in `ops`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import spaces
from spaces import quoted

RESULTS = "sweep_summary.json"
SPACES = {"darts": "darts", "nas_bench": "nasbench101"}
_CONCAT = [2, 3, 4, 5]
_LAYOUT = f"<space>/<data>/<task>/<run>/{RESULTS} with space {' or '.join(SPACES)} and run a number from 1"
# The fast parser of libyaml where PyYAML has it: the release has thousands of files.
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def result_files(path: Path) -> list[Path]:
    """The result files at or below a path; FileNotFoundError where there is none."""
    found = [path] if path.is_file() else sorted(path.rglob(RESULTS))
    if not found:
        raise FileNotFoundError(f"no {RESULTS} at or below {path}; expected {_LAYOUT}")
    return found


def results(path: Path, data: bytes, archs: Mapping[str, str]) -> pd.DataFrame:
    """One result file as a long table: space, arch, dataset, task, seed (the run's number), value.

    `value` is 100 - `min_test_top1`: the accuracy of the best epoch in percent.  `archs`: architecture by id, for
    NAS-Bench-101; an id that is not in it stays the architecture's text, padded to six digits as in the release.  So
    does a cell outside our DARTS space, as the text the release itself compares.  An architecture that a file repeats
    counts as the mean of its values.  Raises ValueError naming file and key.
    """
    try:
        where = Path(path).absolute().parts[-5:-1]
        if len(where) < 4 or where[0] not in SPACES or not re.fullmatch(r"[1-9]\d{0,8}", where[3]):
            raise ValueError(f"the folders around it should be {_LAYOUT}")
        space, dataset, task, run = where
        jobs = _object(_json(data), "job_summaries", "the file")
        if not isinstance(jobs, list):
            raise ValueError(f"job_summaries should be a list, not {quoted(jobs)}")
        lines = [
            (_arch(space, job, f"job_summaries[{k}]", archs), 100 - _error(job, f"job_summaries[{k}]"))
            for k, job in enumerate(jobs)
        ]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    table = pd.DataFrame(lines, columns=["arch", "value"])
    return table.assign(space=SPACES[space], dataset=dataset, task=task, seed=int(run))


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from None


def _object(value: Any, key: str, where: str) -> Any:
    """The value of a key of an object."""
    if not isinstance(value, dict) or key not in value:
        raise ValueError(f"{where} should be an object with {key!r}, not {quoted(value)}")
    return value[key]


def _error(job: Any, where: str) -> float:
    """The error in percent; the last value of a list."""
    found = _object(job, "min_test_top1", where)
    value = found[-1] if isinstance(found, list) and found else found
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 100:
        raise ValueError(f"{where}.min_test_top1 should be an error from 0 to 100 percent, not {quoted(found)}")
    return float(value)


def _arch(space: str, job: Any, where: str, archs: Mapping[str, str]) -> str:
    if space == "nas_bench":
        given = _object(job, "job_id", where)
        if not isinstance(given, str | int) or isinstance(given, bool) or str(given) == "":
            raise ValueError(f"{where}.job_id should be the id of an architecture, not {quoted(given)}")
        text = str(given).zfill(6)
        return archs.get(text, text)
    cells = _object(_object(job, "net", where), "genotype", f"{where}.net")
    parts = [_object(cells, key, f"{where}.net.genotype") for key in ("normal", "normal_concat", "reduce")]
    return _cells(parts, _object(cells, "reduce_concat", f"{where}.net.genotype"), f"{where}.net.genotype")


def _cells(parts: list[Any], reduce_concat: Any, where: str) -> str:
    """A DARTS genotype in our spelling, or in the release's where our space has no such cell."""
    normal, normal_concat, reduce = parts
    for cell in (normal, reduce):
        if not isinstance(cell, list) or not all(_is_edge(edge) for edge in cell):
            raise ValueError(f"{where} should hold lists of [operation, node], not {quoted(cell)}")
    if normal_concat == reduce_concat == _CONCAT:
        try:
            return spaces.get("darts").encode(normal=normal, reduce=reduce)
        except ValueError:
            pass
    return str([list(edge) for edge in [*normal, *reduce]] + [*_list(normal_concat), *_list(reduce_concat)])


def _is_edge(edge: Any) -> bool:
    return isinstance(edge, list) and len(edge) == 2 and isinstance(edge[0], str) and type(edge[1]) is int


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def architectures(tree: Path, space: str | None = None) -> dict[str, str]:
    """The architectures of a tree of configurations, or of lists in JSON, by id, in the order of the ids.

    The folders of one space agree with each other, so the tree may hold any of them.  ValueError, naming the file, for
    one that describes no single architecture, for two that contradict each other, and for a tree with both spaces
    unless `space` (our name) says which is meant.
    """
    found: dict[str, dict[str, tuple[str, Path]]] = {}
    for path, name, kind, arch in _all(tree):
        known, first = found.setdefault(kind, {}).setdefault(name, (arch, path))
        if known != arch:
            raise ValueError(f"{path}: {name} is {arch}, but in {first} it is {known}")
    if not found:
        raise FileNotFoundError(f"no configuration (*.yaml) below {tree}, and no list of architectures (*.json) in it")
    if space is None and len(found) > 1:
        raise ValueError(f"{tree} holds architectures of {' and '.join(sorted(found))}; say which by --space")
    chosen = space or next(iter(found))
    if chosen not in found:
        raise ValueError(f"{tree} holds no architecture of {quoted(chosen)}, only of {' and '.join(sorted(found))}")
    return {name: arch for name, (arch, _) in sorted(found[chosen].items())}


def _all(tree: Path) -> Iterator[tuple[Path, str, str, str]]:
    """File, id, our name of the space and our text of every architecture; ValueError naming the file."""
    configs = [tree] if tree.suffix == ".yaml" and tree.is_file() else sorted(tree.rglob("*.yaml"))
    for path in configs:
        try:
            yield path, path.stem, *_configured(_yaml(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    for path in () if configs else [tree] if tree.is_file() else sorted(tree.glob("*.json")):
        try:
            content = _json(path.read_bytes())
            if path != tree and not (isinstance(content, dict) and "archs" in content):
                continue  # another file beside the lists
            for name, space, arch in _in_list(content):
                yield path, name, space, arch
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), _YAML)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"not valid YAML: {error}") from None


def _in_list(content: Any) -> Iterator[tuple[str, str, str]]:
    """Id, space and text of the architectures of a list in JSON; without an id it is the position."""
    listed = content if isinstance(content, list) else _object(content, "archs", "a list of architectures")
    about = content if isinstance(content, dict) else {}
    if not isinstance(listed, list):
        raise ValueError(f"archs should be a list, not {quoted(listed)}")
    for k, record in enumerate(listed):
        try:
            if isinstance(record, dict) and "matrix" in record:
                matrix = [[int(bit) for bit in row] for row in record["matrix"]]
                codes = about.get("op_codes", {})
                ops = [codes.get(op, op) for op in _object(record, "ops", "an architecture")]
                space, arch = "nasbench101", spaces.get("nasbench101").encode(matrix=matrix, ops=ops)
            else:
                names, concat = dict(enumerate(about.get("ops", []))), ("normal_concat", "reduce_concat")
                if any(record.get(key, about.get(key, _CONCAT)) != _CONCAT for key in concat):
                    raise ValueError(f"its cells do not concatenate {_CONCAT}, as DARTS does")
                cells = {
                    key: [(names[op] if type(op) is int else op, node) for op, node in _object(record, key, "it")]
                    for key in ("normal", "reduce")
                }
                space, arch = "darts", spaces.get("darts").encode(**cells)
        except (TypeError, IndexError, KeyError, AttributeError, ValueError) as error:
            why = str(error) if type(error) is ValueError else "it has neither matrix and ops nor normal and reduce"
            raise ValueError(f"archs[{k}], {quoted(record)}: {why}") from None
        yield str(record.get("id", k)), space, arch


def _configured(config: Any) -> tuple[str, str]:
    """Our name of the space and our text of the architecture."""
    nas = _object(config, "NAS", "a configuration")
    if isinstance(nas, dict) and "MATRIX" in nas:
        matrix, ops = nas["MATRIX"], _object(nas, "OPS", "NAS")
        try:
            return "nasbench101", spaces.get("nasbench101").encode(matrix=matrix, ops=ops)
        except (TypeError, IndexError, KeyError) as error:
            raise ValueError(f"NAS.MATRIX and NAS.OPS are not a valid module: {error}") from None
    cells = _object(nas, "CUSTOM_GENOTYPE", "NAS (of a sampled architecture)")
    if not isinstance(cells, list) or len(cells) != 4:
        raise ValueError(f"NAS.CUSTOM_GENOTYPE should be two cells, each with its outputs; it is {quoted(cells)}")
    normal, normal_concat, reduce, reduce_concat = cells
    if normal_concat != _CONCAT or reduce_concat != _CONCAT:
        raise ValueError(f"NAS.CUSTOM_GENOTYPE concatenates {normal_concat} and {reduce_concat}; DARTS {_CONCAT}")
    if not all(isinstance(cell, list) and all(map(_is_edge, cell)) for cell in (normal, reduce)):
        raise ValueError(f"NAS.CUSTOM_GENOTYPE should hold lists of [operation, node], not {quoted(cells)}")
    return "darts", spaces.get("darts").encode(normal=normal, reduce=reduce)


def listed(archs: Mapping[str, str]) -> str:
    """Architectures as a file for studies, one per line, with the id as a comment."""
    return "".join(f"{arch}  # {name}\n" for name, arch in archs.items())


def by_id(path: Path) -> dict[str, str]:
    """Such a file read back: architecture by id.  ValueError naming the line that has no id."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        arch, _, name = (part.strip() for part in line.partition("#"))
        if arch and not name:
            raise ValueError(f"{path}: line {number} has no id behind `#`; `archsweep import unnas-archs` writes it")
        if arch:
            found[name] = spaces.get("nasbench101").normal(arch)
    return found
