"""The faults that a cluster is rehearsed for: what is done, for how long, and what is expected then."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from veltrix.cluster.local import ClusterError, LocalCluster
from veltrix.cluster.network import Way
from veltrix.cluster.plan import Kind, Node
from veltrix.cluster.rehearse_measures import Offsets

_MOVING_S: Final = 30.0


class Measure(StrEnum):
    """What a goal is about."""

    DECIDING = "deciding"
    INTAKE = "intake"


@dataclass(slots=True)
class Scene:
    """The cluster as a fault finds it; `victims` and `fenced` are filled in by the fault.

    `victims` are the nodes that it befell. `sidelined` are processing processes that live on while others
    decide in their place, so that it can be shown that they wrote nothing any more.
    """

    cluster: LocalCluster
    partitions: Sequence[int]
    offsets: Offsets
    victims: list[Node] = field(default_factory=list)
    sidelined: list[Node] = field(default_factory=list)
    host: str = ""

    def decider(self) -> Node:
        """The processing process that decides most of the partitions under load."""
        counted = Counter(filter(None, map(self.offsets.decider_of, self.partitions)))
        name = counted.most_common(1)[0][0] if counted else ""
        return next(
            (node for node in self.offsets.nodes if node.name == name),
            next(iter(self.offsets.nodes)),
        )

    def leader(self, kind: Kind) -> Node:
        """The node of an engine that the others follow. Raises `ClusterError` when there is none."""
        node = self.cluster.leader_of(kind)
        if node is None:
            raise ClusterError(f"{kind.value} has no leader")
        return node

    def broker(self) -> Node:
        """The broker that leads most of the partitions under load."""
        leaders = partition_leaders(self.cluster, self.partitions)
        number = Counter(leaders).most_common(1)[0][0] if leaders else 1
        return next(node for node in self.cluster.plan.of(Kind.KAFKA) if node.number == number)

    def kill(self, *nodes: Node) -> None:
        """End them at once."""
        self.victims += nodes
        self.cluster.kill(nodes)


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of what must be seen. `goal_s` bounds the pause of what `measure` names.

    `inject` begins it, `heal` ends it after `hold_s`; `prepare` sets the scene before the clock runs.
    """

    name: str
    says: str
    goal: str
    measure: Measure
    goal_s: float | None
    hold_s: float
    inject: Callable[[Scene], None]
    heal: Callable[[Scene], None]
    prepare: Callable[[Scene], None] | None = None
    hosts: bool = False
    ha: bool = False


def partition_leaders(cluster: LocalCluster, partitions: Sequence[int]) -> list[int]:
    """The numbers of the brokers that lead these partitions of the commands."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": ",".join(cluster.plan.endpoints(Kind.KAFKA))})
    try:
        topic = admin.list_topics(topic="veltrix.commands", timeout=5).topics["veltrix.commands"]
    except (KafkaException, KeyError) as error:
        raise ClusterError(f"Kafka does not say who leads: {error}") from error
    return [topic.partitions[partition].leader for partition in partitions if partition in topic.partitions]


# What is done


def _do_nothing(scene: Scene) -> None:
    del scene


def _start_again(scene: Scene) -> None:
    scene.cluster.start(scene.victims)


def _kill_decider(scene: Scene) -> None:
    scene.kill(scene.decider())


def _pause_decider(scene: Scene) -> None:
    node = scene.decider()
    scene.victims.append(node)
    scene.sidelined.append(node)
    scene.cluster.pause([node])


def _resume(scene: Scene) -> None:
    scene.cluster.resume(scene.victims)


def _kill_broker(scene: Scene) -> None:
    scene.kill(scene.broker())


def _kill_postmaster(scene: Scene) -> None:
    node = scene.leader(Kind.POSTGRES)
    scene.victims.append(node)
    scene.cluster.kill_server(node)


def _kill_primary(scene: Scene) -> None:
    scene.kill(scene.leader(Kind.POSTGRES))


def _kill_etcd_leader(scene: Scene) -> None:
    scene.kill(scene.leader(Kind.ETCD))


def _kill_etcd_leader_and_decider(scene: Scene) -> None:
    scene.kill(scene.leader(Kind.ETCD), scene.decider())


def _kill_etcd(scene: Scene) -> None:
    scene.kill(*scene.cluster.plan.of(Kind.ETCD))


def _kill_processing(scene: Scene) -> None:
    scene.kill(*scene.cluster.plan.of(Kind.PROCESSING))


def _kill_everything(scene: Scene) -> None:
    scene.kill(*scene.cluster.plan.nodes)


def _start_everything(scene: Scene) -> None:
    scene.cluster.up()


def _cut(way: Way) -> Callable[[Scene], None]:
    def cut(scene: Scene) -> None:
        scene.victims = scene.cluster.plan.named(scene.host)
        scene.sidelined = [node for node in scene.victims if node.kind is Kind.PROCESSING]
        scene.cluster.cut(scene.host, way)

    return cut


def _heal_network(scene: Scene) -> None:
    scene.cluster.heal([scene.host])


def gather_leaders(scene: Scene) -> None:
    """Move the leaders of all three engines onto one test host: that of Kafka's active controller.

    A broker leads its share of the partitions wherever the controller is.
    """
    cluster = scene.cluster
    scene.host = scene.leader(Kind.KAFKA).host
    _move(scene, Kind.ETCD, _move_etcd)
    _move(scene, Kind.POSTGRES, _switch_over)
    others = [
        node for node in cluster.plan.named(scene.host) if node.kind in (Kind.ETCD, Kind.POSTGRES, Kind.KAFKA)
    ]
    for node in others:
        if scene.leader(node.kind).name != node.name:
            raise ClusterError(f"the leader of {node.kind.value} could not be moved to {scene.host}")


def _move(scene: Scene, kind: Kind, how: Callable[[Scene, Node, Node], None]) -> None:
    wanted = next(node for node in scene.cluster.plan.of(kind) if node.host == scene.host)
    deadline_s = time.monotonic() + _MOVING_S
    while time.monotonic() < deadline_s:
        leader = scene.cluster.leader_of(kind)
        if leader is not None and leader.name == wanted.name:
            return
        if leader is not None:
            how(scene, leader, wanted)
        time.sleep(1.0)


def _move_etcd(scene: Scene, leader: Node, wanted: Node) -> None:
    member = str(_post(wanted, "client", "/v3/maintenance/status", {})["header"]["member_id"])
    target = f"{int(member):x}"
    etcdctl = scene.cluster.tools.etcd().with_name("etcdctl")
    subprocess.run(
        [str(etcdctl), "--endpoints", leader.endpoint("client"), "move-leader", target],
        env={"ETCDCTL_API": "3"},
        capture_output=True,
        check=False,
    )


def _switch_over(scene: Scene, leader: Node, wanted: Node) -> None:
    """Patroni's own switchover: it waits for the candidate to have everything."""
    del scene
    _post(leader, "rest", "/switchover", {"leader": leader.name, "candidate": wanted.name})


