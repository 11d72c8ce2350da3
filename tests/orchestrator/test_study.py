"""Study files: valid content, and messages for mistakes."""

import itertools
from pathlib import Path

import pytest

from orchestrator.study import schema as studies
from workers import datasets

GOOD = """
name = "good"
[[sweeps]]
space = "chain"
architectures = { sample = 3 }
dataset = "photos"
tasks = ["cls", "rot"]
recipe = "demo"
"""


def parse(text: str) -> studies.Study:
    return studies.parse(text, "study.toml")


def test_defaults() -> None:
    study = parse(GOOD)
    assert study.path == "runs/good"
    assert study.sweeps[0].seeds == (1,)
    assert study.execution.engine == "tune"
    assert study.sweeps[0].resolved("rot").name == "demo"


@pytest.mark.parametrize("name", studies.presets())
def test_every_preset_is_a_study_of_its_name(name: str) -> None:
    assert studies.load(name).name == name


def test_the_unnas_presets_draw_the_papers_samples() -> None:
    for name in ("unnas-cifar10", "unnas-imagenet", "unnas-across"):
        for sweep in studies.load(name).sweeps:
            assert sweep.architectures.sample == 500
            assert sweep.architectures.min_params == {"darts": 684858, "nasbench101": 0}[sweep.space]
            assert sweep.tasks == ("cls", "rot", "col", "jig")


def test_presets_that_span_datasets_train_the_same_architectures_on_each() -> None:
    for name in ("unnas-across", "small-across"):
        asked: dict[tuple[str, str], object] = {}
        for sweep in studies.load(name).sweeps:
            asked[sweep.space, sweep.dataset.name] = sweep.architectures.model_copy(update={"min_params": 0})
        assert len({dataset for _, dataset in asked}) == 2
        for space in ("darts", "nasbench101"):
            assert len({str(archs) for (s, _), archs in asked.items() if s == space}) == 1


def test_the_presets_of_rlnas_have_its_methods_and_train_all_that_they_find() -> None:
    methods = {
        (sweep.dataset.name, task, sweep.resolved(task).indicator)
        for sweep in studies.load("rlnas-nasbench201").sweeps
        if sweep.searches
        for task in sweep.tasks
    }
    datasets = ("cifar10_valid", "cifar100", "imagenet16_120")
    assert methods == set(itertools.product(datasets, ("rand", "cls"), ("angle", "accuracy")))
    for name, limit in (("rlnas-nasbench201", None), ("rlnas-darts", 600_000_000), ("rlnas-mobilenet", 475_000_000)):
        sweeps = studies.load(name).sweeps
        searches = [sweep for sweep in sweeps if sweep.searches]
        assert {sweep.name for sweep in searches} == {other for s in sweeps for other in s.architectures.found or ()}
        limits = {s.resolved(s.tasks[0]).most_macs for s in searches if s.dataset.name == "imagenet"}
        assert limits == ({limit} if limit else set())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("space =", "spaces ="), r"sweeps\[0\]\.spaces: unknown key; known here: space, arch"),
        (('name = "good"', 'name = "good"\nuntil = 3'), "until: unknown key"),
        (("tasks = [", "task = ["), r"sweeps\[0\]\.task"),
        (('"chain"', '"chian"'), "no search space 'chian'.*chain"),
        (('"photos"', '"foto"'), "no dataset 'foto'"),
        (('"rot"', '"rotate"'), "no task 'rotate'"),
        (('"demo"', '"quick"'), "no recipe 'quick'; have darts, darts_minus, darts_retrain, demo"),
        (('"demo"', '"unnas"'), "recipe 'unnas' has no setting for space=chain"),
        (('"rot"', '"seg"'), r"sweeps\[0\]: task seg needs a label map for every image, and photos has none"),
        (('"photos"', '"camvid"'), r"sweeps\[0\]: task cls needs images with classes, and those of camvid have none"),
        (("sample = 3", "sample = 0"), r"sweeps\[0\]\.architectures\.sample: .*given: 0"),
        (("sample = 3", 'sample = "3"'), r"valid integer.*given: '3'"),
        (("sample = 3", "seed = 3"), "give exactly one of sample, file, list, all, named, found; given: none"),
        (("sample = 3", 'sample = 3, list = ["c3"]'), "given: sample, list"),
        (("sample = 3", "all = false"), r"architectures\.all: .*given: False"),
        (("sample = 3", "all = true, seed = 1"), "seed and min_params belong to a sample, not to all"),
        (('"demo"', '["demo", "demo"]'), "recipe = .* names one twice"),
        (('"demo"', '["demo", "quick"]'), "no recipe 'quick'"),
        (('"demo"', "[]"), r"sweeps\[0\]\.recipe: .*at least 1"),
        (('"demo"', "3"), r"recipe: expected the name of a recipe, or a list of names \(given: 3\)"),
        (('["cls", "rot"]', '["cls", "cls"]'), "names one twice"),
        (('"demo"', '"demo"\nseeds = [-1]'), "seeds count from 0"),
        (('"demo"', '"demo"\noverride = { epoch = 3 }'), "no 'epoch'.*epochs"),
        (('"demo"', '"demo"\noverride = { epochs = 0 }'), "epochs = 0"),
        (('"demo"', '"demo"\n[execution]\nengine = "slurm"'), "execution.engine: .*'slurm'"),
        (
            ('"demo"', '"demo"\n[execution]\ngpu = 1'),
            r"execution\.gpu: unknown key; known here: engine, gpus_per_trial",
        ),
        (('"demo"', '"demo"\n[execution]\ngpus_per_trial = 1.5'), "whole number"),
        (('name = "good"', 'name = "a/b"'), "name: "),
        (("[[sweeps]]", "[[sweeps"), "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place(change: tuple[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(GOOD.replace(*change))


def test_architectures_of_a_file_lie_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "archs.txt").write_text("c3_c5\n# a comment\nmp_c3  # another\n")
    file = tmp_path / "good.toml"
    file.write_text(GOOD.replace("sample = 3", 'file = "archs.txt"'))
    from orchestrator.study.plan import architectures

    assert architectures(studies.load(str(file)).sweeps[0])[0] == ["c3_c5", "mp_c3"]


