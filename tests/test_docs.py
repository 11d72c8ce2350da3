"""Links, commands, Python, study files, columns and paths in README, CONTRIBUTING and docs/ are correct."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
import typer
import yaml

import spaces
import spaces.darts.genotype
import spaces.nasbench101.cell
from orchestrator.cli.main import app, main
from orchestrator.study import schema as studies
from orchestrator.study.plan import architectures
from tests.forks import program
from workers import datasets, recipes
from workers.row import SCHEMA

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(str(p.relative_to(ROOT)) for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
PYTHON_IS_RUN_BY = {  # a page with Python needs a test that runs it
    "docs/architectures.md": "test_docs.py",
    "docs/cookbook.md": "test_cookbook.py",
    "docs/example-nasbench201.md": "test_cookbook.py",
    "docs/example-rlnas.md": "test_docs.py",
    "docs/extend.md": "test_plugins.py",
    "docs/reproduce.md": "test_docs.py",
    "docs/rehearsal.md": "test_docs.py",
    "docs/rows.md": "test_docs.py",
    "docs/searches.md": "test_docs.py",
    "docs/statistics.md": "test_cookbook.py",
}
SWEEP = """
space = "nasbench101"
architectures = { sample = 1 }
dataset = "cifar10"
tasks = ["cls"]
"""


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), flags=re.DOTALL | re.MULTILINE)


def headings(page: str) -> set[str]:
    """The anchors that the headings of a page have where it is shown."""
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^#+ (.+)$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def shell_commands(page: str) -> Iterator[list[str]]:
    """Every `archsweep` command of the shell blocks of a page, as words."""
    for block in blocks(page, "sh"):
        line = ""
        for part in block.splitlines():
            line += part + "\n"
            try:
                words = shlex.split(line.replace("\\\n", " "), comments=True)
            except ValueError:  # a quotation goes on in the next line
                continue
            if not part.endswith("\\"):
                line = ""
                if words[:1] == ["archsweep"]:
                    yield words[1:]


def commands(page: str) -> Iterator[list[str]]:
    """Every `archsweep` command of a page, of its shell blocks and inside of its sentences, as words."""
    yield from shell_commands(page)
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`archsweep\s+([^`]+)`", prose):
        yield shlex.split(span)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings_that_exist(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)#?([^):\s]*)\)", text_of(page)):
        file = ((ROOT / page).parent / target).resolve() if target else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in headings(str(file.relative_to(ROOT))), f"{target}#{anchor}"


def test_the_readme_opens_with_the_two_commands_and_leads_to_every_page() -> None:
    readme = text_of("README.md")
    assert readme.index("make demo") < readme.index("make test")
    assert {page for page in PAGES if page != "README.md" and f"]({page})" not in readme} == set()


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_the_verbs_and_options_that_are_written(page: str) -> None:
    for words in commands(page):
        command: click.Command = typer.main.get_command(app)
        rest = list(words)
        while isinstance(subcommands := getattr(command, "commands", None), dict) and rest:
            assert rest[0] in subcommands, words
            command = subcommands[rest.pop(0)]
        rest = until(rest, (">", "|"))
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        options |= {"--help", "-h"}
        unknown = [word for word in rest if word.startswith("--") and word.split("=")[0] not in options]
        assert not unknown, words


def until(words: list[str], ends: tuple[str, ...]) -> list[str]:
    """The words before the first of these."""
    return words[: next((k for k, word in enumerate(words) if word in ends), len(words))]


def test_every_page_with_python_has_a_test_that_runs_it() -> None:
    assert {page for page in PAGES if blocks(page, "python")} == set(PYTHON_IS_RUN_BY)


@pytest.mark.parametrize("page", ["docs/rows.md", "docs/searches.md"])
def test_the_python_of_a_page_runs(page: str) -> None:
    """Every block, in order, as one program."""
    done = program("\n".join(blocks(page, "python")))
    assert done.returncode == 0, done.stderr


def test_the_search_of_the_page_on_rehearsals_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a table that has a row for every cell."""
    archs = list(spaces.enumerable("nasbench201").archs())
    same = {"space": "nasbench201", "dataset": "cifar10", "task": "cls", "recipe": "e200"}
    table = pd.DataFrame({"arch": archs, "score_best": [float(k) for k in range(len(archs))]}).assign(**same)
    (tmp_path / "runs/nb201/rows").mkdir(parents=True)
    table.to_parquet(tmp_path / "runs/nb201/rows/part.parquet")
    (block,) = blocks("docs/rehearsal.md", "python")
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    arch, best = capsys.readouterr().out.split()
    assert archs[int(float(best))] == arch


