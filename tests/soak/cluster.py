"""A Ray cluster of three nodes on this machine, in a separate process that reads commands from its standard input."""

import json
import os
import subprocess
import sys
from pathlib import Path

from .processes import ROOT, below, kill

_NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
_NODES = 2  # besides the head


class Cluster:
    """The caller's side.  The process of each node's raylet is known, so that its workers are."""

    def __init__(self, log: Path) -> None:
        with log.open("a") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.cluster"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                cwd=ROOT,
            )
        self.address = self._answer()["address"]

    def _answer(self) -> dict:
        while line := self._process.stdout.readline():
            if line.startswith("{"):  # Ray prints there too
                return json.loads(line)
        raise RuntimeError("the cluster's process is gone")

    def _ask(self, *words: object) -> dict:
        print(*words, file=self._process.stdin, flush=True)
        return self._answer()

    def raylets(self) -> list[int]:
        """The raylets of the nodes that can be removed."""
        return self._ask("raylets")["raylets"]

    def remove(self, number: int) -> None:
        """Take a node away, ungracefully."""
        self._ask("remove", number)

    def fill(self) -> None:
        """Add nodes until all are there again."""
        self._ask("fill")

    def end(self) -> None:
        """End all its processes, in whatever state they are."""
        mine = [self._process.pid, *below(self._process.pid)]
        for pid in mine:
            kill(pid)
        self._process.wait()


def main() -> None:
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(initialize_head=True, head_node_args={**_NODE, "include_dashboard": False})

    def fill() -> None:
        while len(nodes.worker_nodes) < _NODES:
            nodes.add_node(**_NODE)

    def workers() -> list:
        return sorted(nodes.worker_nodes, key=_raylet)

    fill()
    print(json.dumps({"address": nodes.address}), flush=True)
    for line in sys.stdin:
        verb, *rest = line.split()
        if verb == "remove":
            nodes.remove_node(workers()[int(rest[0])], allow_graceful=False)
        elif verb == "fill":
            fill()
        print(json.dumps({"raylets": [_raylet(node) for node in workers()]}), flush=True)


def _raylet(node: object) -> int:
    return node.all_processes["raylet"][0].process.pid


if __name__ == "__main__":
    os.environ.pop("RAY_ADDRESS", None)
    main()
