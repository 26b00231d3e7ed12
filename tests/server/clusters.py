"""A cluster of real servers on the loopback device, whose slots can be moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .servers import HOST, Server, until

SLOTS = 16384


class ClusterNode(Server):
    """One that other nodes talk to, on a port for that."""

    def choose(self) -> None:
        super().choose()
        self.bus = self.take()

    def command(self) -> list[str]:
        return [*super().command(), "--cluster-port", str(self.bus)]


class Cluster:
    """Nodes with a third of the slots each, if there are three; they must be stopped.

    :param patience: milliseconds after which a node that does not answer is given up. By
        default it never is, however slow the machine.
    """

    def __init__(self, directory: Path, nodes: int = 3, patience: int = 600_000) -> None:
        self.directory = directory
        self.patience = patience
        self.nodes: list[ClusterNode] = []
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
        for node in self.nodes:
            self._be_patient(node)

    def _node(self, directory: Path) -> ClusterNode:
        # They learn of each other the sooner the shorter this time is.
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
        options += ["--cluster-allow-replica-migration", "no"]  # a node stays what it is
        options += ["--repl-diskless-sync-delay", "0"]  # nobody else will want a copy
        return ClusterNode(directory, *options)

    def _be_patient(self, node: Server) -> None:
        with node.client() as client:
            client.config_set("cluster-node-timeout", self.patience)

    def _meet(self, client: Any) -> None:
        first = self.nodes[0]
        client.execute_command("CLUSTER MEET", HOST, first.port, first.bus)

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
        self._be_patient(node)
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
def clustered(directory: Path, nodes: int = 3, patience: int = 600_000) -> Iterator[Cluster]:
    cluster = Cluster(directory, nodes, patience)
    try:
        yield cluster
    finally:
        cluster.stop()
