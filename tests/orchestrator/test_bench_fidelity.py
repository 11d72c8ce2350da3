"""`bench fidelity`: an ordinary run in two precisions, and the statistics of its rows."""

import json
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from orchestrator.bench import fidelity as bench_fidelity
from orchestrator.cli import main as module

TINY = ("--space", "chain", "--smoke", "--archs", 3)


@pytest.fixture
def fidelity(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Exit code, output and messages of `archsweep bench fidelity`, in this process, at 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["archsweep", "bench", "fidelity", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            module.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_numbers_come_from_the_rows_of_a_run_that_resumes(fidelity, tmp_path: Path) -> None:
    file, run = tmp_path / "deep" / "fidelity.json", tmp_path / "run"
    code, out, err = fidelity(*TINY, "--into", run, "--json", file)
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    found = json.loads(file.read_text())
    assert found["bench"] == "fidelity"
    assert (found["space"], found["task"], found["epochs"], found["n"]) == ("chain", "cls", 1, 3)
    assert (found["modes"], found["seeds"]) == (["fp32", "bf16"], [1, 2])
    assert all(line["train_s"] > 0 for line in found["scores"])

    rows = pd.read_parquet(run / "rows")
    assert len(rows) == 3 * 2 * 2
    wide = rows.pivot(index="arch", columns=["precision", "seed"], values="score_best")
    mean = wide.T.groupby("precision").mean().T
    same = [stats.spearmanr(wide["fp32", s], wide["bf16", s]).statistic for s in (1, 2)]
    other = [stats.spearmanr(wide["fp32", s], wide["bf16", 3 - s]).statistic for s in (1, 2)]
    expected = {
        ("seeds", "fp32"): stats.spearmanr(wide["fp32", 1], wide["fp32", 2]).statistic,
        ("seeds", "bf16"): stats.spearmanr(wide["bf16", 1], wide["bf16", 2]).statistic,
        ("same_seed", "bf16"): sum(same) / 2,
        ("other_seeds", "bf16"): sum(other) / 2,
        ("seed_means", "bf16"): stats.spearmanr(mean["fp32"], mean["bf16"]).statistic,
    }
    assert {(x["comparison"], x["y"]): x["rho"] for x in found["agreement"]} == pytest.approx(expected)
    assert found["scores"][1]["difference"] == pytest.approx((mean["bf16"] - mean["fp32"]).mean())

    before = sorted(rows["finished_at"])
    assert fidelity(*TINY, "--into", run, "--json", file)[0] == 0
    again = json.loads(file.read_text())
    assert (again["agreement"], again["scores"]) == (found["agreement"], found["scores"])
    assert sorted(pd.read_parquet(run / "rows")["finished_at"]) == before, "nothing was trained again"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--modes", "fp32,fp8"), "fp8: bench knows fp32, tf32, bf16"),
        (("--modes", "fp32,tf32"), "'tf32' is a mode of CUDA devices"),
        (("--modes", "fp32"), "give two or more different ones"),
        (("--modes", "bf16,bf16"), "give two or more different ones"),
        (("--space", "dart"), "bench fidelity: study: no search space 'dart'; have chain, darts, mobilenet"),
        (("--seeds", "1"), "--seeds"),
        (("--archs", "2"), "--archs"),
        (("--device", "tpu"), "--device tpu: give cpu or cuda"),
        (("--recipe", "unnas"), "recipe 'unnas' has no"),
    ],
)
def test_what_cannot_be_compared_is_told_before_anything_trains(words, said: str, fidelity, tmp_path: Path) -> None:
    code, _, err = fidelity(*TINY, "--into", tmp_path / "run", *words)
    assert code == 2
    assert said in " ".join(err.split())
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_study_is_refused(fidelity, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('name = "mine"\n')
    code, _, err = fidelity(*TINY, "--into", tmp_path)
    assert code == 2
    assert "study 'mine'" in err


def test_failed_trials_leave_nothing_to_compare(fidelity, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(bench_fidelity, "_SMALL", {"epochs": 1, "batch": 5000})
    file = tmp_path / "fidelity.json"
    code, out, err = fidelity(*TINY, "--json", file)
    assert code == 1
    assert "0 of 12 trials succeeded" in err
    assert "ValueError" in err
    assert out == ""
    assert not file.exists()


def test_the_verdict_is_no_better_than_the_seeds() -> None:
    def said(low: float | None, gap: tuple[float, float, float | None]) -> str:
        seeds = {"x": "fp32", "rho_low": low}
        return bench_fidelity.verdict(
            seeds, {"y": "bf16", "x": "fp32"} | dict(zip(("gap_low", "gap", "gap_high"), gap, strict=True))
        )

    assert said(0.4, (-0.1, 0.1, 0.2)) == "bf16 ranks as fp32 does, within the noise of the seeds"
    assert "cannot decide it" in said(0.4, (-0.3, -0.1, 0.2))
    assert said(0.4, (-0.5, -0.3, -0.1)) == "bf16 does not rank as fp32 does"
    assert "no conclusion possible" in said(-0.1, (-0.1, 0.1, 0.2))
    assert "too few" in said(None, (-0.1, 0.1, 0.2))
