"""One driver per run: a dead holder is replaced, a living one is named."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.store import lease
from orchestrator.store.run_folder import RunStore

from .conftest import Ended, Write, cli, start, wait_for


@pytest.fixture(params=["disk", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    return RunStore(str(tmp_path / "run") if request.param == "disk" else f"memory://{tmp_path.name}/run")


def test_a_second_driver_is_refused_and_told_who_holds_it(store: RunStore) -> None:
    lease.acquire(store, "first")
    with pytest.raises(lease.Held, match=rf"process {os.getpid()} on .*first"):
        lease.acquire(store, "second")
    lease.release(store, "second")
    assert lease.current(store) is not None
    lease.release(store, "first")
    assert lease.acquire(store, "second").launch == "second"


def test_a_dead_process_of_this_host_holds_nothing(store: RunStore) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        theirs = dataclasses.replace(
            lease.Lease.mine("theirs"), pid=process.pid, process_start=lease.start_of(process.pid)
        )
        store.write(lease.encoded(theirs), lease.NAME)
        with pytest.raises(lease.Held):
            lease.acquire(store, "mine")
        process.communicate(b"\n")
    assert lease.acquire(store, "mine").launch == "mine"


def test_a_pid_used_again_by_another_process_holds_nothing(store: RunStore) -> None:
    ours = dataclasses.replace(lease.Lease.mine("theirs"), process_start="1")
    store.write(lease.encoded(ours), lease.NAME)
    assert lease.acquire(store, "mine").launch == "mine"


@pytest.fixture
def short_life(monkeypatch: pytest.MonkeyPatch) -> float:
    """Leases that live for two seconds."""
    monkeypatch.setattr(lease, "LIFE_S", 2.0)
    monkeypatch.setattr(lease, "_LOOK_S", 0.05)
    return 2.0


def test_a_lease_of_another_host_counts_until_it_is_not_renewed(store: RunStore, short_life: float) -> None:
    there = dataclasses.replace(lease.Lease.mine("theirs"), host="elsewhere", expires=time.time() + 60)
    store.write(lease.encoded(there), lease.NAME)
    with pytest.raises(lease.Held, match=r"elsewhere.*ends in \d+ s"):
        lease.acquire(store, "mine")
    store.write(lease.encoded(dataclasses.replace(there, expires=time.time() - 1)), lease.NAME)
    assert lease.acquire(store, "mine").launch == "mine"


@pytest.mark.parametrize("behind", [3600.0, -3600.0])
def test_a_living_lease_is_not_taken_over_because_clocks_differ(
    behind: float, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder's clock is an hour behind or ahead of ours; it renews its lease all the time."""
    monkeypatch.setattr(lease, "_LOOK_S", 0.05)
    theirs = dataclasses.replace(lease.Lease.mine("theirs"), host="elsewhere")
    end = threading.Event()

    def renew() -> None:
        while not end.is_set():
            one = dataclasses.replace(theirs, expires=time.time() - behind + lease.LIFE_S)
            store.write(lease.encoded(one), lease.NAME)
            end.wait(0.1)

    holder = threading.Thread(target=renew)
    store.write(lease.encoded(dataclasses.replace(theirs, expires=time.time() - behind)), lease.NAME)
    holder.start()
    try:
        for _ in range(3):
            with pytest.raises(lease.Held, match="elsewhere"):
                lease.acquire(store, "mine")
    finally:
        end.set()
        holder.join()


def test_a_dead_holder_whose_clock_is_ahead_is_replaced(tmp_path: Path, short_life: float) -> None:
    store = RunStore(str(tmp_path / "run"))
    ahead = dataclasses.replace(lease.Lease.mine("theirs"), host="elsewhere", expires=time.time() + 3600)
    store.write(lease.encoded(ahead), lease.NAME)
    os.utime(store.at(lease.NAME), (time.time() - 60, time.time() - 60))
    assert lease.acquire(store, "mine").launch == "mine"


def test_a_process_that_cannot_be_seen_from_here_is_not_taken_for_dead(store: RunStore) -> None:
    """Two containers of one machine may have one host name; they do not see each other's processes."""
    theirs = dataclasses.replace(lease.Lease.mine("theirs"), pid=2**22 + 1, pid_namespace="pid:[1]")
    store.write(lease.encoded(theirs), lease.NAME)
    with pytest.raises(lease.Held, match="should that be gone"):
        lease.acquire(store, "mine")
    store.write(lease.encoded(dataclasses.replace(theirs, pid_namespace=lease.namespace_of_pids())), lease.NAME)
    assert lease.acquire(store, "mine").launch == "mine"


def test_a_living_driver_is_seen_from_another_pid_namespace(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path / "run"))
    lease.acquire(store, "mine")
    code = (
        "import sys; from orchestrator.store import lease, run_folder; "
        "lease.acquire(run_folder.RunStore(sys.argv[1]), 'second')"
    )
    unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no new PID namespace can be made here")
    second = subprocess.run([*unshare, sys.executable, "-c", code, store.url], capture_output=True, text=True)
    assert "lease.Held" in second.stderr
    assert lease.held(store, "mine")


def test_a_lease_of_an_earlier_version_is_read(store: RunStore) -> None:
    mine = json.loads(lease.encoded(lease.Lease.mine("theirs")))
    del mine["pid_namespace"]
    store.write(json.dumps(mine).encode(), lease.NAME)
    with pytest.raises(lease.Held, match="at work now"):
        lease.acquire(store, "mine")


def test_renewing_says_when_the_run_was_taken_over(store: RunStore) -> None:
    lease.acquire(store, "mine")
    assert lease.renew(store, "mine")
    store.write(lease.encoded(lease.Lease.mine("theirs")), lease.NAME)
    assert not lease.renew(store, "mine")


def test_stop_from_another_terminal(study: Write, tmp_path: Path) -> None:
    file = study(archs=1, tasks=("jig",), epochs=100_000, execution="checkpoint_s = 0")
    driver = start("run", file)
    wait_for(lambda: list(tmp_path.glob("run/trials/*/checkpoint.pt")))
    assert "asked process" in cli("stop", file).out
    ended = Ended(driver)
    assert ended.code == 3, ended.err
    assert "no driver is at work" in cli("stop", file).out
