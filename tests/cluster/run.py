"""A real `ray up` on one machine: a study outlives a machine that is killed, and nothing is left over.

`make cluster-test` runs it, as root.  Three machines (a head, two workers) and the laptop that launches them are
namespaces of this host; docs/cluster-local.yaml is what is launched.  GPUs are declared to Ray, training is on the CPU.
"""

import glob
import json
import os
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from machines import Machines, until, write

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
VICTIM = "worker-2"
NAMES = ("head", "worker-1", VICTIM)
NEEDED = {
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "rsync": "rsync",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
}
STUDY = """
name = "cluster-test"
path = "{folder}/shared/run"
[[sweeps]]
space = "chain"
architectures = {{ sample = 12, seed = 0 }}
dataset = "photos"
tasks = ["cls", "jig"]
recipe = "demo"
override = {{ epochs = 4, width = 4, precise_bn = 64 }}
[execution]
gpus_per_trial = 0.5
cpus_per_trial = 0.5
max_concurrent = 4
"""
TRIALS = 24


def missing() -> list[str]:
    """What this host lacks for the test, one sentence each."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    found = [f"`{tool}` is missing: install {pkg}" for tool, pkg in NEEDED.items() if not shutil.which(tool, path=path)]
    if os.geteuid() != 0:
        found.append("namespaces with a network of their own need root")
    elif not found and (tried := subprocess.run(["unshare", *OWN, "true"], capture_output=True, text=True)).returncode:
        found.append(f"namespaces are not permitted here: {tried.stderr.strip()}")
    if ROOT.is_relative_to("/tmp"):
        found.append(f"the checkout at {ROOT} would be hidden by each machine's own /tmp: move it elsewhere")
    if subprocess.run([BIN / "ray", "job", "--help"], capture_output=True).returncode:
        found.append("`ray job` does not run: pip install 'archsweep[cluster]'")
    return found


OWN = ("--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc")


def main() -> int:
    """Check this host, then play the scenario in namespaces of its own, which end with it; gives the exit code."""
    if found := missing():
        print("the cluster test cannot run here:", *found, sep="\n  ")
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # by way of `finally`
    # Not below /tmp, which every machine replaces by its own; short, for the sake of socket names.
    folder = Path(tempfile.mkdtemp(prefix="archsweep-", dir="/var/tmp"))
    try:
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "dist", ROOT]
        subprocess.run(build, check=True)
        # However this process ends, the namespaces end with it, and with them all that runs in them.
        tied = ["setpriv", "--pdeathsig", "KILL", "unshare", *OWN]
        return subprocess.run([*tied, sys.executable, __file__, "--inside", folder]).returncode
    except subprocess.CalledProcessError as error:
        print(f"the wheel could not be built: {error}")
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Transcript:
    """What happened, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)


def cluster_file(machines: Machines) -> Path:
    """docs/cluster-local.yaml with what its comments say to edit, edited."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "cluster-local.yaml").read_text())
    folder, (head, *workers) = machines.folder, machines.address.values()
    config["provider"] |= {"head_ip": head, "worker_ips": workers}
    config["auth"] = {"ssh_user": "root", "ssh_private_key": str(folder / "key")}
    config["file_mounts"]["~/dist"] = str(folder / "dist")
    config["setup_commands"] = [
        f"test -x ~/venv/bin/python || bash {folder}/make_venv.sh",
        config["setup_commands"][-1],
    ]
    small = " --object-store-memory=100000000"
    config["head_start_ray_commands"][-1] += small
    config["worker_start_ray_commands"][-1] += f" --num-cpus=1 --num-gpus=2{small}"
    # The machines share this host's site-packages; archsweep itself comes from the wheel that was mounted.
    packages = [p for p in sys.path if p.endswith("site-packages") or p in site.getsitepackages()]
    write(
        folder / "make_venv.sh",
        f"""set -e
{sys.executable} -m venv --without-pip ~/venv
printf '%s\\n' {" ".join(packages)} > $(echo ~/venv/lib/python3*/site-packages)/host.pth
{sys.executable} -m pip --python ~/venv/bin/python install --quiet --no-deps --no-index ~/dist/*.whl
printf '#!%s\\nfrom ray.scripts.scripts import main\\nmain()\\n' ~/venv/bin/python > ~/venv/bin/ray
chmod +x ~/venv/bin/ray
""",
    )
    write(folder / "laptop" / "cluster.yaml", yaml.safe_dump(config))
    return folder / "laptop" / "cluster.yaml"


class Laptop:
    """Where the launcher runs; its home holds the token."""

    def __init__(self, folder: Path) -> None:
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {
            "HOME": str(folder / "laptop"),
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._cwd = folder / "laptop"

    def __call__(self, *words: object) -> str:
        """Run a command of the virtual environment, which has to succeed; gives what it printed."""
        command = [str(BIN / str(words[0])), *map(str, words[1:])]
        done = subprocess.run(command, env=self._env, cwd=self._cwd, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout


def raylets() -> int:
    """Raylets that run on any machine: this process sees into all of their namespaces."""
    found = 0
    for file in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            found += Path(file).read_bytes().split(b"\0")[0].endswith(b"/raylet")
        except OSError:
            continue
    return found


def published(run: Path) -> pd.DataFrame:
    """Every attempt of the run that is published so far."""
    import analysis

    return analysis.load(str(run)) if (run / "plan.parquet").exists() else pd.DataFrame(columns=["status", "host"])


def scenario(folder: Path) -> None:
    """Up, submit, kill a machine, wait, down."""
    say, laptop = Transcript(), Laptop(folder)
    machines = Machines(folder, NAMES)
    say(f"{len(NAMES)} machines answer by ssh")
    config, run = cluster_file(machines), folder / "shared" / "run"
    run.parent.mkdir()
    write(folder / "laptop" / "study.toml", STUDY.format(folder=folder))
    laptop("ray", "get-auth-token", "--generate")
    try:
        _up_and_train(say, laptop, machines, config, run)
    except BaseException:
        for log in (folder / "head" / "tmp" / "ray").glob("session_2*/logs/monitor.*"):
            print(f"--- {log.name}", *log.read_text().splitlines()[-30:], sep="\n")
        raise


