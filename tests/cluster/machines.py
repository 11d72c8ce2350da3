"""Machines out of namespaces: own network, processes, mounts, host name, home, /tmp and sshd; one bridge joins them.

Must be called as root by a process that is the first of its own PID, mount and network namespace (see `run.py`): all
that is made here ends with that process, however it ends.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

NETWORK = "10.77.0"
LAPTOP = f"{NETWORK}.1"

_SSHD = """\
Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
"""

# The shell stays as the first process of the machine: it adopts and reaps what Ray leaves behind.
_MACHINE = """\
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind {folder}/{name}/home {folder}/home
mount --bind {folder}/{name}/tmp /tmp
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount --bind {folder}/passwd /etc/passwd
mount --bind {folder}/hosts /etc/hosts
mkdir -p /run/sshd /run/lock
hostname {name}
/usr/sbin/sshd -D -f {folder}/sshd_config -E {folder}/{name}/sshd.log &
wait $!
"""


def sh(*words: object) -> str:
    """Run a command that has to succeed; gives what it printed."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Machines:
    """Machines by name, each with an address; the caller itself is the laptop on the same network."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.folder = folder
        self.address = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, start=2)}
        self._process: dict[str, subprocess.Popen[bytes]] = {}
        self._common_files()
        self._become_laptop()
        for name in names:
            self._start(name)
        for name in names:
            self._wait_for_ssh(name)

    def _common_files(self) -> None:
        folder = self.folder
        for name in ("key", "host_key"):
            sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
        write(folder / "sshd_config", _SSHD.format(folder=folder))
        users = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
        # root's home moves, so that machines have one each and the interpreter may lie in the real one
        write(folder / "passwd", "\n".join([f"root:x:0:0:root:{folder}/home:/bin/bash", *users]) + "\n")
        hosts = "".join(f"{address} {name}\n" for name, address in self.address.items())
        write(folder / "hosts", f"127.0.0.1 localhost\n{LAPTOP} laptop\n{hosts}")
        (folder / "home").mkdir()

    def _become_laptop(self) -> None:
        (self.folder / "laptop" / "tmp").mkdir(parents=True)
        sh("mount", "--make-rprivate", "/")
        sh("mount", "--bind", self.folder / "laptop" / "tmp", "/tmp")
        sh("mount", "-t", "tmpfs", "tmpfs", "/dev/shm")
        sh("mount", "--bind", self.folder / "hosts", "/etc/hosts")
        sh("hostname", "laptop")
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "bridge", "type", "bridge")
        sh("ip", "addr", "add", f"{LAPTOP}/24", "dev", "bridge")
        sh("ip", "link", "set", "bridge", "up")

    def _start(self, name: str) -> None:
        for inner in ("home", "tmp"):
            (self.folder / name / inner).mkdir(parents=True)
        own = ("--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")
        script = _MACHINE.format(folder=self.folder, name=name)
        process = subprocess.Popen(["unshare", *own, "bash", "-c", script], stdin=subprocess.DEVNULL)
        self._process[name] = process
        mine = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(f"/proc/{process.pid}/ns/net") != mine, 10, f"{name} has a network of its own")
        sh("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", process.pid)
        sh("ip", "link", "set", f"to-{name}", "master", "bridge", "up")
        inside = ("nsenter", "--net", "--target", process.pid, "ip")
        sh(*inside, "link", "set", "lo", "up")
        sh(*inside, "addr", "add", f"{self.address[name]}/24", "dev", "eth0")
        sh(*inside, "link", "set", "eth0", "up")
        sh(*inside, "route", "add", "default", "via", LAPTOP)

    def _wait_for_ssh(self, name: str) -> None:
        until(lambda: self.ssh(name, "true").returncode == 0, 30, f"{name} answers by ssh")

    def ssh(self, name: str, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on a machine, as the launcher would."""
        options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5")
        words = ["ssh", "-q", "-i", str(self.folder / "key"), *options, f"root@{self.address[name]}", command]
        return subprocess.run(words, capture_output=True, text=True, timeout=120)

    def kill(self, name: str) -> None:
        """A machine is gone from one moment to the next: no process of it says goodbye, its cable is out."""
        process = self._process.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds; TimeoutError says what never came true."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not in {seconds:g} s: {what}")
        time.sleep(0.1)