def _post(node: Node, port: str, path: str, body: dict[str, str]) -> dict[str, Any]:
    connection = http.client.HTTPConnection(node.address, node.ports[port], timeout=20)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        text = connection.getresponse().read()
        found = json.loads(text) if text.startswith(b"{") else {}
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ClusterError(f"{node.name} did not do {path}: {error}") from error
    else:
        return dict(found)
    finally:
        connection.close()


_D, _I = Measure.DECIDING, Measure.INTAKE
_ONE_WAY: Final = "deciding again in ≤ 25 s"

FAULTS: Final[tuple[Fault, ...]] = (
    Fault("nothing", "nothing, for comparison: what this machine itself does", "none", _D, None, 15.0,
          _do_nothing, _do_nothing),
    Fault("processing-kill", "kill -9 a processing process", "deciding again in ≤ 3 s", _D, 3.0, 12.0,
          _kill_decider, _start_again),
    Fault("processing-pause", "pause a processing process past its lease, resume it",
          "another decides; it is fenced", _D, 3.0, 10.0, _pause_decider, _resume),
    Fault("kafka-leader-kill", "kill -9 the Kafka leader", "appends again in ≤ 4 s", _I, 4.0, 15.0,
          _kill_broker, _start_again, ha=True),
    Fault("postgres-primary-kill", "kill -9 the PostgreSQL primary's postmaster",
          "deciding again in ≤ 4 s; intake goes on", _D, 4.0, 15.0, _kill_postmaster, _start_again),
    Fault("postgres-node-kill", "kill -9 the PostgreSQL primary's whole node",
          "deciding again in ≤ 22 s; intake goes on", _D, 22.0, 35.0, _kill_primary, _start_again, ha=True),
    Fault("etcd-leader-kill", "kill -9 the etcd leader", "no visible pause in deciding", _D, 1.0, 15.0,
          _kill_etcd_leader, _start_again, ha=True),
    Fault("etcd-leader-and-processing-kill", "kill -9 the etcd leader and a processing process",
          "deciding again in ≤ 4.5 s", _D, 4.5, 15.0, _kill_etcd_leader_and_decider, _start_again, ha=True),
    Fault("etcd-down", "all of etcd down for 30 s", "deciding goes on", _D, 1.0, 30.0,
          _kill_etcd, _start_again),
    Fault("host-cut", "cut off the host that holds the leaders of all three engines",
          "deciding again in ≤ 25 s", _D, 25.0, 60.0, _cut(Way.BOTH), _heal_network, gather_leaders,
          hosts=True, ha=True),
    Fault("host-deaf", "the same, one way: it hears nothing", _ONE_WAY, _D, 25.0, 60.0,
          _cut(Way.TO), _heal_network, gather_leaders, hosts=True, ha=True),
    Fault("host-mute", "the same, one way: it is not heard", _ONE_WAY, _D, 25.0, 60.0,
          _cut(Way.FROM), _heal_network, gather_leaders, hosts=True, ha=True),
    Fault("processing-down", "all processing processes down for 30 s",
          "intake goes on; the backlog is decided in order", _I, 1.0, 30.0, _kill_processing, _start_again),
    Fault("everything-kill", "kill -9 everything at once, start it again", "continues where it was",
          _D, None, 1.0, _kill_everything, _start_everything),
)  # fmt: skip
BY_NAME: Final = {fault.name: fault for fault in FAULTS}
