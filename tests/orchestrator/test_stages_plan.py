"""Studies in two stages: what stands in the plan, and mistakes in the file."""

from pathlib import Path

import pytest

import spaces
from orchestrator.store.run_folder import RunStore
from orchestrator.study import frozen
from orchestrator.study import schema as studies
from orchestrator.study.plan import order_of_work, plan

from .staged import CELLS, RETRAIN, SEARCH, study
from .staged import undisturbed as undisturbed  # a fixture


def test_what_is_found_replaces_its_place_in_the_plan(tmp_path: Path) -> None:
    chosen = study(tmp_path)
    before = plan(chosen).table.to_pylist()
    searching, waits = before[:2], before[2:]
    assert [(r["arch"], r["task"], r["graph"], r["after"]) for r in searching] == [
        ("*", "cls", None, None),
        ("*", "rot", None, None),
    ]
    assert all(r["params"] > 0 and r["macs"] > 0 for r in before)
    first, second = (r["trial_id"] for r in searching)
    assert [(r["after"], r["seed"]) for r in waits] == [(first, 1), (first, 2), (second, 1), (second, 2)]
    assert {r["arch"] for r in waits} == {f"@{first}", f"@{second}"}
    assert len({r["trial_id"] for r in before}) == 6
    assert all(r["trial_id"].startswith("@") for r in waits)

    by_hand = RETRAIN.replace('found = "search"', f'list = ["{CELLS[0]}"]')
    listed = plan(study(tmp_path, by_hand)).table.to_pylist()
    between = plan(chosen, {second: CELLS[0]}).table.to_pylist()
    assert between == [*searching, *listed, *waits[:2]]
    assert plan(chosen, {second: CELLS[0]}).table.equals(plan(chosen, {second: CELLS[0], "0" * 16: CELLS[1]}).table)


def test_a_cell_that_is_found_twice_or_listed_too_is_trained_once(tmp_path: Path) -> None:
    listed = RETRAIN.replace('found = "search"', f'list = ["{CELLS[1]}"]')
    chosen = study(tmp_path, listed, SEARCH, RETRAIN)
    ids = [r["trial_id"] for r in plan(chosen).table.to_pylist() if r["arch"] == "*"]
    for cells, trainings in [(CELLS[:2], 4), ((CELLS[0], CELLS[0]), 4), ((CELLS[1], CELLS[1]), 2)]:
        table = plan(chosen, dict(zip(ids, cells, strict=True))).table.to_pylist()
        assert len({r["trial_id"] for r in table}) == len(table) == 2 + trainings
        assert {r["arch"] for r in table} == {"*", CELLS[1], *cells}


def test_one_sweep_takes_what_several_sweeps_and_runs_find(tmp_path: Path) -> None:
    """The same trials as sweep by sweep; a cell that two of them find is planned once."""
    other = SEARCH.replace('"search"', '"other"').replace('["cls", "rot"]', '["rand"]')
    both = study(tmp_path / "both", SEARCH, other, RETRAIN.replace('"search"', '["search", "other"]'))
    each = study(tmp_path / "each", SEARCH, other, RETRAIN, RETRAIN.replace('"search"', '"other"'))
    ids = [row["trial_id"] for row in plan(both).table.to_pylist() if row["arch"] == "*"]
    assert len(ids) == 3
    for found in ({}, {ids[0]: CELLS[0]}, {ids[0]: CELLS[0], ids[1]: CELLS[1], ids[2]: CELLS[0]}):
        assert plan(both, found).table.equals(plan(each, found).table)
    frozen.freeze(both, RunStore(both.path), plan(both))
    assert studies.load(both.path).sweeps[2].architectures.found == ("search", "other")
    assert not frozen.differs(studies.load(both.path), RunStore(both.path))


def test_searches_that_others_wait_for_come_first(tmp_path: Path) -> None:
    """Whatever their seeds are; other searches are in the order of all trials."""
    late = SEARCH.replace('"search"\n', '"search"\nseeds = [7, 8]\n')
    listed = RETRAIN.replace('found = "search"', "sample = 12")

    def order(*sweeps: str) -> list[str]:
        chains = [sweep.replace("nasbench201", "chain") for sweep in sweeps]
        return [row["arch"][0] for row in order_of_work(plan(study(tmp_path, *chains)).table)]

    assert order(listed, late, RETRAIN)[:4] == ["*"] * 4
    assert "*" not in order(listed, late, RETRAIN)[4:]
    assert order(listed, late)[0] != "*"


def test_published_architectures_are_planned_by_name(tmp_path: Path) -> None:
    named = RETRAIN.replace("nasbench201", "darts").replace('found = "search"', 'named = ["darts_v2", "p_darts"]')
    archs = plan(study(tmp_path, named)).table["arch"].to_pylist()
    assert list(dict.fromkeys(archs)) == [spaces.published("darts")[name] for name in ("darts_v2", "p_darts")]
    for wrong, says in [
        (named.replace("p_darts", "q_darts"), "no published darts cell 'q_darts'; have darts_v1, darts_v2"),
        (named.replace('"darts"', '"nasbench201"'), "space 'nasbench201' has no architectures with names.*: darts"),
    ]:
        with pytest.raises(LookupError, match=says):
            plan(study(tmp_path, wrong))


@pytest.mark.parametrize(
    ("sweeps", "says"),
    [
        (
            (SEARCH + "architectures = { sample = 3 }",),
            r"sweeps\[0\]: recipe 'random_search/params' searches .*, so expected is no `archi.*sample",
        ),
        ((RETRAIN.replace('architectures = { found = "search" }', ""),), r"sweeps\[0\]: recipe 'demo' needs `archi"),
        (
            (SEARCH.replace('"random_search/params"', '["random_search/params", "demo"]').partition("override")[0],),
            "'random_search/params' searches for an architecture, and 'demo' needs `architectures`; give each a sweep",
        ),
        ((SEARCH, RETRAIN.replace('"search"', '"serach"')), r"sweeps\[1\]\.archi.*no sweep.*'serach'.*: search\. "),
        ((RETRAIN,), "sweeps that search and have a name: none"),
        ((SEARCH, SEARCH, RETRAIN), "two sweeps have the name 'search'"),
        ((RETRAIN.replace("[[sweeps]]", '[[sweeps]]\nname = "search"'),), "sweep 'search' finds nothing: its recipe"),
        ((SEARCH, RETRAIN.replace('"search"', '["search", "serach"]')), r"no sweep has the name 'serach'"),
        ((SEARCH, RETRAIN.replace('"search"', '["search", "search"]')), r"\['search', 'search'\] names one twice"),
        ((SEARCH, RETRAIN.replace('"search"', "[]")), r"architectures\.found: "),
        ((SEARCH, RETRAIN.replace("nasbench201", "darts")), "searches the space nasbench201, and this one .* darts"),
        ((SEARCH.replace('"search"', '"a/b"'),), r"sweeps\[0\]\.name: "),
        ((RETRAIN.replace('"search"', '"runs/stages"'),), "the folder of this study itself"),
        (
            (RETRAIN.replace('"search"', '"s3:x/y"'),),
            r"\n  sweeps\[0\]\.architectures\.found: s3:x/y is not a valid path or URL",
        ),
        ((RETRAIN.replace('"search"', '""'),), r"architectures\.found\[0\]: "),
        ((RETRAIN.replace('"search" }', '"search", sample = 3 }'),), "given: sample, found"),
    ],
)
def test_a_mistake_in_the_file_says_what_is_expected(sweeps: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        studies.parse('name = "stages"\n' + "".join(sweeps), "study.toml")
