"""Studies of lookups: planned against a table, run from it in moments, by the command line."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import analysis
import spaces
from orchestrator import runner
from orchestrator.cli import main as module
from orchestrator.importing import rows as importing
from orchestrator.study import schema as studies
from orchestrator.study.frozen import differs, freeze, open_run
from orchestrator.study.plan import plan

Say = Callable[..., tuple[int, str]]
ARCHS = ["c3", "c5", "mp", "c3_c5", "c5_mp", "id_c3_mp"]

STUDY = """
name = "rehearsal"
path = "{folder}/run"
[[sweeps]]
space = "chain"
architectures = {architectures}
dataset = "cifar10"
tasks = ["cls"]
seeds = {seeds}
recipe = {recipe}
override = {{ table = "{folder}/table"{more} }}
[execution]
engine = "inline"
"""


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["archsweep", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            module.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out + err

    return run


def imported(folder: Path, seeds: tuple[int, ...] = (1,)) -> pd.DataFrame:
    """A run with a short and a long training of a few chains."""
    lines = [
        (arch, name, seed, 10 * k + (name == "long") + seed / 1000)
        for k, arch in enumerate(ARCHS)
        for name in ("short", "long")
        for seed in seeds
    ]
    table = pd.DataFrame(lines, columns=["arch", "recipe", "seed", "accuracy"])
    table.to_parquet(folder / "table.parquet")
    names = {"space": "chain", "arch": "arch", "dataset": "cifar10", "task": "cls", "value": "accuracy"}
    rows = importing.table(folder / "table.parquet", 1.0, names | {"seed": "seed", "recipe": "recipe"})
    importing.add(rows, str(folder / "table"))
    return table


def written(
    folder: Path,
    architectures: str = json.dumps(ARCHS),
    recipe: str = '["lookup/short", "lookup/long"]',
    seeds: str = "[1]",
    more: str = "",
) -> Path:
    file = folder / "study.toml"
    if architectures.startswith("["):
        architectures = f"{{ list = {architectures} }}"
    file.write_text(STUDY.format(folder=folder, architectures=architectures, recipe=recipe, seeds=seeds, more=more))
    return file


def test_a_study_is_rehearsed_from_a_table_by_the_command_line(tmp_path: Path, say: Say) -> None:
    """Nothing is trained, no image is opened, and every command reads the result."""
    table = imported(tmp_path)
    file = written(tmp_path)
    code, said = say("plan", file)
    assert code == 0
    assert "12 trials, 0 done, 12 left" in said
    assert "of one cpu" in said
    assert "checkpoints" not in said
    code, said = say("run", file)
    assert code == 0, said
    assert "12 of 12 trials done" in said
    assert "chance" not in said
    df = analysis.load(tmp_path / "run")
    for arch, name, _, value in table.itertuples(index=False):
        (found,) = df.loc[(df["arch"] == arch) & (df["recipe"] == f"lookup/{name}"), "score_final"]
        assert found == value
    assert set(df["metric"]) == {"accuracy"}
    assert set(df["method"]) == {"lookup"}
    assert df["source"].str.startswith("lookup:").all()
    assert say("run", file)[1].count("(0 trained now)") == 1
    for command in (("status",), ("correlate", "--json"), ("query", "select count(*) from rows")):
        assert say(command[0], tmp_path / "run", *command[1:])[0] == 0
    pairs = analysis.correlate(df)
    assert pairs["rho"].tolist() == [1.0]
    assert say("export", tmp_path / "run", tmp_path / "out.csv")[0] == 0


def test_trainings_are_taken_from_a_table_by_an_option(tmp_path: Path, say: Say) -> None:
    """The trials are those of a study that looks up; searches and scores of the study stay."""
    imported(tmp_path)
    file = written(tmp_path, recipe='"lookup/short"', more=", mean = true")
    looked_up = set(plan(studies.load(str(file))).table["trial_id"].to_pylist())
    trains = re.sub(r"override = .*\n", "", file.read_text()).replace("lookup/short", "demo")
    score = trains[trains.index("[[sweeps]]") : trains.index("[execution]")].replace('"demo"', '"zero_cost/params"')
    file.write_text(trains + score)
    options = "--lookup", tmp_path / "table", "--measured", "short"
    code, said = say("run", file, *options)
    assert code == 0, said
    df = analysis.load(tmp_path / "run")
    assert set(df.loc[df["method"] == "lookup", "trial_id"]) == looked_up
    assert set(df["method"]) == {"lookup", "score"}
    code, said = say("plan", file, "--measured", "short")
    assert (code, "belongs to --lookup" in said) == (2, True), said
    code, said = say("plan", file, "--lookup", tmp_path / "table")
    assert (code, "several recipes" in said) == (2, True), said
    file.write_text(trains.replace('"demo"', '"zero_cost/params"'))
    code, said = say("plan", file, *options)
    assert (code, "no sweep of this study trains" in said) == (2, True), said


def test_the_place_of_the_table_changes_no_trial(tmp_path: Path) -> None:
    imported(tmp_path)
    first = studies.load(str(written(tmp_path)))
    ids = set(plan(first).table["trial_id"].to_pylist())
    (tmp_path / "table").rename(tmp_path / "moved")
    text = (tmp_path / "study.toml").read_text().replace("/table", "/moved")
    moved = studies.parse(text, "moved")
    assert set(plan(moved).table["trial_id"].to_pylist()) == ids
    freeze(moved, open_run(moved), plan(moved))
    assert not differs(first, open_run(first))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipe": '"lookup"'}, "several recipes .*'long', 'short'; name one, as in lookup/long"),
        ({"recipe": '"lookup/e200"'}, "no rows of recipe 'e200'"),
        ({"seeds": "[1, 2]"}, "has no short of seed 2; its seeds are 1.*mean = true"),
        ({"architectures": "{ all = true }"}, "no short of 280 of 340 architectures on cifar10, such as .*leave out"),
        ({"architectures": '["c5_c5"]'}, "no short of 1 of 1 architectures on cifar10, such as c5_c5$"),
        ({"more": ", epochs = 3"}, r"override of recipe 'lookup/short': a recipe has no 'epochs'; it has .*measured"),
        ({"more": ", mean = true", "seeds": "[1, 2]"}, "mean = true gives the same number for every seed"),
    ],
)
def test_what_the_table_lacks_is_said_before_anything_runs(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    imported(tmp_path)
    with pytest.raises((LookupError, ValueError), match=says):
        plan(studies.load(str(written(tmp_path, **change))))


def test_architectures_that_the_table_lacks_may_be_left_out(tmp_path: Path, say: Say) -> None:
    imported(tmp_path)
    file = written(tmp_path, "{ all = true }", more=', missing = "leave out"')
    found = plan(studies.load(str(file)))
    # Others are isomorphic to one of the table, such as id_c3 to c3.
    same = {spaces.get("chain").arch_id(arch) for arch in ARCHS}
    assert {spaces.get("chain").arch_id(arch) for arch in found.table["arch"].to_pylist()} == same
    assert found.table.num_rows < 2 * 340
    code, said = say("plan", file)
    assert code == 0
    assert "architectures on cifar10 cls, which are left out" in " ".join(said.split())


def test_scores_and_lookups_of_one_study_are_compared(tmp_path: Path, say: Say) -> None:
    """A proxy beside published accuracies, without the dataset: the first study of anyone who follows the field."""
    imported(tmp_path)
    file = written(tmp_path, recipe='"lookup/long"')
    block = file.read_text().split("[[sweeps]]")[1].split("[execution]")[0]
    block = block.replace('"lookup/long"', '["zero_cost/params", "zero_cost/flops"]')
    file.write_text(file.read_text() + "[[sweeps]]" + "\n".join(x for x in block.splitlines() if "table" not in x))
    code, said = say("run", file)
    assert code == 0, said
    assert "zero_cost/params" in said
    pairs = analysis.correlate(analysis.load(tmp_path / "run"))
    assert len(pairs) == 3
    by_name = pairs.set_index(["x_recipe", "y_recipe"])["rho"]
    assert by_name["zero_cost/flops", "zero_cost/params"] > 0.5


def test_a_dataset_that_is_known_by_its_files_alone_is_not_needed(tmp_path: Path) -> None:
    """Published results on ImageNet, on a laptop without it."""
    same = {"space": "chain", "dataset": "imagenet", "task": "cls", "recipe": "imported"}
    pd.DataFrame({"arch": ARCHS, "score_best": range(len(ARCHS))}).assign(**same).to_parquet(tmp_path / "table.parquet")
    text = written(tmp_path, recipe='"lookup"').read_text().replace("cifar10", "imagenet")
    found = runner.run(studies.parse(text.replace('/table"', '/table.parquet"'), "x"))
    assert (found.done, found.left) == (len(ARCHS), 0)
    assert set(analysis.load(tmp_path / "run")["metric"]) == {"score"}, "its unit is not known"
