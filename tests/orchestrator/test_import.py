"""Other people's results become rows: marked, whole or not at all, once; the release's architectures become a list."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import analysis
import spaces
from orchestrator.cli import main as module
from orchestrator.store import lease
from orchestrator.store.run_folder import RunStore
from orchestrator.study.plan import _read
from workers.row import SCHEMA

Say = Callable[..., tuple[int, str]]
DARTS, NB101 = spaces.get("darts"), spaces.get("nasbench101")
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
CSV = "net,on,acc,run\n000907,c10,90.5,1\n000907,c10,91.5,2\nnan,c10,1e1,1\nnan,c10,70.1,2\n"
MAPPED = ("--space", "mine", "--arch", "net", "--dataset", "on", "--task", "cls", "--value", "acc")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["archsweep", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            module.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((out + err).split())

    return run


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


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


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


def _as(ending: str, folder: Path) -> Path:
    """The table of `CSV` in a file of that format."""
    file = folder / f"table{ending}"
    lines = [line.split(",") for line in CSV.splitlines()]
    records = [{"net": n, "on": o, "acc": float(a), "run": int(r)} for n, o, a, r in lines[1:]]
    if ending == ".csv":
        file.write_text(CSV)
    elif ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), file)
    else:
        file.write_text(json.dumps(records) if ending == ".json" else "\n".join(map(json.dumps, records)))
    return file


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".json", ".jsonl"])
def test_tables_of_every_format_give_the_same_rows(ending: str, say: Say, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, said = say("import", "table", _as(ending, tmp_path), "--into", run, *MAPPED, "--seed", "run")
    assert code == 0, said
    df = analysis.load(run).sort_values(["arch", "seed"])
    assert df["arch"].tolist() == ["000907", "000907", "nan", "nan"], "names stay as they are written"
    assert df["score_best"].tolist() == [90.5, 91.5, 10.0, 70.1]
    assert set(df["metric"]) == {"acc"}
    assert set(df["source"].str.partition("#")[0]) == {f"table:table{ending}"}


def test_a_table_without_seeds_with_a_scale_and_two_recipes(say: Say, tmp_path: Path) -> None:
    run, file = tmp_path / "run", _as(".csv", tmp_path)
    assert say("import", "table", file, "--into", run, *MAPPED, "--recipe", "e12", "--scale", -1)[0] == 0
    assert say("import", "table", file, "--into", run, *MAPPED, "--recipe", "e200")[0] == 0
    df = analysis.load(run).set_index(["recipe", "arch"])
    assert df.loc[("e12", "000907"), ["score_best", "repeats"]].tolist() == [-91.0, 2]
    assert df.loc[("e200", "000907"), "score_best"] == 91.0
    assert len(analysis.correlate(df.reset_index())) == 1


def test_values_of_text_keep_every_digit(say: Say, tmp_path: Path) -> None:
    """Fast readers of numbers get some of these wrong in the last place."""
    values = [1 / 3, 0.1 + 0.2, 5e-324, 93.88 - 1e-14, 123456789.12345679, 2.2250738585072014e-308]
    file = tmp_path / "t.csv"
    file.write_text("net,acc\n" + "".join(f"n{k},{v!r}\n" for k, v in enumerate(values)))
    columns = ("--space", "s", "--arch", "net", "--dataset", "d", "--task", "cls", "--value", "acc")
    assert say("import", "table", file, "--into", tmp_path / "run", *columns)[0] == 0
    assert analysis.load(tmp_path / "run").sort_values("arch")["score_best"].tolist() == values


def test_architectures_of_a_space_that_we_know_are_described(say: Say, tmp_path: Path) -> None:
    arch, dead_end = "c3.0_out.1", "c3.0_c1.0_out.1"  # the second prunes to the first
    file = tmp_path / "t.csv"
    file.write_text(f"net,acc\n{arch},90\n{dead_end},92\nabc,80\n")
    columns = ("--space", "nasbench101", "--arch", "net", "--dataset", "cifar10", "--task", "cls", "--value", "acc")
    code, said = say("import", "table", file, "--into", tmp_path / "run", *columns)
    assert (code, "1 architecture is not valid in space nasbench101" in said) == (0, True)
    df = analysis.load(tmp_path / "run").set_index("arch")
    assert sorted(df.index) == ["abc", arch]
    assert df.loc[arch, ["score_best", "repeats", "arch_id"]].tolist() == [91.0, 2, NB101.arch_id(arch)]
    trunk = NB101.cost(arch, in_channels=3, width=128, depth=3, stem="cifar", size=32)
    assert df.loc[arch, "params"] == trunk.params + 10 * trunk.channels + 10
    assert df.loc["abc", ["arch_id", "params", "graph"]].isna().all()


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("t.csv", "net,on,acc\na,c10,90\nb,c10\n", "line 3 has 2 fields, the header 3"),
        ("t.csv", 'net,on,acc\n"a\nb",c10,90\nb,c10,high\n', "first 'high' on line 4"),
        ("t.csv", "net,on,acc\na,c10,inf\n", "first 'inf' on line 2"),
        ("t.csv", "net,on,acc\na,c10,\n", "first '' on line 2"),
        ("t.csv", 'net,on,acc\n"a,c10,1\n', "line 2"),
        ("t.csv", "", "line 1 should name the columns"),
        ("t.csv", "net,on,score\na,c10,1\n", "no column 'acc' of values; have 'net', 'on', 'score'"),
        ("t.csv", "net,on,acc,acc\na,c10,1,2\n", "2 columns named 'acc'"),
        ("t.json", '[{"net": "a", "on": "c10", "acc": 1}, {"net": "b", "acc": 1}]', "first on record 1"),
        ("t.json", '[{"net": "a", "on": "c10", "acc": 1}, 3]', "record 1 is 3"),
        ("t.json", '{"net": ["a"]}', "a table is a list of records"),
        ("t.json", "[" * 100_000, "not valid JSON"),
        ("t.jsonl", '{"net": "a", "on": "c10", "acc": 1}\n{"net"\n', "line 2 is not valid JSON"),
        ("t.parquet", "PAR1", "not a valid Parquet file"),
        ("t.csv", "net,on,acc\n", "holds no line of results"),
        ("t.jsonl", '{"net": "a", "on": "c10", "acc": 1' + "0" * 400 + "}", "first an integer of"),
        ("t.csv", "Net,on,acc\na,c10,1\n", "no column 'net' of architectures; have 'Net', 'on', 'acc'"),
        ("t.xlsx", "", "known are .csv, .parquet, .json, .jsonl"),
    ],
)
def test_a_malformed_table_is_refused_whole(say: Say, tmp_path: Path, name: str, text: str, wrong: str) -> None:
    (tmp_path / name).write_text(text)
    code, said = say("import", "table", tmp_path / name, "--into", tmp_path / "run", *MAPPED)
    assert code == 2
    assert wrong in said
    assert name in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x1c", "\x0b"])
def test_json_lines_end_at_line_feeds_alone(character: str, say: Say, tmp_path: Path) -> None:
    """These end a line for `str.splitlines`, and stand in JSON strings as they are (the last two as escapes)."""
    file = tmp_path / "t.jsonl"
    records = [{"net": f"a{character}b", "on": "c10", "acc": 1, "note": character}, {"net": "c", "on": "c10", "acc": 2}]
    file.write_text("\r\n".join(json.dumps(r, ensure_ascii=False) for r in records) + "\n\n", newline="")
    code, said = say("import", "table", file, "--into", tmp_path / "run", *MAPPED)
    assert code == 0, said
    assert sorted(analysis.load(tmp_path / "run")["arch"]) == [f"a{character}b", "c"]


@pytest.mark.parametrize("ending", [".json", ".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("lines", [1, 2])
def test_what_is_exported_is_imported_again_with_every_digit(lines: int, ending: str, say: Say, tmp_path: Path) -> None:
    values = [0.12345678901234567, 1.2345e-12][:lines]
    file = tmp_path / "t.csv"
    file.write_text("net,on,acc\n" + "".join(f"n{k},c10,{v!r}\n" for k, v in enumerate(values)))
    assert say("import", "table", file, "--into", tmp_path / "run", *MAPPED)[0] == 0
    assert say("export", tmp_path / "run", tmp_path / f"rows{ending}")[0] == 0
    own = [word for c in ("space", "arch", "dataset", "task", "seed") for word in (f"--{c}", c)]
    words = ("import", "table", tmp_path / f"rows{ending}", "--into", tmp_path / "again", *own, "--value", "score_best")
    code, said = say(*words)
    assert code == 0, said
    assert "constants" not in said
    assert analysis.load(tmp_path / "again").sort_values("arch")["score_best"].tolist() == values


def test_parquet_text_that_was_stored_as_bytes_is_text(say: Say, tmp_path: Path) -> None:
    arch = "c3.0_out.1"
    table = {"net": [arch.encode()], "on": [b"cifar10"], "acc": [b"90.5"], "kind": [b"nasbench101"]}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    words = ("import", "table", tmp_path / "t.parquet", "--into", tmp_path / "run", *MAPPED)
    assert say(*words, "--space", "kind")[0] == 0
    (row,) = analysis.load(tmp_path / "run").to_dict("records")
    assert [row[c] for c in ("space", "arch", "dataset", "score_best")] == ["nasbench101", arch, "cifar10", 90.5]
    assert row["arch_id"] == NB101.arch_id(arch)
    pq.write_table(pa.table(table | {"net": [b"\xff"]}), tmp_path / "t.parquet")
    code, said = say(*words)
    assert (code, "record 0: 'net' is b'\\xff'" in said) == (2, True)


def test_what_was_taken_as_a_constant_is_told(say: Say, tmp_path: Path) -> None:
    file = _as(".csv", tmp_path)
    code, said = say("import", "table", file, "--into", tmp_path / "run", *MAPPED, "--recipe", "Run")
    assert code == 0
    assert "used as constants, since no column has that name: --space 'mine', --task 'cls'" in said
    assert "--recipe 'Run' (there is a column 'run')" in said


def test_names_that_look_alike_are_told_and_kept_apart(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("net,on,acc\na,c10,1\na,c10 ,2\na\u200b,c10,3\nb,c10,4\n", encoding="utf-8")
    code, said = say("import", "table", file, "--into", tmp_path / "run", *MAPPED)
    assert code == 0
    assert "two names of one dataset look the same and are kept apart: 'c10' and 'c10 '" in said
    assert r"two names of one arch look the same and are kept apart: 'a' and 'a\u200b'" in said
    assert said.count("look the same") == 2
    assert len(analysis.load(tmp_path / "run")) == 4


def test_a_long_import_says_what_it_is_at(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("net,on,acc\n" + "".join(f"n{k},c10,{k}\n" for k in range(1000)))
    assert (
        "1,000 rows are read; describing 1,000" in say("import", "table", file, "--into", tmp_path / "run", *MAPPED)[1]
    )


def test_release_files_without_a_result_are_refused(say: Say, tmp_path: Path) -> None:
    summary(tmp_path, "darts/cifar10/cls/1")
    code, said = say("import", "unnas", tmp_path, "--into", tmp_path / "run")
    assert (code, "hold no result" in said, (tmp_path / "run").exists()) == (2, True, False)


def test_what_contradicts_rows_that_are_there_is_refused(say: Say, tmp_path: Path) -> None:
    run, file = tmp_path / "run", _as(".csv", tmp_path)
    assert say("import", "table", file, "--into", run, *MAPPED, "--seed", "run")[0] == 0
    before = files(run)
    file.write_text(CSV.replace("70.1", "70.2") + "new,c10,50,1\n")
    code, said = say("import", "table", file, "--into", run, *MAPPED, "--seed", "run")
    assert (code, "'nan' on 'c10', 'cls', seed 2 is 70.2, and 70.1" in said) == (2, True)
    code, said = say("import", "table", file, "--into", run, *MAPPED, "--metric", "top5")
    assert (code, "would hold metrics" in said) == (2, True)
    assert files(run) == before


def test_folders_that_are_no_place_for_imported_rows(say: Say, tmp_path: Path) -> None:
    file = _as(".csv", tmp_path)
    for name in ("plan.parquet", "study.toml", "notes.txt"):
        run = tmp_path / name.replace(".", "_")
        run.mkdir()
        (run / name).write_text("x")
        assert say("import", "table", file, "--into", run, *MAPPED)[0] == 2
        assert list(files(run)) == [name]
    assert say("import", "table", file, "--into", file, *MAPPED)[0] == 2
    held = tmp_path / "held"
    lease.acquire(RunStore(str(held)), "other")
    assert say("import", "table", file, "--into", held, *MAPPED)[0] == 3
    assert list(files(held)) == [lease.NAME]


def test_options_of_another_format_and_missing_ones_are_told(say: Say, tmp_path: Path) -> None:
    file = _as(".csv", tmp_path)
    code, said = say("import", "table", file, "--into", tmp_path / "run", "--arch", "net")
    assert (code, "--space, --dataset, --task, --value" in said) == (2, True)
    assert say("import", "unnas", tmp_path, "--into", tmp_path / "run", "--task", "cls")[0] == 2
    assert say("import", "table", file, "--into", tmp_path / "run", *MAPPED, "--scale", 0)[0] == 2
    assert say("import", "table", tmp_path / "none.csv", "--into", tmp_path / "run", *MAPPED)[0] == 2
    assert say("import", "word", file, "--into", tmp_path / "run")[0] == 2
    assert not (tmp_path / "run").exists()


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
