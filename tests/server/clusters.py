"""A cluster of real servers on the loopback device, whose slots can be moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .servers import HOST, Server, free_port, until

SLOTS = 16384


class Cluster:
    """Nodes with a third of the slots each, if there are three; they must be stopped."""

    def __init__(self, directory: Path, nodes: int = 3) -> None:
        self.directory = directory
        self.nodes: list[Server] = []
        try:
            self._begin(nodes)
        except BaseException:
            self.stop()
            raise

    def _begin(self, nodes: int) -> None:
        for number in range(nodes):
            self.nodes.append(self._node(self.directory / f"node-{number}"))
        for number, node in enumerate(self.nodes):
            first, last = (SLOTS * n // nodes for n in (number, number + 1))
            with node.client() as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last - 1)
                self._meet(client)
        until(self.complete, "a cluster")

    def _node(self, directory: Path) -> Server:
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
        options += ["--cluster-allow-replica-migration", "no"]  # a node stays what it is
        return Server(directory, *options, "--cluster-port", str(free_port()))

    def _meet(self, client: object) -> None:
        first = self.nodes[0]
        bus = first.options[first.options.index("--cluster-port") + 1]
        client.execute_command("CLUSTER MEET", HOST, first.port, bus)  # type: ignore[attr-defined]

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def complete(self) -> bool:
        """Whether all nodes know of all slots."""
        for node in self.nodes:
            with node.client() as client:
                info = client.execute_command("CLUSTER INFO")
                if info["cluster_state"] != "ok":
                    return False
                if int(info["cluster_known_nodes"]) != len(self.nodes):
                    return False
        return True

    def add(self, replica_of: Server | None = None) -> Server:
        """Another node, without slots."""
        node = self._node(self.directory / f"node-{len(self.nodes)}")
        self.nodes.append(node)
        with node.client() as client:
            self._meet(client)
        until(self.complete, "a node more")
        if replica_of is not None:
            with node.client() as client:
                identity = self.identity(replica_of)
                client.execute_command("CLUSTER REPLICATE", identity)
                until(lambda: client.info("replication").get("master_link_status") == "up")
        return node

    def identity(self, node: Server) -> str:
        with node.client() as client:
            return str(client.execute_command("CLUSTER MYID").decode())

    def begin_moving(self, slot: int, source: Server, target: Server) -> None:
        with target.client() as client:
            client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", self.identity(source))
        with source.client() as client:
            client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", self.identity(target))

    def move_keys(self, slot: int, source: Server, target: Server) -> None:
        with source.client() as client:
            for key in client.execute_command("CLUSTER GETKEYSINSLOT", slot, 1000):
                client.execute_command("MIGRATE", HOST, target.port, key, 0, 5000)

    def end_moving(self, slot: int, target: Server) -> None:
        for node in (target, *(each for each in self.nodes if each is not target)):
            with node.client() as client:
                client.execute_command(
                    "CLUSTER", "SETSLOT", slot, "NODE", self.identity(target)
                )

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


@contextmanager
def clustered(directory: Path, nodes: int = 3) -> Iterator[Cluster]:
    cluster = Cluster(directory, nodes)
    try:
        yield cluster
    finally:
        cluster.stop()
