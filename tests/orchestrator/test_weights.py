"""Studies whose trials use the weights of others: trainings, then the scores of the trained networks."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator import runner
from orchestrator.cli.preview import preview
from orchestrator.execution.job import Job, Outcome, Settings
from orchestrator.execution.work_queue import Work
from orchestrator.store.run_folder import RunStore
from orchestrator.store.trial_states import Ledger
from orchestrator.study import schema as studies
from orchestrator.study import searches
from orchestrator.study.frozen import differs
from orchestrator.study.plan import order_of_work, plan, trial_of
from workers import files, weights
from workers.methods.train import Train
from workers.recipes import Attack

Say = Callable[..., tuple[int, str, str]]
DATA = '{ name = "shapes", kind = "scenes", images = [64, 32], size = 16, classes = 4 }'
TRAINED = f"""
[[sweeps]]
name = "trained"
space = "chain"
architectures = {{ sample = 2, seed = 0 }}
dataset = {DATA}
tasks = ["cls", "rot"]
recipe = "demo"
override = {{ epochs = 2, width = 2, depth = 1, batch = 32, test_batch = 32, precise_bn = 32 }}
"""
CLEAN = f"""
[[sweeps]]
space = "chain"
architectures = {{ sample = 2, seed = 0 }}
dataset = {DATA}
tasks = ["cls"]
weights = "trained"
recipe = "robustness/clean"
"""
SEARCH = f"""
[[sweeps]]
name = "search"
space = "chain"
dataset = {DATA}
tasks = ["cls"]
seeds = [1, 2]
recipe = "random_search/params"
override = {{ candidates = 2 }}
"""
ENGINE = """
[execution]
engine = "inline"
checkpoint_s = 0
"""
SCIENCE = ("trial_id", "recipe", "base", "arch", "task", "seed", "score_best", "score_final", "train_loss")


def text(folder: object, *sweeps: str) -> str:
    return f'name = "weights"\npath = "{folder}"\n' + "".join(sweeps or (TRAINED, CLEAN)) + ENGINE


def study(folder: Path, *sweeps: str) -> studies.Study:
    return studies.parse(text(folder, *sweeps), "study.toml")


def rows(folder: Path) -> list[tuple[Any, ...]]:
    """What the finished trials measured, by trial."""
    table = RunStore(str(folder)).attempts(["status", *SCIENCE]).to_pylist()
    return sorted(tuple(map(str, (row[name] for name in SCIENCE))) for row in table if row["status"] == "ok")


def kept(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The states of the networks whose weights are in the run's folder."""
    store = RunStore(str(folder))
    return {t: weights.load(store.weights(t), t).values["net"] for t in store.kept_weights()}


def equal(ours: dict[str, dict[str, torch.Tensor]], theirs: dict[str, dict[str, torch.Tensor]]) -> bool:
    """Whether two runs keep the same weights, bit for bit."""
    if {t: set(net) for t, net in ours.items()} != {t: set(net) for t, net in theirs.items()}:
        return False
    return all(torch.equal(ours[t][key], theirs[t][key]) for t in ours for key in ours[t])


def bases(chosen: studies.Study) -> list[str]:
    """The trials whose weights others use, in the order of the plan."""
    return list(dict.fromkeys(filter(None, plan(chosen).table["base"].to_pylist())))


