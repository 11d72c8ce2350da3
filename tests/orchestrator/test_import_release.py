"""The files of the UnNAS release: results become rows, architectures become a list."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import analysis
from orchestrator.study.plan import _read
from workers.row import SCHEMA

from .test_import import DARTS, NB101, Say, files
from .test_import import say as say  # a fixture

CELL = {
    "normal": [
        *(["sep_conv_3x3", 0], ["sep_conv_3x3", 1], ["none", 0], ["skip_connect", 1]),
        *(["max_pool_3x3", 2], ["dil_conv_5x5", 0], ["avg_pool_3x3", 1], ["sep_conv_5x5", 4]),
    ],
    "normal_concat": [2, 3, 4, 5],
    "reduce": [["skip_connect", 0]] * 8,
    "reduce_concat": [2, 3, 4, 5],
}


STRANGE = CELL | {"normal": [["sep_conv_7x7", 0]] * 8}


MODULE = {"MATRIX": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "OPS": ["input", "conv3x3-bn-relu", "output"]}


def summary(root: Path, where: str, *jobs: Any) -> Path:
    """A result file of the release."""
    file = root / where / "sweep_summary.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"job_summaries": list(jobs), "sweep_hours": 3}))
    return file


def config(root: Path, where: str, nas: Any) -> None:
    file = root / f"{where}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"MODEL": {"TYPE": "nas"}, "NAS": nas, "RNG_SEED": 1}))


def genotype(cell: dict[str, Any]) -> dict[str, Any]:
    return {"GENOTYPE": "custom", "CUSTOM_GENOTYPE": list(cell.values()), "WIDTH": 16, "DEPTH": 20}


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Both spaces, two cells each; `job_id` padded and as a number, errors as numbers and as lists."""
    root = tmp_path / "summaries"
    for seed, extra in ((1, 0.0), (2, 1.5)):
        summary(
            root,
            f"darts/cifar10/rot/{seed}",
            {"net": {"genotype": CELL}, "min_test_top1": 6.25 + extra, "job_id": 4},
            {"net": {"genotype": STRANGE}, "min_test_top1": [50, 8]},
        )
    summary(root, "darts/imagenet/cls/1", {"net": {"genotype": CELL}, "min_test_top1": 60})
    jobs = [{"job_id": "000907", "min_test_top1": 7.5}, {"job_id": 961, "min_test_top1": 9}]
    summary(root, "nas_bench/cifar10/cls/1", *jobs)
    return root


def test_the_releases_results(release: Path, say: Say, tmp_path: Path) -> None:
    config(tmp_path / "configs", "nas_bench/cifar10/cls/000907", MODULE)
    assert say("import", "unnas-archs", tmp_path / "configs", "--into", tmp_path / "archs.txt")[0] == 0
    code, said = say("import", "unnas", release, "--archs", tmp_path / "archs.txt", "--into", tmp_path / "run")
    assert code == 0, said
    assert "7 of 7 rows are new" in said
    assert "1 architecture is not valid in space nasbench101" in said
    df = analysis.load(tmp_path / "run")
    arch = DARTS.encode(normal=CELL["normal"], reduce=CELL["reduce"])
    ours = df[df["arch"] == arch].set_index(["dataset", "task", "seed"])
    assert ours["score_best"].to_dict() == {
        ("cifar10", "rot", 1): 93.75,
        ("cifar10", "rot", 2): 92.25,
        ("imagenet", "cls", 1): 40.0,
    }
    assert set(ours["arch_id"]) == {DARTS.arch_id(arch)}
    assert json.loads(ours["graph"].iloc[0]) == DARTS.graph(arch)
    assert ours.loc[("imagenet", "cls", 1), "dataset_id"] == "imagenet-1k-2012", "as a training of our own has it"
    strange = df[df["arch"].str.contains("sep_conv_7x7")]
    assert strange["score_best"].tolist() == [92.0, 92.0], "the last value of a list counts"
    assert strange["arch_id"].isna().all()
    module = NB101.encode(matrix=MODULE["MATRIX"], ops=MODULE["OPS"])
    assert set(df.loc[df["space"] == "nasbench101", "arch"]) == {module, "000961"}
    assert df["launch"].str.startswith("import-").all()
    assert set(df["recipe"]) == {"imported"}
    assert df["source"].str.match(r"unnas:(darts|nas_bench)/\w+/\w+/\d#[0-9a-f]{12}").all()
    assert str(tmp_path) not in df.to_csv(), "rows tell nothing about the machine they were imported on"


