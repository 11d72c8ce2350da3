"""The overhead per trial: thousands of trials without training, through the real command line.

    python -m tests.soak.scale --trials 4000
    python -m tests.soak.scale --rows 100000

The first command prints milliseconds per trial (wall-clock time, and CPU time of the driver, which depends less on the
load of the machine), the driver's memory over time, the longest time without a new trial, and the number of printed
lines.  The second generates a run with this many rows and prints how many seconds each reader takes.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
            [sys.executable, "-c", "from orchestrator.cli.main import main; main()", "run", str(folder / "study.toml")],
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


def at_rest(folder: Path, rows: int) -> dict[str, tuple[float, float]]:
    """Seconds (wall, CPU) that readers take over a run of so many rows: parts of 10,000, and two hundred loose ones."""
    import analysis
    from orchestrator.store.status import status
    from orchestrator.store.trial_states import Ledger
    from orchestrator.study import frozen
    from orchestrator.study.plan import order_of_work, plan
    from orchestrator.study.schema import load
    from workers.row import SCHEMA, parquet_bytes

    (folder / "study.toml").write_text(STUDY.format(folder=folder, seeds=list(range(1, rows // 20 + 1))))
    found = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        before = os.times()
        value = work()
        after = os.times()
        found[name] = after.elapsed - before.elapsed, sum(after[:4]) - sum(before[:4])
        return value

    chosen = load(str(folder / "study.toml"))
    planned = timed("plan", lambda: plan(chosen))
    store = frozen.open_run(chosen)
    frozen.freeze(chosen, store, planned)
    now = datetime.now(UTC)
    done = {"status": "ok", "launch": "x", "attempt": 1, "diverged": False, "epochs": 1, "started_at": now}
    curve = [0.5] * 10
    done |= {"score_best": 0.5, "curve_train_loss": curve, "curve_test_score": curve, "finished_at": now}
    every = [{k: v for k, v in row.items() if k in SCHEMA.names} | done for row in planned.table.to_pylist()]
    for number, start in enumerate(range(0, rows - 200, 10_000), start=1):
        part = every[start : min(start + 10_000, rows - 200)]
        store.write(parquet_bytes(part), "rows", f"part-{number:06d}.parquet")
    for row in every[-200:]:
        store.publish_attempt(row)
    timed("status", lambda: status(store))

    def todo() -> int:
        ledger = Ledger.of(store)
        return sum(ledger.state(row["trial_id"]) == "left" for row in order_of_work(store.plan()))

    timed("todo", todo)
    timed("analysis.load", lambda: analysis.load(store.url))
    command = [sys.executable, "-c", "from orchestrator.cli.main import main; main()", "status", store.url]
    timed("archsweep status, a process of its own", lambda: subprocess.run(command, check=True, capture_output=True))
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--trials", type=int, default=4000)
    words.add_argument("--rows", type=int, default=0)
    given = words.parse_args()
    if given.rows:
        with tempfile.TemporaryDirectory(prefix="scale-") as name:
            for what, (wall, cpu) in at_rest(Path(name), given.rows).items():
                print(f"{what:<42}{wall:8.2f} s, {cpu:6.2f} s of CPU")
        print(f"{given.rows} rows, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
        return
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
