"""A Ray that dies under a run, or was never there: the run ends with a sentence, and the same command goes on."""

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.soak import processes

from .conftest import Ended, Spoil, Write, cli, slow, start

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]


def wait_for_rows(run: Path, n: int) -> None:
    """Until n attempts are published."""
    end = time.monotonic() + 200
    while len(list(run.glob("attempts/*.parquet"))) < n and time.monotonic() < end:
        time.sleep(0.1)
    assert len(list(run.glob("attempts/*.parquet"))) >= n


def own(driver: int, name: str) -> int:
    """The process of that name in a driver's own Ray."""
    (pid,) = [pid for pid in processes.titled(name, driver) if f"/{name}" in processes.title(pid).split()[0]]
    return pid


def attempts(run: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(p) for p in [*run.glob("rows/part-*"), *run.glob("attempts/*")]])


def gone(pids: list[int]) -> bool:
    """Whether all of these processes end within a while; a zombie that nobody waits for has ended."""
    end = time.monotonic() + 60
    while any(map(processes.title, pids)) and time.monotonic() < end:
        time.sleep(0.1)
    return not any(map(processes.title, pids))


@pytest.mark.parametrize("victim", ["raylet", pytest.param("gcs_server", marks=pytest.mark.soak)])
def test_a_run_whose_own_ray_dies_says_so_and_goes_on_when_called_again(
    victim: str, study: Write, spoil: Spoil, tmp_path: Path
) -> None:
    file, run = study(archs=5, tasks=("jig",), epochs=2, engine="tune"), tmp_path / "run"
    driver = start("run", file, **spoil(slow(1.0)))
    wait_for_rows(run, 1)
    descendants = processes.below(driver.pid)
    os.kill(own(driver.pid, victim), signal.SIGKILL)
    ended = Ended(driver, timeout=120)
    assert ended.code == 3, ended.out + ended.err
    assert f"the Ray of this run has died (its {victim} was ended by signal 9)" in ended.err
    assert "run the same command again" in ended.err
    assert not (run / "lease.json").exists()
    assert gone(descendants), "nothing trains on without a driver"
    assert (attempts(run)["status"] == "ok").all(), "nothing is held against the trials"
    ended = cli("run", file, "--engine", "inline")
    assert ended.code == 0, ended.err
    assert sorted(attempts(run)["attempt"]) == [1] * 5


@pytest.mark.soak
def test_a_cluster_that_is_lost_ends_the_run(study: Write, tmp_path: Path) -> None:
    """Half a minute: its head may be starting again."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        file = study(archs=2, tasks=("jig",), epochs=100_000, engine="tune", execution="checkpoint_s = 0")
        driver = start("run", file, RAY_ADDRESS=cluster.address)
        end = time.monotonic() + 200
        while not list(tmp_path.glob("run/trials/*/checkpoint.pt")) and time.monotonic() < end:
            time.sleep(0.1)
        cluster.head_node.all_processes["gcs_server"][0].process.kill()
        ended = Ended(driver, timeout=120)
    finally:
        cluster.shutdown()
    assert ended.code == 3, ended.out + ended.err
    assert "has not answered for" in ended.err
    assert "run the same command again" in ended.err
    assert not (tmp_path / "run" / "lease.json").exists()


def test_sigterm_while_ray_starts_ends_in_order(study: Write, tmp_path: Path) -> None:
    driver = start("run", study(engine="tune"))
    assert driver.stdout
    assert driver.stdout.readline() == "starting Ray\n"
    time.sleep(2)
    descendants = processes.below(driver.pid)
    driver.send_signal(signal.SIGTERM)
    ended = Ended(driver, timeout=120)
    assert ended.code == 3, ended.out + ended.err
    assert "SIGTERM came before any trial had started" in ended.err
    assert not (tmp_path / "run" / "lease.json").exists()
    assert gone(descendants)