def test_the_same_verbs_read_imported_rows(release: Path, say: Say, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert say("import", "unnas", release, "--into", run)[0] == 0
    code, said = say("status", run)
    assert code == 0
    assert "7 of 7 trials done; imported" in said
    assert json.loads(say("status", run, "--json")[1])["done"] == 7
    assert "darts" in say("correlate", run)[1]
    assert "cifar10 rot imagenet cls" in say("correlate", run, "--across")[1]
    assert "7" in say("query", run, "select count(*) from rows where source like 'unnas:%'")[1]
    assert say("export", run, tmp_path / "rows.csv")[0] == 0
    assert say("report", run)[0] == 0
    page = (run / "report" / "report.html").read_text()
    assert "unnas:darts/cifar10/rot/1" in page
    assert "experiment-cifar10-imagenet" in page
    whole = pd.read_parquet(run / "rows")
    assert list(whole) == SCHEMA.names


def test_importing_again_changes_nothing_and_more_is_added(release: Path, say: Say, tmp_path: Path) -> None:
    run = tmp_path / "run"
    say("import", "unnas", release / "darts", "--into", run)
    before = files(run)
    assert "0 of 5 rows are new" in say("import", "unnas", release / "darts", "--into", run)[1]
    assert files(run) == before
    assert "2 of 7 rows are new" in say("import", "unnas", release, "--into", run)[1]
    assert files(run).items() > before.items()


@pytest.mark.parametrize(
    ("job", "wrong"),
    [
        ({"net": {"genotype": CELL}}, r"job_summaries[1] should be an object with 'min_test_top1'"),
        ({"net": {"genotype": CELL}, "min_test_top1": "6"}, "job_summaries[1].min_test_top1 should be an error"),
        ({"net": {"genotype": CELL}, "min_test_top1": float("nan")}, "from 0 to 100 percent, not nan"),
        ({"net": {"genotype": CELL}, "min_test_top1": []}, "from 0 to 100 percent, not []"),
        ({"net": {}, "min_test_top1": 6}, "job_summaries[1].net should be an object with 'genotype'"),
        ({"net": {"genotype": CELL | {"normal": 3}}, "min_test_top1": 6}, "job_summaries[1].net.genotype should hold"),
    ],
)
def test_a_malformed_result_file_is_refused_whole(
    release: Path, say: Say, tmp_path: Path, job: Any, wrong: str
) -> None:
    summary(release, "nas_bench/cifar10/rot/1", {"job_id": 907, "min_test_top1": 1})
    file = summary(release, "darts/imagenet/rot/1", {"net": {"genotype": CELL}, "min_test_top1": 1}, job)
    code, said = say("import", "unnas", release, "--into", tmp_path / "run")
    assert code == 2
    assert wrong in said
    assert str(file) in said
    assert not (tmp_path / "run").exists()


def test_result_files_elsewhere_than_the_release_keeps_them(say: Say, tmp_path: Path) -> None:
    summary(tmp_path, "x/cifar10/cls/1")
    code, said = say("import", "unnas", tmp_path, "--into", tmp_path / "run")
    assert (code, "<space>/<data>/<task>/<run>" in said) == (2, True)
    (tmp_path / "x/cifar10/cls/1/sweep_summary.json").write_text("{")
    assert say("import", "unnas", tmp_path, "--into", tmp_path / "run")[0] == 2
    assert "no sweep_summary.json" in say("import", "unnas", tmp_path / "run", "--into", tmp_path / "run")[1]


def test_configurations_become_a_list_that_a_study_reads(say: Say, tmp_path: Path) -> None:
    tree, into = tmp_path / "configs", tmp_path / "archs.txt"
    for task in ("cls", "rot"):
        config(tree, f"nas_bench/cifar10/{task}/000961", MODULE)
        config(tree, f"darts/cifar10/{task}/00004", genotype(CELL))
        config(tree, f"darts/cifar10/{task}/00007", genotype(CELL | {"normal": CELL["reduce"]}))
    code, said = say("import", "unnas-archs", tree, "--into", into)
    assert (code, "say which by --space" in said, into.exists()) == (2, True, False)
    assert "2 architectures" in say("import", "unnas-archs", tree, "--space", "darts", "--into", into)[1]
    archs = [DARTS.encode(normal=n, reduce=CELL["reduce"]) for n in (CELL["normal"], CELL["reduce"])]
    assert _read(into) == archs
    assert "00004" in into.read_text()
    assert "(unchanged)" in say("import", "unnas-archs", tree / "darts", "--into", into)[1]
    assert say("import", "unnas-archs", tree / "nas_bench", "--into", into)[0] == 2, "another list is not replaced"
    assert _read(into) == archs
    config(tree, "darts/cifar10/rot/00004", genotype(CELL | {"normal": CELL["reduce"]}))
    code, said = say("import", "unnas-archs", tree / "darts", "--into", tmp_path / "other.txt")
    assert (code, "00004 is" in said, (tmp_path / "other.txt").exists()) == (2, True, False)


OPS = ["none", "skip_connect", "sep_conv_3x3"]


LISTS: dict[str, Any] = {
    "nasbench101": {
        "op_codes": {"IN": "input", "C3": "conv3x3-bn-relu", "OUT": "output"},
        "archs": [{"id": "000961", "matrix": ["011", "001", "000"], "ops": ["IN", "C3", "OUT"]}],
    },
    "darts": {
        "ops": OPS,
        "normal_concat": [2, 3, 4, 5],
        "archs": [{"id": "00004", "normal": [[2, 0], [1, 1]] * 4, "reduce": [[0, 0], [1, 1]] * 4}],
    },
    "plain": [{"matrix": MODULE["MATRIX"], "ops": MODULE["OPS"]}],
}


def test_the_architectures_as_lists_in_json_become_the_same_list(say: Say, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    for name, content in {**LISTS, "other": {"centres": [[1, 2]]}}.items():
        (tmp_path / "lists" / f"{name}.json").write_text(json.dumps(content))
    config(tmp_path / "configs", "nas_bench/cifar10/cls/000961", MODULE)
    cells = {key: [(OPS[op], node) for op, node in LISTS["darts"]["archs"][0][key]] for key in ("normal", "reduce")}
    module = NB101.encode(matrix=MODULE["MATRIX"], ops=MODULE["OPS"])
    for given, archs in (
        (["lists/nasbench101.json"], {"000961": module}),
        (["lists/plain.json"], {"0": module}),
        (["lists/darts.json"], {"00004": DARTS.encode(**cells)}),
        (["lists", "--space", "darts"], {"00004": DARTS.encode(**cells)}),
        (["configs"], {"000961": module}),
        (["configs/nas_bench/cifar10/cls/000961.yaml"], {"000961": module}),
    ):
        code, said = say("import", "unnas-archs", tmp_path / given[0], "--into", tmp_path / "archs.txt", *given[1:])
        assert code == 0, said
        assert (tmp_path / "archs.txt").read_text() == "".join(f"{arch}  # {name}\n" for name, arch in archs.items())
        (tmp_path / "archs.txt").unlink()


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"archs": 3}, "archs should be a list"),
        ({"archs": [3]}, "archs[0], 3: it has neither"),
        ({"archs": [{"matrix": ["011", "001", "000"], "ops": ["IN", "C9", "OUT"]}]}, "no operation 'C9'"),
        ({"archs": [{"matrix": ["01x", "001", "000"], "ops": ["IN", "C3", "OUT"]}]}, "archs[0]"),
        ({"archs": [{"normal": [[-1, 0]] * 8, "reduce": [[1, 0]] * 8}], "ops": OPS}, "archs[0]"),
        ({"archs": [{"normal": [[1, 0]] * 8, "reduce": [[1, 0]] * 8}], "normal_concat": [2]}, "do not concatenate"),
    ],
)
def test_a_malformed_list_in_json_is_named(say: Say, tmp_path: Path, change: Any, wrong: str) -> None:
    (tmp_path / "list.json").write_text(json.dumps(LISTS["nasbench101"] | change))
    code, said = say("import", "unnas-archs", tmp_path / "list.json", "--into", tmp_path / "archs.txt")
    assert (code, wrong in said, "list.json" in said) == (2, True, True), said
    assert not (tmp_path / "archs.txt").exists()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "a configuration should be an object with 'NAS'"),
        ("NAS: {GENOTYPE: nas}", "'CUSTOM_GENOTYPE'"),
        ("NAS: {MATRIX: [[0, 1], [0, 0]], OPS: [input, conv, output]}", "no operation 'conv'"),
        ("NAS: {MATRIX: 3, OPS: [input, output]}", "not a valid module"),
        ("NAS: {CUSTOM_GENOTYPE: [[[none, 0]], [2], [[none, 0]], [2]]}", "concatenates [2]"),
    ],
)
def test_a_malformed_configuration_is_named(say: Say, tmp_path: Path, text: str, wrong: str) -> None:
    config(tmp_path, "darts/cifar10/cls/00004", genotype(CELL))
    (tmp_path / "darts/cifar10/cls/00007.yaml").write_text(text)
    code, said = say("import", "unnas-archs", tmp_path, "--into", tmp_path / "archs.txt")
    assert code == 2
    assert wrong in said
    assert "00007.yaml" in said
    assert not (tmp_path / "archs.txt").exists()