def test_a_mark_at_the_beginning_of_a_study_and_of_its_architectures_is_no_part_of_them(tmp_path: Path) -> None:
    """Editors put it there; a comment may hold characters at which Python, but no editor, ends a line."""
    from orchestrator.study.plan import architectures

    (tmp_path / "archs.txt").write_text("\ufeffc3_c5  # a\u2028comment\x85of one line\r\nmp_c3\n", "utf-8", newline="")
    (tmp_path / "good.toml").write_text("\ufeff" + GOOD.replace("sample = 3", 'file = "archs.txt"'), "utf-8")
    study = studies.load(str(tmp_path / "good.toml"))
    assert architectures(study.sweeps[0])[0] == ["c3_c5", "mp_c3"]
    assert studies.tables("\ufeffname = 'x'", "study.toml") == {"name": "x"}


def test_a_study_that_names_the_published_files_is_led_to_the_import(tmp_path: Path) -> None:
    from orchestrator.study.plan import architectures

    (tmp_path / "nasbench101_500.json").write_text('{"archs": []}')
    for name in ("nasbench101_500.json", "."):
        (tmp_path / "good.toml").write_text(GOOD.replace("sample = 3", f'file = "{name}"'))
        with pytest.raises(ValueError, match=r"`archsweep import unnas-archs .* --into archs.txt` converts"):
            architectures(studies.load(str(tmp_path / "good.toml")).sweeps[0])


def test_a_name_that_is_neither_file_nor_preset() -> None:
    with pytest.raises(FileNotFoundError, match="presets are demo"):
        studies.load("unnas")


def test_the_form_of_a_dataset_is_checked_and_becomes_its_id(tmp_path: Path) -> None:
    text = GOOD.replace('dataset = "photos"', 'dataset = { name = "imagenet", mode = "array", fraction = 0.1 }')
    text = text.replace('recipe = "demo"', 'recipe = "unnas"').replace('"chain"', '"nasbench101"')
    chosen = parse(text).sweeps[0].dataset
    assert "-array256-f0_1-" in datasets.identify(chosen.name, tmp_path, None, chosen.choice)
    for wrong, says in [
        ('{ name = "imagenet", mode = "arrays" }', "mode"),
        ('{ name = "imagenet", fraction = 0 }', "fraction"),
        ('{ name = "imagenet", fraction = 0.12345678 }', "six decimals"),
        ('{ name = "imagenet", short_side = 160 }', "belongs to mode 'array'"),
        ('{ name = "photos", mode = "array" }', "one form only"),
    ]:
        with pytest.raises(ValueError, match=says):
            parse(text.replace('{ name = "imagenet", mode = "array", fraction = 0.1 }', wrong))


def test_one_recipe_may_be_a_text_or_a_list_and_is_stored_as_a_text() -> None:
    one, listed = parse(GOOD), parse(GOOD.replace('"demo"', '["demo"]'))
    assert one == listed
    assert one.sweeps[0].model_dump()["recipe"] == "demo"


def test_an_override_that_one_of_several_recipes_lacks_names_the_recipe() -> None:
    text = GOOD.replace('"chain"', '"nasbench101"').replace('"photos"', '"cifar10"')
    text = text.replace('"demo"', '["demo", "unnas"]\noverride = { epoch = 3 }')
    with pytest.raises(ValueError, match=r"override of recipe 'demo': a recipe has no 'epoch'; it has .*own"):
        parse(text)
