"""The faults of a campaign.  Each is applied to the current round and returns whether it had an effect."""

import random
import time
from collections.abc import Callable

from . import processes
from .world import Happened, Round

Fault = Callable[[Round, random.Random], bool]


def driver(round: Round, rng: random.Random) -> bool:
    """kill -9 of the driver; the next may start while its workers still live."""
    processes.kill(round.driver.pid)
    round.buried()
    time.sleep(rng.choice([0.0, 0.5, 3.0]))
    return True


def worker(round: Round, rng: random.Random) -> bool:
    """kill -9 of a process that trains."""
    there = round.trainers()
    if not there:
        return False
    chosen = rng.choice(there)
    round.happened[-1].pids = [chosen]
    return processes.kill(chosen)


def compactor(round: Round, rng: random.Random) -> bool:
    """kill -9 of the driver before some step of the next compactions."""
    armed = round.folder / "compactor"
    died = len(round.events("compactor"))
    armed.write_text(str(rng.randrange(8)))
    round.wait()
    armed.unlink(missing_ok=True)
    return len(round.events("compactor")) > died


def node(round: Round, rng: random.Random) -> bool:
    """A node of the cluster goes away, with its workers; another joins a little later."""
    raylets = round.cluster.raylets()
    number = rng.randrange(len(raylets))
    round.happened[-1].pids = processes.training(raylets[number])
    round.cluster.remove(number)
    time.sleep(rng.choice([0.0, 2.0]))
    round.cluster.fill()
    return True


def gcs(round: Round, rng: random.Random) -> bool:
    """kill -9 of the cluster's head service; Ray then ends the driver after a while."""
    there = processes.titled("gcs_server")
    killed = [pid for pid in there if processes.kill(pid)]
    if not killed:
        return False
    round.wait()
    if round.cluster is not None:
        round.cluster.end()
        round.cluster = None
    return True


def place(round: Round, rng: random.Random) -> bool:
    """The place of the run fails (a full disk, a store that is gone), for a moment or until the driver gives up."""
    with round.place.failing():
        _while_it_lasts(round, rng.choice([1.0, 1.0, 4.0, 10.0, 60.0]))
    return True


def _while_it_lasts(round: Round, seconds: float) -> None:
    end = time.monotonic() + seconds
    round.until(lambda: time.monotonic() >= end)


KINDS: dict[str, Fault] = {
    "driver": driver,
    "worker": worker,
    "compactor": compactor,
    "node": node,
    "gcs": gcs,
    "disk": place,
    "endpoint": place,
}
# How often each is drawn where it can happen, by engine.
DRAWN: dict[str, dict[str, int]] = {
    "inline": {"driver": 4, "compactor": 3, "disk": 3, "endpoint": 3},
    "local": {"driver": 3, "worker": 6, "compactor": 2, "gcs": 1, "disk": 3, "endpoint": 3},
    "cluster": {"driver": 3, "worker": 4, "compactor": 2, "node": 5, "gcs": 1, "disk": 2, "endpoint": 2},
}


def provoke(round: Round, kind: str, rng: random.Random) -> bool:
    """Let a fault happen to a round with a living driver; False where there was nothing to hit."""
    happened = Happened(kind, time.time(), pids=round.trainers())
    round.happened.append(happened)
    hit = KINDS[kind](round, rng)
    happened.ended = time.time()
    if not hit:
        round.happened.remove(happened)
    return hit