Whole = tuple[list[tuple[Any, ...]], dict[str, dict[str, torch.Tensor]]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    ended = runner.run(study(folder))
    assert (ended.exit_code, ended.done, ended.total, ended.trained) == (0, 6, 6, 6)
    return rows(folder), kept(folder)


# --- the plan ---


def test_the_base_is_the_trial_of_the_same_architecture_task_and_seed(tmp_path: Path) -> None:
    chosen = study(tmp_path, CLEAN.replace('"cls"', '"rot", "cls"'), TRAINED)  # in any order
    table = plan(chosen).table
    planned = {row["trial_id"]: row for row in table.to_pylist()}
    using = [row for row in planned.values() if row["recipe"] == "robustness/clean"]
    assert len(using) == 4
    for row in using:
        base = planned[row["base"]]
        assert row["after"] == row["base"]
        assert (base["recipe"], base["base"], base["after"]) == ("demo", None, None)
        for name in ("arch", "task", "seed", "params", "macs"):
            assert row[name] == base[name]
        trial = trial_of(row)
        assert (trial.id, trial.base) == (row["trial_id"], row["base"])
    order = order_of_work(table)
    assert order[0]["arch"] == order[1]["arch"] == order[3]["arch"], "architecture by architecture, as ever"


def test_a_supernet_is_the_base_of_every_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No recipe uses a supernet's weights yet."""
    monkeypatch.setattr(Attack, "needs_weights", property(lambda self: "supernet"))
    darts = SEARCH.replace('"random_search/params"', '"darts"').replace(
        "candidates = 2", "epochs = 1, width = 2, depth = 1, batch = 16"
    )
    clean = CLEAN.replace('"trained"', '"search"').replace("[[sweeps]]", "[[sweeps]]\nseeds = [2, 1]")
    sweeps = [sweep.replace('"chain"', '"nasbench201"') for sweep in (clean, darts)]
    planned = plan(study(tmp_path, *sweeps)).table
    table = planned.to_pylist()
    supernets = {row["seed"]: row["trial_id"] for row in table if row["arch"] == "*"}
    assert {row["seed"]: row["base"] for row in table if row["arch"] != "*"} == supernets
    assert len({row["trial_id"] for row in table}) == 2 + 4
    assert [row["arch"] for row in order_of_work(planned)[:2]] == ["*", "*"]
    with pytest.raises(ValueError, match="needs the weights of a supernet, and sweep 'trained' trains single arch"):
        plan(study(tmp_path))


def test_weights_may_be_used_on_another_dataset_with_the_same_classes(tmp_path: Path) -> None:
    moved = CLEAN.replace('"shapes"', '"others"').replace("classes = 4", "classes = 4, seed = 1")
    chosen = study(tmp_path / "run", TRAINED.replace('"cls", "rot"', '"cls"'), moved)
    ended = runner.run(chosen)
    assert (ended.exit_code, ended.trained) == (0, 4)
    table = RunStore(chosen.path).attempts(["dataset", "base", "status"]).to_pylist()
    assert (
        sorted((row["dataset"], row["base"] is not None) for row in table)
        == [("others", True)] * 2 + [("shapes", False)] * 2
    )
    more = moved.replace("classes = 4", "classes = 5")
    says = r"network for shapes do not fit others: head.* is of shape \(4, .*it would be of shape \(5, .* same classes"
    with pytest.raises(ValueError, match=says):
        plan(study(tmp_path, TRAINED, more))


@pytest.mark.parametrize(
    ("sweeps", "says"),
    [
        ((CLEAN.replace('weights = "trained"\n', ""),), r"sweeps\[0\]: recipe 'robustness/clean' needs `weights`"),
        (
            (TRAINED, TRAINED.replace('name = "t', 'weights = "t')),
            r"sweeps\[1\]: recipe 'demo' uses no weights.*'trained'",
        ),
        ((TRAINED, CLEAN.replace('"trained"', '"traned"')), r"sweeps\[1\]\.weights: no sweep .*'traned'.*: trained"),
        ((TRAINED, CLEAN.replace('"trained"', '"runs/x"')), r"weights of another run cannot be used"),
        ((TRAINED, CLEAN.replace("chain", "nasbench201")), "of the space chain, and this one of the space nasbench201"),
        ((TRAINED, CLEAN.replace('["cls"]', '["jig"]')), r"'trained' has no trials of tasks \['jig'\]"),
        ((TRAINED, CLEAN.replace("tasks", "seeds = [1, 7]\ntasks")), r"'trained' has no trials of seeds \[7\]"),
        ((TRAINED, CLEAN.replace("sample = 2", "sample = 4")), "does not train 2 of 4 architectures, such as"),
        (
            (CLEAN.replace("[[sweeps]]", '[[sweeps]]\nname = "trained"'),),
            "no recipe that ends with weights, but robust",
        ),
        (
            (TRAINED.replace('"demo"', '"zero_cost/params"').partition("override")[0], CLEAN),
            "'trained' has no recipe that ends with weights, but zero_cost/params",
        ),
        (
            (SEARCH, CLEAN.replace('"trained"', '"search"')),
            "the weights of a training of the .*'search' trains supernets",
        ),
        (
            (SEARCH, TRAINED, CLEAN.replace("sample = 2, seed = 0", 'found = "search"')),
            "architectures that 'search' finds, which need not be in sweep 'trained'",
        ),
        (
            (SEARCH, TRAINED.replace("sample = 2, seed = 0", 'found = "search"'), CLEAN),
            "'trained' trains what 'search' finds, which is not known yet",
        ),
        ((TRAINED, CLEAN + "override = { width = 8 }\n"), "a recipe has no 'width'; it has test_batch, threads"),
    ],
)
def test_a_mistake_in_the_file_says_what_is_expected(tmp_path: Path, sweeps: tuple[str, ...], says: str) -> None:
    with pytest.raises((ValueError, LookupError), match=says):
        plan(study(tmp_path, *sweeps))


def test_of_two_recipes_that_end_with_weights_neither_is_chosen(tmp_path: Path) -> None:
    both = TRAINED.replace('"demo"', '["demo", "unnas"]').replace("chain", "darts").replace("depth = 1", "depth = 3")
    with pytest.raises(ValueError, match=r"several recipes that end with weights, demo, unnas; expected one"):
        plan(study(tmp_path, both, CLEAN.replace("chain", "darts")))
    other = TRAINED.replace('"demo"', '["demo", "zero_cost/params"]').replace("override", "# override")
    assert len(bases(study(tmp_path, other, CLEAN))) == 2


# --- the run ---


def test_the_scores_are_those_of_the_trainings_and_only_their_weights_are_kept(undisturbed: Whole) -> None:
    found, nets = undisturbed
    scores = {row[0]: row[7] for row in found}
    using = {row[2]: row[7] for row in found if row[1] == "robustness/clean"}
    assert len(using) == 2
    assert using == {base: scores[base] for base in using}
    assert nets.keys() == using.keys(), "the rotation networks are nobody's base"


def test_each_architecture_is_completed_before_the_next(tmp_path: Path) -> None:
    ended: list[str] = []

    @contextmanager
    def listening(work: Work) -> Iterator[None]:
        assert (work.left, len(work.waiting())) == (6, 6)
        work.listeners.append(lambda outcome: ended.append(work.row_of(outcome.trial_id)["arch"]))
        yield

    runner.run(study(tmp_path / "run"), watch=listening)
    assert len(ended) == 6
    assert len(set(ended[:3])) == len(set(ended[3:])) == 1


class Killed(BaseException):
    """The end of the driver, at any moment."""


def test_a_study_killed_at_random_moments_ends_as_the_undisturbed_one(
    tmp_path: Path, undisturbed: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within steps, before and after weights are written, before and after rows are."""
    chance, ahead = random.Random(5), [0]

    def deadly(module: Any, name: str) -> None:
        whole = getattr(module, name)

        def step(*args: Any, **options: Any) -> Any:
            _count()
            found = whole(*args, **options)
            _count()
            return found

        monkeypatch.setattr(module, name, step)

    def _count() -> None:
        ahead[0] -= 1
        if not ahead[0]:
            raise Killed

    deadly(weights, "publish")
    deadly(RunStore, "publish_attempt")
    deadly(RunStore, "compact")
    monkeypatch.setattr("workers.loop._Keeper.between_steps", lambda keeper: (keeper.between_epochs(), _count()))
    monkeypatch.setattr("workers.loop.STOP_CHECK_S", 0.0)
    kills = 0
    while kills < 60:
        ahead[0] = chance.randint(1, 9)
        try:
            ended = runner.run(study(tmp_path / "run"))
        except Killed:
            kills += 1
            continue
        break
    assert kills > 5
    assert ended.exit_code == 0
    ahead[0] = 0
    assert (rows(tmp_path / "run"), equal(kept(tmp_path / "run"), undisturbed[1])) == (undisturbed[0], True)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_that_ends_beside_its_weights_has_no_row_and_the_trial_is_run_again(
    moment: str, tmp_path: Path, undisturbed: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, publish = study(tmp_path / "run"), weights.publish

    def killed(*args: Any) -> None:
        if moment == "after":
            publish(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(weights, "publish", killed)
        with pytest.raises(Killed):
            runner.run(chosen, select=lambda row: row["task"] == "cls")
    assert rows(tmp_path / "run") == []
    assert len(kept(tmp_path / "run")) == (moment == "after")
    assert runner.run(chosen).exit_code == 0
    assert (rows(tmp_path / "run"), equal(kept(tmp_path / "run"), undisturbed[1])) == (undisturbed[0], True)


def test_weights_that_cannot_be_written_stop_the_launch_and_no_trial_has_failed(
    tmp_path: Path, undisturbed: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, write = study(tmp_path / "run"), files.publish

    def full(url: str, data: bytes) -> None:
        if "/weights/" in url:
            raise OSError("disk full")
        write(url, data)

    with monkeypatch.context() as patch:
        patch.setattr(files, "WAITS_S", ())
        patch.setattr(files, "publish", full)
        ended = runner.run(chosen)
    assert ended.exit_code == 1
    assert "could not be written: disk full" in str(ended.broken)
    assert not Ledger.of(RunStore(chosen.path)).failures
    assert runner.run(chosen).exit_code == 0
    assert rows(tmp_path / "run") == undisturbed[0]


def test_limits_and_selections_count_trials_that_use_weights(tmp_path: Path, undisturbed: Whole) -> None:
    chosen, codes = study(tmp_path / "run"), []
    ended = runner.run(chosen, select=lambda row: row["recipe"] == "robustness/clean")
    assert (ended.exit_code, ended.trained, sum(ended.waiting_for_weights.values())) == (1, 0, 2)
    while not codes or codes[-1]:
        ended = runner.run(chosen, limit=1)
        codes.append(ended.exit_code)
        assert ended.trained == 1
    assert codes == [3, 3, 3, 3, 3, 0]
    assert rows(tmp_path / "run") == undisturbed[0]


def test_the_trials_of_a_training_that_failed_wait_and_retry_runs_them(
    tmp_path: Path, undisturbed: Whole, archsweep: Say
) -> None:
    chosen = study(tmp_path / "run")
    first = bases(chosen)[0]
    start = Train.start

    def failing(self: Train, setting: Any) -> Any:
        if setting.trial.id == first:
            raise RuntimeError("no luck")
        return start(self, setting)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Train, "start", failing)
        ended = runner.run(chosen)
    assert (ended.exit_code, ended.left, ended.waiting_for_weights) == (1, 0, {first: 1})
    sentence = f"1 trial waits for the weights of trial {first}, which failed"
    for words in (("run",), ("status",), ("plan",)):
        assert sentence in archsweep(*words, tmp_path / "run", columns=200)[1]
    found = json.loads(archsweep("status", tmp_path / "run", "--json")[1])
    assert (found["waiting"], found["waiting_for"], found["waiting_for_weights"]) == (1, {}, {first: 1})
    code, out, _ = archsweep("retry", tmp_path / "run", "--failed", columns=200)
    assert (code, "2 of 2 trials done (2 trained now)" in out) == (0, True)
    assert rows(tmp_path / "run") == undisturbed[0]


def test_what_is_found_is_trained_and_then_scored(tmp_path: Path) -> None:
    sweeps = [SEARCH, *(s.replace("sample = 2, seed = 0", 'found = "search"') for s in (TRAINED, CLEAN))]
    chosen = study(tmp_path / "run", *sweeps)
    before = {row["trial_id"]: row for row in plan(chosen).table.to_pylist()}
    using = [row for row in before.values() if row["recipe"] == "robustness/clean"]
    assert len(using) == 2
    assert all(before[row["base"]]["arch"] == row["arch"] == f"@{row['after']}" for row in using)
    ended = runner.run(chosen)
    assert (ended.exit_code, ended.left, ended.trained) == (0, 0, ended.total)
    found = rows(tmp_path / "run")
    scores = {row[0]: row[7] for row in found}
    using_now = [row for row in found if row[1] == "robustness/clean"]
    assert using_now
    assert all(row[7] == scores[row[2]] for row in using_now)
    planned = RunStore(chosen.path).plan()
    assert planned is not None
    assert planned.equals(plan(chosen, searches.found(chosen)).table)
    assert runner.run(chosen).trained == 0
    assert not differs(studies.load(chosen.path), RunStore(chosen.path))


# --- weights that are not there ---


def test_a_study_that_is_edited_says_how_to_get_the_weights_of_finished_trials(
    tmp_path: Path, undisturbed: Whole, archsweep: Say
) -> None:
    file, run = tmp_path / "study.toml", tmp_path / "run"
    file.write_text(text(run, TRAINED))
    assert archsweep("run", file)[0] == 0
    assert not (run / "weights").exists()
    first, second = bases(study(run))
    before = rows(run)
    code, _, said = archsweep("retry", run, "--trial", first, columns=400)
    assert (code, "no trial of the study uses its weights" in said) == (2, True)
    file.write_text(text(run))
    stored = (run / "study.toml").read_bytes()
    for verb in ("plan", "run"):
        code, _, said = archsweep(verb, file, columns=400)
        assert code == 2
        assert "2 trials need the weights of 2 finished trials" in said
        assert "`archsweep retry STUDY --weights`" in said
    assert (run / "study.toml").read_bytes() == stored
    assert archsweep("run", file, "--only", "recipe=demo")[0] == 0, "what needs no weights is run"
    code, out, said = archsweep("retry", file, "--trial", first, columns=200)
    assert (code, "2 of 2 trials done (2 trained now)" in out) == (0, True), said
    assert kept(run).keys() == {first}
    code, _, said = archsweep("run", file, columns=400)
    assert (code, f"1 trial needs the weights of 1 finished trial, such as {second}" in said) == (2, True)
    code, out, said = archsweep("retry", file, "--weights", columns=200)
    assert (code, "2 of 2 trials done (2 trained now)" in out) == (0, True), said
    assert rows(run) == undisturbed[0], "each trial has one row"
    assert set(before) < set(rows(run))
    assert equal(kept(run), undisturbed[1])
    assert "(0 trained now)" in archsweep("run", file, columns=200)[1]
    assert "nothing to retry" in archsweep("retry", file, "--weights")[1]


def test_weights_that_nobody_needs_any_more_may_be_removed(tmp_path: Path) -> None:
    chosen = study(tmp_path / "run")
    assert runner.run(chosen).exit_code == 0
    for file in (tmp_path / "run" / "weights").iterdir():
        file.unlink()
    assert runner.run(chosen).exit_code == 0


def test_damaged_weights_fail_the_trial_and_retry_replaces_them(
    tmp_path: Path, undisturbed: Whole, archsweep: Say
) -> None:
    run = tmp_path / "run"
    chosen = study(run)
    assert runner.run(chosen, select=lambda row: row["recipe"] == "demo").exit_code == 0
    first = bases(chosen)[0]
    path = run / "weights" / f"{first}.pt"
    path.write_bytes(path.read_bytes()[:-100])
    code, out, _ = archsweep("run", run, columns=400)
    assert (code, "cannot be used" in out, "1 quarantined" in out) == (1, True, True)
    code, out, said = archsweep("retry", run, "--trial", first, columns=200)
    assert (code, "2 of 2 trials done (2 trained now)" in out) == (0, True), said
    assert rows(run) == undisturbed[0]


# --- what is shown, and the queue ---


def test_plan_and_status_count_what_waits_and_what_is_kept(tmp_path: Path, archsweep: Say) -> None:
    file = tmp_path / "study.toml"
    file.write_text(text(tmp_path / "run"))
    out = archsweep("plan", file, columns=120)[1]
    assert "2 trials wait for the weights of 2 trials" in out
    assert "of 2 trials, which others use; they stay" in out
    found = preview(study(tmp_path / "run"))
    nets = 4 * sum(row["params"] for row in plan(study(tmp_path)).table.to_pylist() if row["base"])
    assert found.weights == (2, nets)
    told = json.loads(archsweep("plan", file, "--json")[1])
    assert (told["total"], told["waiting"], set(told["waiting_for_weights"])) == (6, 2, set(bases(study(tmp_path))))
    assert archsweep("run", file, "--limit", 1)[0] == 3
    out = archsweep("status", file, columns=120)[1]
    assert "for the weights of" in out
    assert "which" not in out
    assert archsweep("run", file)[0] == 0
    assert "wait" not in archsweep("status", file)[1] + archsweep("plan", file)[1]


def queue(tmp_path: Path) -> tuple[Work, Job, list[dict[str, Any]]]:
    """The queue of one training with two trials that use its weights, and the job of the training."""
    both = CLEAN.replace("sample = 2", "sample = 1").replace("seed = 0", "seed = 0")
    moved = both.replace('"shapes"', '"others"').replace("classes = 4", "classes = 4, seed = 1")
    one = TRAINED.replace("sample = 2", "sample = 1").replace('"cls", "rot"', '"cls"')
    table = plan(study(tmp_path / "run", one, both, moved)).table
    settings = Settings(str(tmp_path / "run"), "now", {}, None, 0.0, 60.0, False, None)
    todo = order_of_work(table)
    work = Work(RunStore(settings.run_url), todo, Ledger(), settings, 3, bases=set(bases(study(tmp_path, one, both))))
    job = work.take()
    assert job is not None
    assert job.keep_weights
    assert work.take() is None, "the others wait"
    assert (work.exhausted, work.left) == (False, 3)
    return work, job, todo


def test_the_queue_hands_out_what_waited_when_the_weights_are_there(tmp_path: Path) -> None:
    work, job, _ = queue(tmp_path)
    work.finish(Outcome(job.trial_id, "ok"))
    others = [work.take(), work.take()]
    assert all(other and not other.keep_weights for other in others)
    assert work.take() is None


def test_the_queue_gives_up_what_waits_for_a_training_that_is_given_up(tmp_path: Path) -> None:
    work, job, todo = queue(tmp_path)
    for attempt in (1, 2):
        work.finish(Outcome(job.trial_id, "failed", "error", "no luck", "Traceback"))
        assert work.exhausted == (attempt == 2)
        if attempt == 1:
            assert work.given_up(job.trial_id) == []
            assert work.take() is not None
    assert sorted(work.given_up(job.trial_id)) == sorted(r["trial_id"] for r in todo if r["base"])
    assert work.waiting() == []
