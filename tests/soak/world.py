"""The environment of a campaign's round: the folder of the run, optionally a cluster, and one driver at a time."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import analysis

from . import processes
from .cluster import Cluster
from .places import Place

STUCK_S = 300.0  # without a training begun or ended
_LOOK_S = 0.05
KEYS = ["trial_id", "launch", "attempt"]

STUDY = """
name = "soak"
path = "{path}"
[[sweeps]]
space = "chain"
architectures = {{ sample = {archs}, seed = 0 }}
dataset = "photos"
tasks = ["cls", "jig"]
seeds = [1, 2]
recipe = "demo"
override = {{ epochs = 1, width = 4, precise_bn = 64 }}
[execution]
engine = "{engine}"
checkpoint_s = {checkpoint_s}
max_concurrent = 3
"""


class StuckError(RuntimeError):
    """Nothing moves any more, though work is left."""


@dataclass
class Happened:
    """One fault: when it hit (seconds since the epoch), which workers trained, what was lost by the next look."""

    kind: str
    began: float
    ended: float = 0.0
    pids: list[int] = field(default_factory=list)
    lost: int = 0  # ok rows that were there before and are not now
    repeated: int = 0  # trainings begun anew since it cut the first short


@dataclass
class Round:
    """A run from the first driver to the last."""

    folder: Path  # notes, logs, the study file
    place: Place
    number: int
    engine: str  # inline, local (a Ray of the driver's own) or cluster
    archs: int
    checkpoint_s: float
    environment: dict[str, str]
    cluster: Cluster | None = None
    driver: "subprocess.Popen[bytes] | None" = None
    happened: list[Happened] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    seen: set[tuple[str, ...]] = field(default_factory=set)  # ok rows that a reader saw
    complaints: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The run."""
        return self.place.url(self.number)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        engine = "inline" if self.engine == "inline" else "tune"
        text = STUDY.format(path=self.url, archs=self.archs, engine=engine, checkpoint_s=self.checkpoint_s)
        (self.folder / "study.toml").write_text(text)

    # --- the driver ---

    def launch(self, *words: str) -> None:
        """Start the next driver; `run` unless words say otherwise."""
        environment = {**os.environ, **self.environment, "ARCHSWEEP_SOAK": str(self.folder)}
        environment["PYTHONPATH"] = str(Path(__file__).parent / "probe")
        environment.pop("RAY_ADDRESS", None)
        if self.engine == "cluster":
            if self.cluster is None:
                with _environment(environment):
                    self.cluster = Cluster(self.folder / "cluster.log")
            self.cluster.fill()
            environment["RAY_ADDRESS"] = self.cluster.address
        with (self.folder / f"launch-{len(self.exits) + 1:03d}.log").open("wb") as log:
            self.driver = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "from orchestrator.cli.main import main; main()",
                    *(words or ("run", str(self.folder / "study.toml"))),
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=environment,
                cwd=processes.ROOT,
            )

    @property
    def alive(self) -> bool:
        """Whether a driver is at work."""
        return self.driver is not None and self.driver.poll() is None

    def wait(self) -> int:
        """Wait for the driver's end; its exit code.  A driver that is stuck is killed, and complained of."""
        try:
            self.until(lambda: False)
        except StuckError as stuck:
            self.complaints.append(str(stuck))
            processes.kill(self.driver.pid)
        return self.buried()

    def buried(self) -> int:
        """Note how a driver ended that is gone, or about to be."""
        code = self.driver.wait()
        self.driver = None
        self.exits.append(code)
        said = (self.folder / f"launch-{len(self.exits):03d}.log").read_text(errors="replace")
        if code not in (0, 1, 2, 3, -9, -6) or (code >= 0 and "Traceback" in said):
            self.complaints.append(f"launch {len(self.exits)} ended with {code}: {said[-2000:]}")
        return code

    def until(self, reached: Callable[[], bool]) -> bool:
        """Wait for something, at most until the driver ends; StuckError where nothing moves for long."""
        size, still = -1, 0.0  # seconds looked at, not passed: a machine that sleeps meanwhile is not stuck
        while self.alive:
            if reached():
                return True
            now = self._notes().stat().st_size if self._notes().exists() else 0
            size, still = now, (still + _LOOK_S if now == size else 0.0)
            if still > STUCK_S:
                raise StuckError(f"launch {len(self.exits) + 1} did nothing for {STUCK_S:g} s")
            time.sleep(_LOOK_S)
        return reached()

    # --- what can be seen of it ---

    def _notes(self) -> Path:
        return self.folder / "events.jsonl"

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What the probe noted, oldest first."""
        text = self._notes().read_text() if self._notes().exists() else ""
        return [event for line in text.splitlines() if (event := json.loads(line))["event"] == kind]

    def trainers(self) -> list[int]:
        """The processes that train now."""
        if self.engine == "inline":
            return [self.driver.pid] if self.alive else []
        return processes.training()

    def look(self) -> None:
        """Read the run as a user does; rows that were seen before and are gone are booked on the last fault."""
        with contextlib.suppress(FileNotFoundError):  # before the first row
            rows = analysis.load(self.url, columns=[*KEYS, "status"])
            ok = rows[rows["status"] == "ok"]
            now = set(ok[KEYS].astype(str).itertuples(index=False, name=None))
            trials = {key[0] for key in now}
            gone = {key for key in self.seen if key[0] not in trials}
            if gone:
                self.happened[-1].lost += len(gone)
                self.seen -= gone
            self.seen |= now

    def end(self) -> None:
        """End what is still there."""
        if self.alive:
            processes.kill(self.driver.pid)
            self.buried()
        if self.cluster is not None:
            self.cluster.end()
            self.cluster = None
        processes.end_all()


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
