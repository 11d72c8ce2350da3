"""Commands that need no run: `list`, `show` and `doctor`."""

from pathlib import Path

import pytest

from .test_cli import say as say  # a fixture


@pytest.mark.parametrize("what", ["spaces", "datasets", "tasks", "recipes", "presets", "tables"])
def test_lists_answer(what: str, say) -> None:
    said = say("list", what)
    assert said.code == 0
    names = {"spaces": "nasbench101", "datasets": "photos", "tasks": "jig", "recipes": "unnas", "presets": "demo"}
    assert (names | {"tables": "means"})[what] in said.out


def test_show_finds_the_space_and_counts(say) -> None:
    said = say("show", "c3.0_c3.1_c1.02_out.23")
    assert said.code == 0
    assert "nasbench101" in said.out
    assert "MACs" in said.out


@pytest.mark.parametrize(("suffix", "begins"), [(".svg", b"<svg"), (".png", b"\x89PNG"), (".dot", b"digraph")])
def test_show_draws_the_cell_into_a_file(say, tmp_path: Path, suffix: str, begins: bytes) -> None:
    file = tmp_path / f"cell{suffix}"
    assert say("show", "c3.0_c3.1_c1.02_out.23", "--out", file).code == 0
    assert file.read_bytes().startswith(begins)


def test_show_knows_a_drawing_by_its_suffix(say, tmp_path: Path) -> None:
    said = say("show", "c3_c5", "--out", tmp_path / "cell.gif")
    assert said.code == 2
    assert ".svg, .png, .dot" in said.err
    assert not list(tmp_path.iterdir())


def test_doctor_says_that_the_cache_has_no_place(say, monkeypatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "relative")
    said = say("doctor")
    assert said.code == 2
    assert "no place for the array cache: HOME is relative" in " ".join(said.out.split())


def test_doctor_finds_this_machine_sound(say, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    said = say("doctor")
    assert said.code == 0, said.out
    assert "python" in said.out
