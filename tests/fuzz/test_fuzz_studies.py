# ruff: noqa: PT017  (an example that is accepted is as right as one that is refused)
"""Studies of any content: a study, or one short ValueError; never a crash and never a wait."""

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spaces
import workers
from orchestrator.store import lease
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study import plan
from orchestrator.study import schema as studies

GOOD: dict[str, Any] = {
    "name": "good",
    "path": "runs/good",
    "data_root": "data",
    "sweeps": [
        {
            "space": "chain",
            "architectures": {"sample": 3, "seed": 0, "min_params": 0},
            "dataset": {"name": "photos", "path": "data"},
            "tasks": ["cls", "rot"],
            "seeds": [1, 2],
            "recipe": "demo",
            "override": {"epochs": 2, "lr": 0.1, "nesterov": False, "precision": "fp32"},
        },
        {"space": "darts", "architectures": {"list": ["c3"]}, "dataset": "cifar10", "tasks": ["jig"]},
        {"name": "search", "space": "chain", "dataset": "photos", "tasks": ["cls"], "recipe": "random_search/params"},
        {
            "space": "chain",
            "architectures": {"found": "search"},
            "dataset": "photos",
            "tasks": ["cls"],
            "recipe": "demo",
        },
    ],
    "execution": {"engine": "inline", "gpus_per_trial": 0.25, "max_concurrent": 4, "trial_timeout_s": 60.0},
}
WORDS = [
    "name",
    "sweeps",
    "space",
    "chain",
    "darts",
    "photos",
    "cls",
    "demo",
    "self",
    "~root/x",
    "search",
    "runs/x",
    "runs/good",
    "~nobody-here",
    "::",
]
TEXT = st.one_of(
    st.sampled_from(WORDS),
    st.text(max_size=20).filter(lambda t: not any("\ud800" <= c <= "\udfff" for c in t)),
    st.just("\x1b[2J[/red]\u202e\0"),
)
VALUE = st.recursive(
    st.one_of(
        st.integers(),
        st.sampled_from([2**63, -(2**63), 10**18, 2**31]),
        st.floats(),
        st.booleans(),
        TEXT,
        st.dates(),
        st.datetimes(timezones=st.none()),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
BOUNDED = settings(max_examples=120, suppress_health_check=list(HealthCheck))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything inside a tree of tables and lists."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, inner in steps for p in [(*at, key), *places(inner, (*at, key))]]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A good study with one to three places changed, taken away or given another name."""
    values = json.loads(json.dumps(GOOD))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(values) or [("name",)]))
        table = values
        for step in way:
            table = table[step]
        change = draw(st.sampled_from(["value", "remove", "rename", "add"]))
        if change == "value":
            table[last] = draw(VALUE)
        elif change == "remove" and last in (table if isinstance(table, dict) else range(len(table))):
            del table[last]
        elif isinstance(table, dict):
            table[draw(TEXT)] = table.pop(last, 0) if change == "rename" else draw(VALUE)
    return values


def check(text: str) -> None:
    """Parsing ends in a study that can be frozen and read again, or in one clear message."""
    try:
        study = studies.parse(text, "the study", Path("beside"))
    except ValueError as error:
        assert str(error).startswith("the study")
        assert len(str(error)) < 20_000
        return
    assert (
        studies.parse(tomli_w.dumps(study.model_dump(exclude_none=True, exclude_defaults=True, mode="json")), "again")
        == study
    )


@given(mutated())
@BOUNDED
def test_a_changed_study_is_a_study_or_one_message(values: dict[str, Any]) -> None:
    check(tomli_w.dumps(values))


@given(st.text(max_size=200), st.integers(0, 10**6), st.integers(0, 30))
@BOUNDED
def test_damaged_text_is_a_study_or_one_message(text: str, at: int, cut: int) -> None:
    good = tomli_w.dumps(GOOD)
    at %= len(good)
    check(text)
    check(good[:at] + text + good[at + cut :])


@given(mutated())
@settings(BOUNDED, max_examples=30)
def test_a_changed_study_is_planned_or_one_message(values: dict[str, Any]) -> None:
    """Costs of any recipe that is accepted fit the plan's columns, too."""
    try:
        study = studies.parse(tomli_w.dumps(values), "the study")
        if all(max((s.architectures.sample or 0), len(s.seeds)) <= 50 for s in study.sweeps):
            plan.plan(study)
    except (ValueError, LookupError, OSError) as error:
        assert type(error) is not KeyError
        assert str(error)


@given(st.sampled_from(["width", "depth", "batch", "test_batch", "precise_bn", "epochs"]), st.integers(0, 2**70))
@BOUNDED
def test_any_size_is_taken_or_one_message(key: str, value: int) -> None:
    demo = workers.recipe("demo", space="chain", dataset="photos", task="cls")
    try:
        assert getattr(demo.replace(**{key: value}), key) == value
    except ValueError as error:
        assert key in str(error)


@pytest.mark.parametrize("dataset", ["photos", "imagenet"])
@pytest.mark.parametrize("task", ["cls", "rot", "col", "jig"])
@pytest.mark.parametrize("space", spaces.names())
def test_the_largest_network_that_a_recipe_takes_is_counted_in_64_bits(space: str, dataset: str, task: str) -> None:
    most = workers.recipe("demo", space="chain", dataset="photos", task="cls").replace(width=16_384, depth=1_000)
    for arch in spaces.sample(spaces.get(space), 3, 0).archs:
        trial = workers.Trial(space=space, arch=arch, dataset=dataset, task=task, recipe=most)
        assert max(workers.cost(trial)) < 2**63


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
LEASE = lease.Lease("launch", "host", "boot", 1, "1", 9e9).__dict__


@given(ANY_JSON | st.dictionaries(st.text(max_size=5), st.integers()))
@BOUNDED
def test_any_forgiven_json_is_read_or_one_message(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    store = RunStore(f"memory://fuzz-{tmp_path_factory.getbasetemp().name}")
    store.write(json.dumps(value).encode(), "forgiven.json")
    try:
        ledger = Ledger.of(store)
    except ValueError as error:
        assert "forgiven.json" in str(error)
        return
    assert ledger.state("t") == "left"
    assert ledger.forgiven == value


@given(ANY_JSON | st.dictionaries(st.sampled_from(list(LEASE)), ANY_JSON).map(lambda change: LEASE | change))
@BOUNDED
def test_any_lease_json_has_a_holder_or_none(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    store = RunStore(f"memory://fuzz-{tmp_path_factory.getbasetemp().name}")
    store.write(json.dumps(value).encode(), lease.NAME)
    found = lease.current(store)
    if found is not None:
        assert found.alive() in (True, False)
        assert found.launch in lease._refusal(found)


@given(st.text(max_size=30) | st.sampled_from(["..", ".", "../../x", "/etc/passwd", "a/../..", "C:\\x", "*"]))
@BOUNDED
def test_any_trial_id_stays_inside_the_run_or_is_refused(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "run"
    store = RunStore(str(folder))
    try:
        path = Path(store.at("trials", name, "log.txt"))
    except ValueError as error:
        assert "not a valid name inside" in str(error)
        return
    assert path.parent.resolve().parent == (folder / "trials").resolve()
