"""docs/slurm.sh with stubs of Slurm: which address it uses, and that every wait has a limit."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "slurm.sh"
STUBS = {
    "hostname": '[ "$1" = -I ] && echo "$ALL" || echo node7',
    "getent": 'for a in $NAMED; do echo "$a STREAM node7"; done',
    # Tasks one after the other, the workers first: the head stays until it is killed.
    "srun": """
shift
for SLURM_PROCID in $(seq $((SLURM_JOB_NUM_NODES - 1))); do
    export SLURM_PROCID
    "$@" || echo "task $SLURM_PROCID gave up"
done
SLURM_PROCID=0 exec "$@" """,
    "ray": """
echo "ray $*" >> "$CALLS"
case "$*" in
    *--head*) [ -n "$NO_HEAD" ] && exit 1; /bin/sleep 60 & echo $! > "$CALLS.head"; wait;;
    start*) [ -z "$NO_WORKERS" ];;
    health-check*) [ -e "$CALLS.head" ];;
esac""",
    "python3": 'echo "$JOINED"',
    "timeout": 'shift; "$@"',
    "sleep": "/bin/sleep 0.02",
    "archsweep": 'echo "archsweep $*" >> "$CALLS"; exit "$CODE"',
    "scontrol": 'echo "scontrol $*" >> "$CALLS"',
}
Submit = Callable[..., tuple[int, str, str]]


@pytest.fixture
def submit(tmp_path: Path) -> Submit:
    """Runs the script as Slurm would, on a machine as described; gives exit code, what it said, and what it called."""
    for name, text in STUBS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"

    def run(**machine: str) -> tuple[int, str, str]:
        values = {"NAMED": "10.0.0.7", "ALL": "10.0.0.7", "JOINED": "2", "CODE": "0", "NO_HEAD": "", "NO_WORKERS": ""}
        slurm = {"SLURM_JOB_ID": "4321", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "4"}
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls), **slurm, **values, **machine}
        process = subprocess.Popen(
            ["bash", SCRIPT, "study.toml"],
            env=environment,
            stdout=(tmp_path / "said").open("w"),
            stderr=subprocess.STDOUT,
        )
        code = process.wait(timeout=120)
        if (head := tmp_path / "calls.head").exists():
            subprocess.run(["kill", head.read_text().strip()], check=False)
        return code, (tmp_path / "said").read_text(), calls.read_text() if calls.exists() else ""

    return run


@pytest.mark.parametrize(
    ("named", "every", "head"),
    [
        ("10.0.0.7 10.0.0.7", "192.168.0.1", "10.0.0.7"),
        ("127.0.1.1", "127.0.0.1 10.0.0.8 fd00::2", "10.0.0.8"),
        ("", "fd00::2 10.0.0.9", "10.0.0.9"),
    ],
)
def test_the_head_has_an_address_that_others_reach(named: str, every: str, head: str, submit: Submit) -> None:
    code, said, calls = submit(NAMED=named, ALL=every)
    assert code == 0, said
    assert f"2 nodes have joined the Ray at {head}:24321" in said
    assert f"ray start --head --node-ip-address={head} --port=24321" in calls
    assert f"ray start --address={head}:24321 --num-cpus=4 --block" in calls
    assert "archsweep run study.toml" in calls


def test_a_node_that_has_only_a_loopback_is_refused(submit: Submit) -> None:
    code, said, calls = submit(NAMED="127.0.1.1", ALL="127.0.0.1")
    assert code == 1
    assert "no IPv4 address of node7 but its loopback" in said
    assert calls == ""


@pytest.mark.parametrize(
    ("machine", "why"),
    [
        ({"NO_HEAD": "1"}, "Ray did not start"),
        ({"JOINED": "1"}, "1 of 2 nodes have joined"),
        ({"JOINED": "", "NO_WORKERS": "1"}, "0 of 2 nodes have joined"),
    ],
)
def test_a_cluster_that_does_not_come_up_ends_the_job(machine: dict[str, str], why: str, submit: Submit) -> None:
    code, said, calls = submit(**machine)
    assert code == 1
    assert why in said
    assert "archsweep" not in calls


@pytest.mark.parametrize(("code", "again"), [("0", False), ("1", False), ("3", True)])
def test_only_a_run_that_was_stopped_is_queued_again(code: str, again: bool, submit: Submit) -> None:
    ended, _, calls = submit(CODE=code)
    assert ended == int(code)
    assert ("scontrol requeue 4321" in calls) == again