def test_release_files_without_a_result_are_refused(say: Say, tmp_path: Path) -> None:
    summary(tmp_path, "darts/cifar10/cls/1")
    code, said = say("import", "unnas", tmp_path, "--into", tmp_path / "run")
    assert (code, "hold no result" in said, (tmp_path / "run").exists()) == (2, True, False)


@pytest.mark.data
def test_the_published_architectures_as_the_release_would_list_and_name_them(
    data: Path, say: Say, tmp_path: Path
) -> None:
    """The 500 + 500, written as the release writes them and read back, sizes and all."""
    if not (data / "unnas" / "darts_500.json").is_file():
        pytest.skip(f"no unnas/ in {data}")
    darts = json.loads((data / "unnas" / "darts_500.json").read_text())
    nb101 = json.loads((data / "unnas" / "nasbench101_500.json").read_text())
    jobs, published = [], {}
    for a in darts["archs"]:
        cell: dict[str, Any] = {k: [[darts["ops"][op], node] for op, node in a[k]] for k in ("normal", "reduce")}
        cell |= {k: darts[k] for k in ("normal_concat", "reduce_concat")}
        published[DARTS.encode(normal=cell["normal"], reduce=cell["reduce"])] = (a["params"], a["macs"])
        jobs.append({"net": {"genotype": cell}, "min_test_top1": a["params"][0] / 1e6})
    summary(tmp_path / "summaries", "darts/cifar10/cls/1", *jobs)
    summary(tmp_path / "summaries", "darts/imagenet/cls/1", *jobs)
    for a in nb101["archs"]:
        matrix = [[int(bit) for bit in line] for line in a["matrix"]]
        ops = [nb101["op_codes"][op] for op in a["ops"]]
        published[NB101.encode(matrix=matrix, ops=ops)] = (a["params"], a["macs"])
        config(tmp_path / "configs", f"nas_bench/cifar10/cls/{a['id']}", {"MATRIX": matrix, "OPS": ops})
    jobs = [{"job_id": int(a["id"]), "min_test_top1": a["params"][0] / 1e6} for a in nb101["archs"]]
    summary(tmp_path / "summaries", "nas_bench/cifar10/cls/1", *jobs)
    summary(tmp_path / "summaries", "nas_bench/imagenet/cls/1", *jobs)
    archs, run = tmp_path / "archs.txt", tmp_path / "run"
    assert "500 architectures" in say("import", "unnas-archs", tmp_path / "configs", "--into", archs)[1]
    for name in ("nasbench101", "darts"):
        words = ("import", "unnas-archs", data / "unnas" / f"{name}_500.json", "--into", tmp_path / f"{name}.txt")
        assert "500 architectures" in say(*words)[1]
    assert (tmp_path / "nasbench101.txt").read_bytes() == archs.read_bytes()
    assert _read(tmp_path / "darts.txt") == list(published)[:500]
    code, said = say("import", "unnas", tmp_path / "summaries", "--archs", archs, "--into", run)
    assert (code, "2,000 of 2,000 rows are new" in said, "kept as given" in said) == (0, True, False), said
    df = analysis.load(run)
    assert len(published) == 1000
    for k, dataset in enumerate(("cifar10", "imagenet")):
        found = df[df["dataset"] == dataset].set_index("arch")
        assert {a: (p[k], m[k]) for a, (p, m) in published.items()} == dict(
            zip(found.index, zip(found["params"], found["macs"], strict=True), strict=True)
        )
