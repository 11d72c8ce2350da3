"""Inject faults at random moments, run `archsweep run` after each, and check the run at the end.

make soak                    at least a hundred faults
make soak SEED=123 FAULTS=20 the same faults in the same order as before; moments differ as the machine does
"""

import argparse
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from . import processes
from .faults import DRAWN, provoke
from .places import Folder, Place, places
from .verdict import judge, rows
from .world import Happened, Round, StuckError

ENGINES = ["local", "cluster", "inline"]
# Ray gives up on a dead head service after a minute; here it does so at once.
IMPATIENT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5", "RAY_DEDUP_LOGS": "0", "COLUMNS": "160"}


@dataclass
class Plan:
    """One fault to come: which, after how many more trainings have begun, and how many seconds later."""

    kind: str
    begun: int
    seconds: float
    dice: random.Random


def schedule(
    seed: int, first: int, engines: list[str], there: list[Place]
) -> Iterator[tuple[int, str, Place, float, Iterator[Plan]]]:
    """Round by round: the engine, where the run lies, seconds between checkpoints, and faults without end."""
    for number in itertools.count(first):
        dice = random.Random(f"{seed}/{number}")
        engine, place = engines[(number - 1) % len(engines)], there[(number - 1) % len(there)]
        yield number, engine, place, dice.choice([0, 60]), _faults(dice, engine, place.fault)


def _faults(dice: random.Random, engine: str, of_place: str) -> Iterator[Plan]:
    kinds = {kind: n for kind, n in DRAWN[engine].items() if kind == of_place or kind not in ("disk", "endpoint")}
    while True:
        (kind,) = dice.choices(list(kinds), list(kinds.values()))
        # Now and then before anything trains: while the driver plans, takes the lease, starts Ray.
        begun = dice.choice([0, 1, 1, 1, 2])
        yield Plan(kind, begun, dice.uniform(0, 5 if begun == 0 else 1.5), random.Random(dice.random()))


def suffer(round: Round, faults: Iterator[Plan], most: int, say: object) -> None:
    """Run until nothing is left, with at most so many faults on the way."""
    retried = False
    while True:
        round.launch(*(["retry", round.url, "--failed"] if retried else []))
        retried = False
        while round.alive and len(round.happened) < most:
            plan = next(faults)
            if not _until_begun(round, plan.begun):
                break
            time.sleep(plan.seconds)
            if not round.alive:
                break
            round.look()
            if provoke(round, plan.kind, plan.dice):
                say(f"{plan.kind} after {plan.begun} trainings and {plan.seconds:.1f} s")
        if round.driver is None:  # a fault ended it, and noted how
            code = round.exits[-1]
        else:
            code = round.wait()
        round.look()
        if code == 0:
            return
        if code == 1 and _quarantined(round):
            retried = True  # a person would look first: the same worker was killed three times
        if len(round.exits) > 20 + 3 * most:
            round.complaints.append(f"still not done after {len(round.exits)} launches: exits {round.exits}")
            return


def _until_begun(round: Round, more: int) -> bool:
    """Wait for so many more trainings to begin; False where the driver ends before, or is stuck and has to be ended."""
    begun = len(round.events("begin")) + more
    try:
        return round.until(lambda: len(round.events("begin")) >= begun)
    except StuckError as stuck:
        round.complaints.append(str(stuck))
        processes.kill(round.driver.pid)
        return False


def _quarantined(round: Round) -> bool:
    said = (round.folder / f"launch-{len(round.exits):03d}.log").read_text(errors="replace")
    return "they wait for" in said


def undisturbed(folder: Path, archs: int) -> pd.DataFrame:
    """The rows of the same study, one trial after the other in one process."""
    calm = Round(folder / "calm", Folder(folder), 0, "inline", archs, 60, {})
    calm.launch()
    if calm.wait() != 0:
        raise RuntimeError(f"not even the undisturbed run ended well; see {calm.folder}")
    return rows(calm.url).set_index("trial_id")


def campaign(seed: int, faults: int, first: int, archs: int, engines: list[str], folder: Path) -> bool:
    """Provoke so many faults and print what they did; False where anything is amiss."""
    began = time.monotonic()
    there, missing = places(folder)
    for why in missing:
        print(f"skipped: {why}")
    print(f"seed {seed}, {faults} faults, load {os.getloadavg()[0]:.1f}; notes in {folder}", flush=True)
    happened: list[Happened] = []
    amiss: list[str] = []
    twice = launches = rounds = 0
    try:
        expected = undisturbed(folder, archs)
        print(f"undisturbed: {len(expected)} trials, {expected['wall_s'].median():.1f} s each", flush=True)
        for number, engine, place, checkpoint_s, plans in schedule(seed, first, engines, there):
            if len(happened) >= faults:
                break

            what = f"round {number} ({engine}, {place.url(number)})"

            def say(text: str, what: str = what) -> None:
                print(f"{time.monotonic() - began:7.1f} s  {what}: {text}", flush=True)

            round = Round(folder / f"round-{number}", place, number, engine, archs, checkpoint_s, dict(IMPATIENT))
            try:
                suffer(round, plans, faults - len(happened), say)
                found, again = judge(round, expected)
            finally:
                round.end()
            place.keep(number, round.folder)
            happened += round.happened
            amiss += [f"{what}: {text}" for text in found]
            twice, launches, rounds = twice + again, launches + len(round.exits), rounds + 1
            say(f"ended, exits {round.exits}; " + ("; ".join(found) or "as undisturbed"))
    finally:
        processes.end_all()
        for place in there:
            place.end()
    _show(happened, twice)
    minutes = (time.monotonic() - began) / 60
    print(f"seed {seed}: {len(happened)} faults, {launches} launches, {rounds} runs, {len(expected)} trials each")
    print(f"{minutes:.1f} minutes, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for text in amiss:
        print(f"AMISS: {text}")
    print("amiss: " + (f"{len(amiss)}" if amiss else "nothing"), flush=True)
    return not amiss


def _show(happened: list[Happened], twice: int) -> None:
    print(f"{'fault':<12}{'provoked':>10}{'rows lost':>11}{'begun again':>13}")
    for kind in sorted({fault.kind for fault in happened}):
        alike = [fault for fault in happened if fault.kind == kind]
        print(f"{kind:<12}{len(alike):>10}{sum(f.lost for f in alike):>11}{sum(f.repeated for f in alike):>13}")
    print(f"rows doubled: {twice}")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seed", type=int, default=None)
    words.add_argument("--faults", type=int, default=100)
    words.add_argument("--round", type=int, default=1, help="begin with this round of the seed's")
    words.add_argument("--archs", type=int, default=6, help="architectures of the study; four trials each")
    words.add_argument("--engines", default=",".join(ENGINES))
    given = words.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    for number in (signal.SIGINT, signal.SIGTERM):  # what was started and mounted goes with us
        signal.signal(number, lambda *_: sys.exit(130))
    processes.adopt()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    os.environ["RAY_TMPDIR"] = str(folder)
    sys.path.insert(0, str(Path.cwd()))
    good = campaign(seed, given.faults, given.round, given.archs, given.engines.split(","), folder)
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
