"""The command line: answers, exit codes, and one clear message for every mistake."""

import io
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from orchestrator.cli import main as module
from tests.workers.photographs import folder

from .conftest import Write

VERBS = [
    "plan",
    "run",
    "status",
    "stop",
    "retry",
    "correlate",
    "report",
    "query",
    "export",
    "import",
    "list",
    "show",
    "prepare",
    "bench",
    "doctor",
]


def noise_pictures(seed: int) -> list[bytes]:
    """Forty PNG files of noise."""
    files = []
    for pixels in np.random.default_rng(seed).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


class Said:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, " ".join(out.split()), " ".join(err.split())


@pytest.fixture
def say(archsweep):
    """Run a command in this process, at 80 columns."""
    return lambda *words: Said(*archsweep(*words))


def test_help_fits_a_screen_and_names_every_verb(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["archsweep", "--help"])
    with pytest.raises(SystemExit):
        module.main()
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) <= 80
    for verb in VERBS:
        assert f"│ {verb} " in text


def test_a_study_from_plan_to_export(study: Write, say, tmp_path: Path) -> None:
    file, run = study(archs=4), tmp_path / "run"
    planned = say("plan", file)
    assert planned.code == 0
    assert "8 trials, 0 done, 8 left" in planned.out
    assert not run.exists()
    assert say("run", file, "--limit", 3).code == 3
    assert say("status", file).out.count("3 of 8 trials done") == 1
    ended = say("run", file)
    assert ended.code == 0
    assert "8 of 8 trials done (5 trained now)" in ended.out
    again = say("run", file)
    assert again.code == 0
    assert "(0 trained now)" in again.out
    assert json.loads(say("status", run, "--json").out)["done"] == 8
    assert len(pd.read_parquet(run / "rows")) == 8
    asked = say("query", run, "select task, count(*) as n from rows group by task order by task")
    assert "cls 4 jig 4" in asked.out
    for ending in ("csv", "parquet", "json"):
        assert say("export", run, tmp_path / f"rows.{ending}").code == 0
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 8
    report = say("report", run)
    assert report.code == 0
    assert (run / "report" / "report.html").stat().st_size > 10_000
    assert not (run / "lease.json").exists()


def test_only_selects_and_the_study_grows(study: Write, say) -> None:
    assert say("run", study(archs=2), "--only", "task=jig").code == 0
    assert "2 of 4 trials done" in say("status", study(archs=2)).out
    ended = say("run", study(archs=3, seeds=(1, 2)))
    assert ended.code == 0
    assert "12 of 12 trials done (10 trained now)" in ended.out