def _up_and_train(say: Transcript, laptop: Laptop, machines: Machines, config: Path, run: Path) -> None:
    laptop("ray", "up", "-y", "--no-config-cache", config)
    say("ray up: the head is there")
    on_head: Callable[[str], str] = lambda command: laptop("ray", "exec", config, command)  # noqa: E731
    until(lambda: "0.0/4.0 GPU" in on_head("ray status"), 180, "both workers are part of the cluster")
    say(f"both workers joined, {raylets()} raylets")

    with socket.socket() as probe:
        assert probe.connect_ex((machines.address["head"], 8265)), "the dashboard is open to other machines"
    assert machines.ssh("head", "RAY_AUTH_MODE=token RAY_AUTH_TOKEN=wrong ~/venv/bin/ray job list").returncode
    say("the dashboard is closed to other machines, a wrong token is refused")

    laptop("ray", "rsync-up", config, "study.toml", "~/study.toml")
    declared = json.dumps({"env_vars": {"ARCHSWEEP_DEVICE": "cpu"}})
    job = "--no-wait --submission-id sweep"
    on_head(f"ray job submit {job} --runtime-env-json '{declared}' -- archsweep run study.toml")
    say(f"{TRIALS} trials submitted")
    ready = lambda: {"worker-1", VICTIM} <= set(published(run)["host"]) and len(published(run)) >= 6  # noqa: E731
    until(ready, 300, "both workers have published rows")
    machines.kill(VICTIM)
    killed_at = published(run)
    say(f"{VICTIM} killed after {len(killed_at)} rows, {(killed_at['host'] == VICTIM).sum()} of them its own")

    job_ended = lambda: "RUNNING" not in on_head("ray job status sweep")  # noqa: E731
    until(job_ended, 600, "the job has ended")
    log = on_head("ray job logs sweep")
    assert "succeeded" in on_head("ray job status sweep"), log
    say(f"the job has ended: {next(line for line in log.splitlines() if 'trials done (' in line)}")
    _check_rows(say, laptop, run, killed_at)

    laptop("ray", "down", "-y", config)
    say(f"ray down; {raylets()} raylets")
    until(lambda: raylets() == 0, 180, "no raylet is left")
    say("no raylet is left")


def _check_rows(say: Transcript, laptop: Laptop, run: Path, killed_at: pd.DataFrame) -> None:
    """Every planned row exactly once; what was there before the kill still is."""
    rows = pd.read_parquet(run / "rows")
    ok, failed = rows[rows["status"] == "ok"], rows[rows["status"] != "ok"]
    planned = set(pd.read_parquet(run / "plan.parquet")["trial_id"])
    assert len(planned) == len(ok) == TRIALS
    assert set(ok["trial_id"]) == planned
    assert set(killed_at["trial_id"]) <= planned
    assert (ok["gpu_share"] == 0.5).all()
    status = json.loads(laptop("archsweep", "status", run, "--json"))
    by_host = ", ".join(f"{n} by {host}" for host, n in sorted(ok["host"].value_counts().items()))
    causes = ", ".join(f"{n} {kind}" for kind, n in failed["error_class"].value_counts().items()) or "none"
    say(f"{len(ok)} ok rows, each trial once ({by_host}); failed attempts: {causes}")
    assert (status["done"], status["left"]) == (TRIALS, 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        scenario(Path(sys.argv[2]))
    else:
        sys.exit(main())