@pytest.mark.figures
def test_the_scatter_of_the_example_of_rlnas_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archs = list(spaces.enumerable("nasbench201").archs())[:50]
    scores = {"trial_id": archs, "arch": archs, "score_best": 0.5, "score_final": [k / 50 for k in range(50)]}
    for run, about in (
        ("rlnas-small", {"dataset": "cifar10_valid", "task": "rand", "recipe": "supernet/angle"}),
        ("nb201", {"dataset": "cifar10", "task": "cls", "recipe": "e200"}),
    ):
        (tmp_path / f"runs/{run}/rows").mkdir(parents=True)
        table = pd.DataFrame(scores).assign(space="nasbench201", seed=1, status="ok", **about)
        table.to_parquet(tmp_path / f"runs/{run}/rows/part-000.parquet")
    (block,) = blocks("docs/example-rlnas.md", "python")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(block, found)
    assert len(found["both"]) == 50
    assert (tmp_path / "angles.png").stat().st_size > 1000


def test_study_files_of_all_pages_are_valid() -> None:
    """Whole ones as they are; single keys of a sweep within one."""
    seen = 0
    for page in PAGES:
        for block in blocks(page, "toml"):
            if "[[sweeps]]" in block:
                whole = block if block.lstrip().startswith("name") else f'name = "x"\n{block}'
                studies.parse(whole, page)
                seen += 1
                continue
            for line in block.splitlines():
                key = line.split(" = ")[0]
                if key in ("dataset", "architectures"):
                    sweep = re.sub(rf"^{key} = .*$", lambda _, new=line: new, SWEEP, flags=re.MULTILINE)
                    studies.parse(f'name = "x"\n[[sweeps]]{sweep}', page)
                    seen += 1
    assert seen >= 6


def test_the_page_on_studies_names_every_key() -> None:
    page = text_of("docs/studies.md")
    for part in (studies.Study, studies.Sweep, studies.Execution):
        assert {key for key in part.model_fields if f"`{key}`" not in page and f"[[{key}]]" not in page} <= {
            "execution"
        }


def test_the_page_on_searches_names_every_recipe_and_setting_of_searches() -> None:
    page = text_of("docs/searches.md")
    kinds = [kind for kind in vars(recipes).values() if isinstance(kind, type) and issubclass(kind, recipes.Search)]
    assert len(kinds) > 3
    kinds += [recipes.RandomSearch, recipes.Evolution]
    fields = {name for kind in kinds for name in kind.model_fields}
    fields -= {*recipes.Sgd.model_fields, *recipes.Score.model_fields}
    methods = {kind.model_fields["method"].default for kind in kinds if kind is not recipes.Search}
    assert [name for name in sorted(fields | methods) if f"`{name}`" not in page and name != "method"] == []


def test_the_page_on_rows_names_every_column() -> None:
    page = text_of("docs/rows.md")
    assert [name for name in SCHEMA.names if f"`{name}`" not in page] == []


def test_paths_in_contributing_exist() -> None:
    roots = ("spaces/", "workers/", "orchestrator/", "analysis/", "tests/", "docs/")
    named = [word for word in re.findall(r"`([\w./]+)`", text_of("CONTRIBUTING.md")) if word.startswith(roots)]
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists() and not path.endswith("/mine.py")] == []


def test_architectures_are_spelled_as_their_page_says() -> None:
    page = text_of("docs/architectures.md")
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \| ", page, flags=re.MULTILINE))
    assert set(rows) == set(spaces.registry().own())
    for name, text in rows.items():
        arch = text.replace("\\|", "|")
        assert spaces.get(name).normal(arch) == arch
        assert f"**{name}**" in page
    for code in (*spaces.darts.genotype.OPS, *spaces.nasbench101.cell.OPS):
        assert f"`{code}`" in page
    (block,) = blocks("docs/architectures.md", "python")
    for name, arch in zip(("nasbench101", "darts", "mobilenet"), program(block).stdout.split(), strict=True):
        assert spaces.get(name).normal(arch) == arch


