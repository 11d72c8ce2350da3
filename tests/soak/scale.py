"""What a trial costs besides its training: thousands of trials that take no time, through the real command line.

    python -m tests.soak.scale --trials 4000

Prints milliseconds a trial (the wall's, and of the driver's own CPU, which other users of the machine do not change),
the driver's memory as the run goes on, the longest time in which no trial began, and the lines printed.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .processes import ROOT

STUDY = """
name = "scale"
path = "{folder}/run"
[[sweeps]]
space = "chain"
architectures = {{ sample = 10, seed = 0 }}
dataset = "photos"
tasks = ["cls", "jig"]
seeds = {seeds}
recipe = "demo"
override = {{ width = 4 }}
[execution]
max_concurrent = 2
"""


@dataclass(frozen=True)
class Sample:
    """The driver at one moment: trainings begun, CPU seconds used, resident bytes."""

    time: float
    begun: int
    cpu_s: float
    bytes: int


def _sample(pid: int, notes: Path) -> Sample:
    begun = notes.read_bytes().count(b"\n") if notes.exists() else 0
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Sample(time.time(), begun, used, resident)


def dispatch(folder: Path, trials: int) -> tuple[list[Sample], list[float], str]:
    """Run a study of so many trials; samples of the driver, the times at which trials began, what it printed."""
    (folder / "study.toml").write_text(STUDY.format(folder=folder, seeds=list(range(1, trials // 20 + 1))))
    notes = folder / "begun"
    environment = {**os.environ, "ARCHSWEEP_SOAK": str(notes), "PYTHONPATH": str(Path(__file__).parent / "trivial")}
    with (folder / "printed").open("w") as printed:
        driver = subprocess.Popen(
            [sys.executable, "-c", "from orchestrator.cli import main; main()", "run", str(folder / "study.toml")],
            env=environment,
            cwd=ROOT,
            stdout=printed,
            stderr=printed,
        )
        samples = []
        while driver.poll() is None:
            samples.append(_sample(driver.pid, notes))
            time.sleep(1.0)
    said = (folder / "printed").read_text()
    if driver.returncode:
        raise RuntimeError(f"the run ended with {driver.returncode}: {said[-2000:]}")
    return samples, sorted(map(float, notes.read_text().split())), said


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--trials", type=int, default=4000)
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        samples, begun, said = dispatch(Path(name), given.trials)
    working = [s for s in samples if s.begun]
    marks = [next(s for s in working if s.begun >= share * len(begun)) for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
    print(f"{len(begun)} trials, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for first, last in itertools.pairwise(marks):
        n = last.begun - first.begun
        print(
            f"trials {first.begun:>6}..{last.begun:<6} {1000 * (last.time - first.time) / n:7.1f} ms a trial, "
            f"{1000 * (last.cpu_s - first.cpu_s) / n:6.1f} ms of the driver's CPU; {last.bytes / 2**20:6.0f} MiB"
        )
    gaps = [b - a for a, b in itertools.pairwise(begun)]
    longest = ", ".join(f"{gap:.1f}" for gap in sorted(gaps, reverse=True)[:5])
    print(f"between two beginnings: median {statistics.median(gaps):.3f} s, longest {longest}")
    print(f"{len(said.splitlines())} lines printed")


if __name__ == "__main__":
    main()
