"""A few faults of the campaign, injected into one process.  Takes a minute: `pytest -m soak`."""

import re
import subprocess
import sys

import pytest

from .processes import ROOT


@pytest.mark.soak
@pytest.mark.parametrize("seed", [2])
def test_a_run_that_suffered_faults_ends_as_the_undisturbed_one(seed: int) -> None:
    """In one process, so that it takes seconds; the faults of Ray are with the tests of the engines."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.soak.campaign", *f"--seed {seed} --faults 5 --archs 3 --engines inline".split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    print(ended.stdout, ended.stderr)
    assert ended.returncode == 0
    assert f"seed {seed}: 5 faults" in ended.stdout
    provoked = {kind: int(n) for kind, n in re.findall(r"(?m)^(\w+) +(\d+) +\d+ +\d+$", ended.stdout)}
    assert {"driver", "compactor"} <= provoked.keys()
