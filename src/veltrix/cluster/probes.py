"""What each process says about itself: whether it does its work, and which part it has."""

from __future__ import annotations

import http.client
import json
import logging
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, NamedTuple

from veltrix.cluster.plan import Kind, Node, Plan
from veltrix.cluster.postgres import SUPERUSER
from veltrix.cluster.starting import Starter

TIMEOUT_S: Final = 1.0


class Seen(NamedTuple):
    """A node as it answers. `leads`: it is the one that the others follow."""

    ready: bool
    role: str = ""
    leads: bool = False


SILENT: Final = Seen(False)


def see(starter: Starter, nodes: Sequence[Node]) -> dict[str, Seen]:
    """Ask nodes, all at once; who is slower than a second counts as silent."""
    brokers = [node for node in nodes if node.kind is Kind.KAFKA]
    others = [node for node in nodes if node.kind is not Kind.KAFKA]
    if not nodes:
        return {}
    with ThreadPoolExecutor(len(others) + 1) as pool:
        kafka = pool.submit(_kafka, starter, brokers) if brokers else None
        seen = dict(pool.map(lambda node: (node.name, _ask(starter, node)), others))
        if kafka is not None:
            seen |= kafka.result()
        return seen


def _ask(starter: Starter, node: Node) -> Seen:
    if node.kind is Kind.ETCD:
        return _etcd(node)
    if node.kind is Kind.POSTGRES:
        return _patroni(node) if starter.plan.under_patroni else _postgres(starter, node)
    port = "http" if node.kind is Kind.REGISTRATION else "operations"
    return Seen(_http(node.address, node.ports[port], "GET", "/readyz") is not None)


def _http(host: str, port: int, method: str, path: str) -> Any:
    """The JSON of an answer that says yes; None otherwise."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body="{}" if method == "POST" else None)
        answer = connection.getresponse()
        text = answer.read()
        return json.loads(text or "{}") if answer.status == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _etcd(node: Node) -> Seen:
    """A member is healthy while it is in touch with a majority."""
    where = (node.address, node.ports["client"])
    healthy = _http(*where, "GET", "/health")
    status = _http(*where, "POST", "/v3/maintenance/status") if healthy else None
    if not isinstance(status, dict):
        return SILENT
    leads = status.get("leader") == status.get("header", {}).get("member_id")
    return Seen(True, "leader" if leads else "follower", leads)


def _patroni(node: Node) -> Seen:
    said = _http(node.address, node.ports["rest"], "GET", "/patroni")
    if not isinstance(said, dict) or said.get("state") != "running":
        return SILENT
    if said.get("role") in ("primary", "master"):
        return Seen(True, "primary", True)
    synchronous = bool(said.get("quorum_standby") or said.get("sync_standby"))
    streams = said.get("replication_state") == "streaming"
    return Seen(streams, "synchronous standby" if synchronous else "standby")


def _postgres(starter: Starter, node: Node) -> Seen:
    isready = str(starter.tools.postgres("pg_isready"))
    where = ["-h", node.address, "-p", str(node.ports["client"]), "-U", SUPERUSER, "-d", "postgres"]
    command = [isready, "-q", "-t", "1", *where]
    ready = subprocess.run(command, check=False, capture_output=True).returncode == 0
    return Seen(ready, "primary" if ready else "", ready)


def _kafka(starter: Starter, nodes: Sequence[Node]) -> dict[str, Seen]:
    """Brokers as the cluster's metadata names them; the controller is who was elected last."""
    partitions = _leaderships(starter.plan)
    controller = controller_of(starter, nodes)
    seen = {}
    for node in nodes:
        if node.number not in partitions:
            seen[node.name] = SILENT
            continue
        led = partitions[node.number]
        role = ", ".join(
            [*(["controller"] if node.number == controller else []), *([f"leads {led}"] if led else [])]
        )
        seen[node.name] = Seen(True, role, node.number == controller)
    return seen


def _leaderships(plan: Plan) -> dict[int, int]:
    """How many partitions each living broker leads."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    quiet = logging.getLogger("veltrix.cluster.probes")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    settings: Mapping[str, Any] = {
        "bootstrap.servers": ",".join(plan.endpoints(Kind.KAFKA)),
        "socket.timeout.ms": 1_000,
        "socket.connection.setup.timeout.ms": 1_000,
        "reconnect.backoff.max.ms": 200,
    }
    try:
        metadata = AdminClient(dict(settings), logger=quiet).list_topics(timeout=2 * TIMEOUT_S)
    except KafkaException:
        return {}
    counts = dict.fromkeys(metadata.brokers, 0)
    for topic in metadata.topics.values():
        for partition in topic.partitions.values():
            if partition.leader in counts:
                counts[partition.leader] += 1
    return counts


def controller_of(starter: Starter, nodes: Sequence[Node]) -> int | None:
    """The number of the active controller, as the latest election left it in these nodes' files."""
    latest = (-1, -1)
    for node in nodes:
        path = starter.kafka_node(node).directory / "data" / "__cluster_metadata-0" / "quorum-state"
        with suppress(OSError, ValueError, KeyError):
            state = json.loads(path.read_text(encoding="utf-8"))
            latest = max(latest, (int(state["leaderEpoch"]), int(state["leaderId"])))
    return latest[1] if latest[1] >= 0 else None


def leader_of(starter: Starter, kind: Kind, alive: Callable[[Node], bool]) -> Node | None:
    """The living node of an engine that the others follow."""
    nodes = [node for node in starter.plan.of(kind) if alive(node)]
    seen = see(starter, nodes)
    return next((node for node in nodes if seen[node.name].leads), None)
