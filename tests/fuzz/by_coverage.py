# ruff: noqa: PT017  (an input that is accepted is as right as one that is refused)
"""Fuzzing guided by coverage (atheris), run by hand, with the inputs that hypothesis draws at random.

    pip install 'archsweep[fuzz]'
    python tests/fuzz/by_coverage.py study -max_total_time=600      # or: arch, name

Any exception other than ValueError and LookupError stops it and prints the input.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["orchestrator", "spaces", "workers", "tomllib"]):
    import spaces
    from orchestrator.store.run_folder import RunStore
    from orchestrator.study import schema as studies

    for known in spaces.names():
        spaces.get(known)  # imported here or they would be imported later, and their branches not seen


def study(data: bytes) -> None:
    """Any text as a study."""
    try:
        studies.parse(data.decode("utf-8", "replace"), "the study")
    except ValueError as error:
        assert len(str(error)) < 20_000


def arch(data: bytes) -> None:
    """Any text as an architecture of every space; what is accepted keeps its canonical form and its cost."""
    text = data.decode("utf-8", "replace")
    for name in spaces.names():
        space = spaces.get(name)
        try:
            normal = space.normal(text)
        except ValueError as error:
            assert len(str(error)) < 2_000
            continue
        assert space.canonical(space.canonical(text)) == space.canonical(normal)
        space.cost(text, in_channels=3, width=8, depth=3, stem="cifar", size=32)


def name(data: bytes) -> None:
    """Any text as the name of a space, and of a trial's folder."""
    text = data.decode("utf-8", "replace")
    if text not in spaces.names():
        try:
            spaces.get(text)
        except LookupError:
            pass
        else:
            raise AssertionError(f"{text!r} is a space")
    try:
        path = RunStore("memory://run").at("trials", text)
    except ValueError:
        return
    assert path.count("/") == "memory://run/trials/x".count("/")


if __name__ == "__main__":
    targets = {"study": study, "arch": arch, "name": name}
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        sys.exit(f"say which: {', '.join(targets)}")
    target = targets[sys.argv.pop(1)]
    with TemporaryDirectory() as seeds:
        # From nothing it would hardly ever write an architecture that is accepted, nor a study.
        good = [a for known in spaces.names() for a in spaces.sample(spaces.get(known), 20, 0).archs]
        good += [file.read_text() for file in studies.PRESETS.iterdir() if file.name.endswith(".toml")]
        for number, text in enumerate(good):
            Path(seeds, str(number)).write_text(text)
        atheris.Setup([*sys.argv, seeds], target)
        atheris.Fuzz()