def test_two_contents_of_one_dataset_are_two_cells_with_their_own_folders(study: Write, say, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        pictures = noise_pictures(seed)
        (tmp_path / name).mkdir()
        for split in ("train", "test"):
            frame = pd.DataFrame({"image": pictures, "label": [k % 10 for k in range(40)]})
            frame.to_parquet(tmp_path / name / f"{split}.parquet")
    text = study(archs=1, tasks=("cls",), dataset="photos").read_text()
    sweep = text.split("[[sweeps]]")[1].split("[execution]")[0].replace("batch = 32", "batch = 8")
    blocks = [
        sweep.replace('"photos"', f'{{ name = "cifar10", path = "{tmp_path / name}" }}') for name in ("one", "two")
    ]
    file = study(archs=1, tasks=("cls",))
    file.write_text(text.replace(text.split("[[sweeps]]")[1].split("[execution]")[0], "[[sweeps]]".join(blocks)))
    ended = say("run", file)
    assert ended.code == 0, ended.out + ended.err
    rows = pd.read_parquet(tmp_path / "run" / "rows")
    assert rows["dataset_id"].nunique() == rows["trial_id"].nunique() == 2


def test_a_run_means_the_same_without_the_file_of_architectures(study: Write, say, tmp_path: Path) -> None:
    (tmp_path / "archs.txt").write_text("c3_c5\nmp_c3\n")
    file = study(tasks=("cls",))
    file.write_text(file.read_text().replace("sample = 2, seed = 0", 'file = "archs.txt"'))
    assert say("run", file, "--limit", 1).code == 3
    (tmp_path / "archs.txt").unlink()
    ended = say("run", tmp_path / "run")
    assert ended.code == 0
    assert "2 of 2 trials done (1 trained now)" in ended.out


def test_rows_no_longer_planned_are_left_out_and_kept(study: Write, say, tmp_path: Path) -> None:
    assert say("run", study(archs=2)).code == 0
    assert say("run", study(archs=1)).code == 0
    assert json.loads(say("status", tmp_path / "run", "--json").out)["total"] == 2
    assert len(pd.read_parquet(tmp_path / "run" / "rows")) == 4


def test_failures_are_quarantined_listed_and_retried(study: Write, say, tmp_path: Path) -> None:
    file = study(archs=1, tasks=("cls",))
    good = file.read_text()
    file.write_text(good.replace("batch = 32", "batch = 5000"))
    ended = say("run", file)
    assert ended.code == 1
    assert "batch of 5000 images" in ended.out
    rows = pd.read_parquet(tmp_path / "run" / "rows")
    assert rows["attempt"].tolist() == [1, 2]
    assert set(rows["status"]) == {"failed"}
    found = say("status", file)
    assert "error: 1 trial 1 x ValueError: a batch of 5000 images is more than the 64" in found.out
    assert f"(e.g. {rows['trial_id'][0]})" in found.out
    (group,) = json.loads(say("status", file, "--json").out)["failures"]
    assert (group["error_class"], group["count"], group["trial_ids"]) == ("error", 1, [rows["trial_id"][0]])
    assert group["line"].startswith("ValueError: a batch of 5000")
    assert say("run", file).code == 1
    assert len(pd.read_parquet(tmp_path / "run" / "rows")) == 2
    trial = rows["trial_id"][0]
    assert (tmp_path / "run" / "trials" / trial / "log.txt").read_text().count("Traceback") == 1
    assert say("retry", file, "--trial", trial).code == 1
    assert pd.read_parquet(tmp_path / "run" / "rows")["attempt"].tolist() == [1, 2, 3, 4]
    assert say("retry", file, "--class", "oom").out == "no failed trial matches: nothing to retry"


def a_failed_run(study: Write, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A run whose trials failed of something that has passed by now; their ids by class."""
    from datetime import UTC, datetime

    from orchestrator import runner
    from orchestrator.study import schema as studies
    from orchestrator.study.plan import plan

    file = study(archs=4, tasks=("jig",))
    loaded = studies.load(str(file))
    store, planned = runner.open_run(loaded), plan(loaded)
    runner.freeze(loaded, store, planned)
    kinds = {"error": 2, "oom_cuda": 2, "timeout": 1, "worker_died": 3}
    ids = dict(zip(kinds, planned.table["trial_id"].to_pylist(), strict=True))
    for kind, times in kinds.items():
        for attempt in range(1, times + 1):
            row = {"status": "failed", "error_class": kind, "error_text": "it broke", "traceback": "it broke"}
            key = {"trial_id": ids[kind], "launch": "l", "attempt": attempt, "finished_at": datetime.now(UTC)}
            store.publish_attempt(row | key)
    return file, ids


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["--class", "oom"], ["oom_cuda"]),
        (["--class", "timeout"], ["timeout"]),
        (["--class", "error"], ["error"]),
        (["--failed"], ["error", "oom_cuda", "timeout", "worker_died"]),
        (["--failed", "--class", "worker_died"], ["worker_died"]),
        (["--trial", "{error}", "--trial", "{timeout}"], ["error", "timeout"]),
        (["--trial", "{error}", "--class", "oom"], []),
    ],
    ids=" ".join,
)
def test_retry_trains_what_it_is_asked_for(
    words: list[str], again: list[str], study: Write, say, tmp_path: Path
) -> None:
    file, ids = a_failed_run(study, tmp_path)
    said = say("retry", file, *(word.format(**ids) for word in words))
    assert said.code == 0, said.err
    assert (f"retrying {len(again)} trial" if again else "nothing to retry") in said.out
    after = pd.concat(map(pd.read_parquet, (tmp_path / "run").glob("[ar]*/*.parquet")))
    done = after[after["status"] == "ok"].set_index("trial_id")["attempt"].to_dict()
    tries = {"error": 3, "oom_cuda": 3, "timeout": 2, "worker_died": 4}
    assert done == {ids[kind]: tries[kind] for kind in again}
    assert (after["status"] == "failed").sum() == 8


def test_retry_of_what_is_not_there_or_at_work(study: Write, say, tmp_path: Path) -> None:
    from orchestrator.store import lease
    from orchestrator.store.run_folder import RunStore

    file, ids = a_failed_run(study, tmp_path)
    assert "no failed trial nope; failed are" in say("retry", file, "--trial", "nope").err
    assert "--class 'oops': classes are error, node_died, oom_cuda" in say("retry", file, "--class", "oops").err
    store = RunStore(str(tmp_path / "run"))
    lease.acquire(store, "another")
    refused = say("retry", file, "--failed")
    assert refused.code == 3
    assert "launch another" in refused.err
    assert not store.exists("forgiven.json")
    lease.release(store, "another")
    file.write_text(file.read_text().replace("sample = 4", "sample = 1"))  # the others are no longer planned
    assert say("run", file).code in (0, 1)
    assert say("retry", file, "--trial", list(ids.values())[-1]).code == 2


MISTAKES = [
    (["run", "nope"], r"no study 'nope'.*presets are demo"),
    (["status", "nope"], "no study 'nope'"),
    (["plan"], "Missing argument"),
    (["list", "archs"], "give one of spaces"),
    (["show", "c3_c9"], "c9"),
    (["show", "c3_c5", "--space", "dart"], "no .*space 'dart'"),
    (["prepare", "cifar"], "no dataset 'cifar'; have .*cifar10"),
    (["prepare", "cifar10"], "cifar10"),
    (["prepare", "imagenet", "--data-root", "."], "no imagenet at"),
    (["prepare", "cifar10", "--mode", "array"], "imagenet"),
    (["prepare", "imagenet", "--mode", "arrays"], "exact or array"),
    (["prepare", "imagenet", "--fraction", "1.5"], "at most 1"),
    (["retry", "demo"], "--failed, --class CLASS, --trial ID or --weights"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_a_mistake_is_one_message_and_exit_code_2(
    words: list[str], says: str, say, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = say(*words)
    assert said.code == 2
    assert re.search(says, said.err), said.err
    assert "Traceback" not in said.err
    assert not list(tmp_path.iterdir())


def test_mistakes_in_options_of_a_study(study: Write, say, tmp_path: Path) -> None:
    file = study()
    for words, says in [
        (["run", file, "--engine", "slurm"], "give tune or inline"),
        (["run", file, "--only", "colour=red"], "with a key of space, arch"),
        (["run", file, "--limit", "0"], "--limit"),
        (["export", file, "rows.xls"], ".csv, .parquet, .json"),
        (["report", file], "run"),
        (["query", "select 1"], "at least one run"),
    ]:
        said = say(*words)
        assert said.code == 2, words
        assert says in said.err, said.err
    assert not (tmp_path / "run").exists()


def test_an_unknown_key_of_the_study_is_refused(study: Write, say) -> None:
    file = study(execution="gpus = 1")
    said = say("run", file)
    assert said.code == 2
    assert "execution.gpus: unknown key" in said.err


def test_a_preset_takes_its_data_from_another_folder(say, tmp_path: Path, monkeypatch) -> None:
    folder(tmp_path / "pictures" / "imagenet", each=4)
    monkeypatch.chdir(tmp_path)
    words = ["small-imagenet", "--data-root", "pictures"]
    planned = json.loads(say("plan", *words, "--json").out)
    assert planned["total"] == 48
    assert planned["device_seconds_left"] < 600  # so few images: some seconds a trial, not the hours of ImageNet
    assert not planned["dataset_ids"][0].endswith("unread")
    said = say("run", *words, "--engine", "inline", "--only", "space=nasbench101,task=cls", "--limit", "1")
    assert said.code == 3, said.err
    assert tomllib.loads(Path("runs/small-imagenet/study.toml").read_text())["data_root"] == str(tmp_path / "pictures")
    (tmp_path / "empty").mkdir()
    assert say("run", "small-imagenet", "--data-root", "empty").code == 2


def test_loggers_that_cannot_be_had_are_told_before_anything_starts(
    study: Write, say, tmp_path: Path, monkeypatch
) -> None:
    from orchestrator.ray_tune import loggers

    monkeypatch.setitem(loggers._PACKAGES, "mlflow", "no_such_package_here")
    said = say("run", study(engine="tune", execution='loggers = ["tensorboard", "mlflow"]'))
    assert said.code == 2
    assert "pip install 'archsweep[mlflow]'" in said.err
    assert "engine inline has none" in say("run", study(execution='loggers = ["tensorboard"]')).err
    assert "execution.loggers[0]" in say("run", study(execution='loggers = ["tensorbord"]')).err
    assert not (tmp_path / "run").exists()


def test_missing_data_is_told_before_anything_starts(study: Write, say, tmp_path: Path) -> None:
    file = study(dataset="cifar10")
    file.write_text(file.read_text().replace("[[sweeps]]", 'data_root = "none"\n[[sweeps]]'))
    assert "4 left" in say("plan", file).out
    said = say("run", file)
    assert said.code == 2
    assert "cifar10" in said.err
    assert not list((tmp_path / "run").glob("attempts/*"))
    assert not (tmp_path / "run" / "lease.json").exists()


def test_a_truncated_image_is_named_with_its_file_and_row(study: Write, say, tmp_path: Path) -> None:
    folder = tmp_path / "cifar10"
    folder.mkdir()
    pictures = noise_pictures(0)[:4]
    for split in ("train", "test"):
        pd.DataFrame({"image": pictures, "label": range(4)}).to_parquet(folder / f"{split}.parquet")
    pictures[2] = pictures[2][: len(pictures[2]) // 2]
    pd.DataFrame({"image": pictures, "label": range(4)}).to_parquet(folder / "test.parquet")
    file = study(dataset="cifar10")
    file.write_text(file.read_text().replace("[[sweeps]]", f'data_root = "{tmp_path}"\n[[sweeps]]'))
    said = say("run", file)
    assert said.code == 2
    assert "test.parquet" in said.err
    assert "row 2" in said.err
    assert not (tmp_path / "run").exists()


def test_status_of_what_was_never_run(study: Write, say) -> None:
    said = say("status", study())
    assert said.code == 0
    assert "no run yet" in said.out


def test_the_run_of_another_study_is_refused(study: Write, say, tmp_path: Path) -> None:
    assert say("run", study(archs=1, tasks=("jig",))).code == 0
    before = (tmp_path / "run" / "study.toml").read_text()
    file = study()
    file.write_text(file.read_text().replace('name = "tiny"', 'name = "other"'))
    said = say("run", file)
    assert said.code == 2
    assert "is the run of study 'tiny', not of 'other'" in said.err
    assert (tmp_path / "run" / "study.toml").read_text() == before


def test_an_unwritable_run_folder_is_told(study: Write, say, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    said = say("run", study())
    assert said.code == 2
    assert str(tmp_path / "run") in said.err
