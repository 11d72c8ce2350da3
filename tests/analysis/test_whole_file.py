"""Files that a user already has stay until the new ones are whole, whoever writes them."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from made_up import population, write_part

import analysis
from analysis import whole_file
from analysis.drawing.cells import files


def test_a_write_that_fails_half_way_leaves_the_earlier_file_and_names_it(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("before")
    code = "import sys; from pathlib import Path; from analysis import whole_file; "
    code += "whole_file.write(Path(sys.argv[1]), bytes(100_000))"
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # noqa: E731
    ended = subprocess.run(
        [sys.executable, "-c", code, str(file)], preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert f"File too large: '{file}'" in ended.stderr
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["rows.csv"]


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("before")
    real.chmod(0o640)
    link.symlink_to(real)
    whole_file.write(link, "after é")
    assert link.is_symlink()
    assert real.read_text("utf-8") == "after é"
    assert real.stat().st_mode & 0o777 == 0o640


def test_what_is_no_place_for_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "folder", tmp_path / "file" / "x.csv"):
        with pytest.raises(OSError, match=place.name):
            whole_file.write(place, "x")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_everything_a_report_holds_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the file is to take its place: the earlier one is still there."""
    write_part(tmp_path / "run", population(4))
    out = tmp_path / "out"

    def make() -> None:
        analysis.report(tmp_path / "run", out, resamples=0)
        graph = {"cells": [{"name": "cell", "nodes": ["input", "output"], "edges": [[0, 1, ""]]}]}
        files.save(graph, out / "cell.svg")

    make()
    real, what = os.replace, ""

    def full(source: str, target: str | Path) -> None:
        if what in str(target):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    for what in ("report.html", "correlations.csv", "correlations.md", "figures/", "cell.svg"):
        before = {p: p.stat().st_ino for p in out.rglob("*") if p.is_file()}
        with pytest.raises(OSError, match=what) as error:
            make()
        assert "No space left" in str(error.value)
        after = {p: p.stat().st_ino for p in out.rglob("*") if p.is_file()}
        assert after.keys() == before.keys()
        assert [p for p in before if what in str(p) and after[p] != before[p]] == []
        assert len(pd.read_csv(out / "correlations.csv")) > 0
