"""Other people's tables become rows: marked, all or none of them, and only once."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import analysis
import spaces
from orchestrator.store import lease
from orchestrator.store.run_folder import RunStore

Say = Callable[..., tuple[int, str]]


DARTS, NB101 = spaces.get("darts"), spaces.get("nasbench101")


CSV = "net,on,acc,run\n000907,c10,90.5,1\n000907,c10,91.5,2\nnan,c10,1e1,1\nnan,c10,70.1,2\n"


MAPPED = ("--space", "mine", "--arch", "net", "--dataset", "on", "--task", "cls", "--value", "acc")


@pytest.fixture
def say(archsweep: Callable[..., tuple[int, str, str]]) -> Say:
    """Exit code, and all that was printed, as one line."""

    def run(*words: object) -> tuple[int, str]:
        code, out, err = archsweep(*words, columns=200)
        return code, " ".join((out + err).split())

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


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