def test_the_small_images_are_those_of_the_result(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's Python writes a dataset with the id that the page names."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # other tests expect that CIFAR-10 is not there
    (code,) = blocks("docs/reproduce.md", "python")
    code = code.replace('"~/data"', repr(str(data / "cifar10"))).replace(
        '"~/small-cifar10"', repr(str(tmp_path / "small"))
    )
    exec(compile(code, "docs/reproduce.md", "exec"), {})
    assert datasets.identify("cifar10", tmp_path / "small") == "cifar10-910988449a4d6bd5"
    assert "`cifar10-910988449a4d6bd5`" in text_of("docs/reproduce.md")


def test_the_page_on_the_paper_names_every_preset() -> None:
    assert [name for name in studies.presets() if f"`{name}`" not in text_of("docs/reproduce.md")] == []


@pytest.mark.parametrize("name", ["unnas-cifar10", "unnas-imagenet", "unnas-across"])
def test_presets_and_their_page_lead_to_the_published_architectures(name: str, tmp_path: Path) -> None:
    """With the lists that the import writes in place of its samples, a preset is a study of them."""
    text = (studies.PRESETS / f"{name}.toml").read_text()
    for where in (text.partition("name =")[0], text_of("docs/reproduce.md")):
        assert {"darts-500.txt", "nasbench101-500.txt"} <= set(re.findall(r"--into (\S+)", where))
    archs = {space: spaces.sample(spaces.get(space), 2, 1).archs for space in ("darts", "nasbench101")}
    for space, two in archs.items():
        (tmp_path / f"{space}-500.txt").write_text("\n".join(two))
        sample = re.compile(rf'(space = "{space}"\n(?:#.*\n)?architectures = )\{{.*\}}')
        text = sample.sub(rf'\1{{ file = "{space}-500.txt" }}', text)
    (tmp_path / "published.toml").write_text(text)
    for sweep in studies.load(str(tmp_path / "published.toml")).sweeps:
        assert tuple(architectures(sweep)[0]) == archs[sweep.space]


def test_results_of_others_are_imported_as_their_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the page, over files as the page describes them."""
    ops = ["input", "conv3x3-bn-relu", "output"]
    for name, matrix in (("000907", [[0, 1, 0], [0, 0, 1], [0, 0, 0]]), ("000961", [[0, 1, 1], [0, 0, 1], [0, 0, 0]])):
        config = tmp_path / "configs/sample_based/nas_bench/cifar10/cls" / f"{name}.yaml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(yaml.safe_dump({"NAS": {"MATRIX": matrix, "OPS": ops}}))
    for cell in ("cifar10/cls/1", "cifar10/cls/2", "cifar10/rot/1", "imagenet/cls/1"):
        summary = tmp_path / "summaries/nas_bench" / cell / "sweep_summary.json"
        summary.parent.mkdir(parents=True)
        jobs: list[dict[str, Any]] = [
            {"job_id": "000907", "min_test_top1": 7.5},
            {"job_id": "000961", "min_test_top1": [30, 6.5]},
        ]
        summary.write_text(json.dumps({"job_summaries": jobs}))
    lines = [f"{a},{d},{e},777,{50 + a}" for a in range(3) for d in ("cifar10", "cifar100") for e in (12, 200)]
    (tmp_path / "nasbench201.csv").write_text("\n".join(["arch,dataset,epochs,seed,accuracy", *lines]))
    scores = {"(0, 2, 3, 2, 3, 1)": {"val_accuracy": 86.06, "synflow": {"score": 50.1, "time": 0.5}}}
    (tmp_path / "zc_nasbench201.json").write_text(json.dumps({"cifar10": scores}))
    monkeypatch.chdir(tmp_path)
    asked = list(shell_commands("docs/import.md"))
    assert [words[0] for words in asked] == ["import", "import", "import", "import", "correlate", "report"]
    for words in asked:
        quick = ["--resamples", "0"] if words[0] == "report" else []
        monkeypatch.setattr("sys.argv", ["archsweep", *words, *quick])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, words
    rows = pd.concat(pd.read_parquet(tmp_path / "runs" / run / "rows") for run in ("release", "nb201"))
    assert len(rows) == 8 + 12
    assert rows.loc[rows["space"] == "nasbench101", "params"].notna().all()
    assert (tmp_path / "runs/release/report/report.html").is_file()
