"""What a cluster on this machine consists of: which processes, on which test hosts, with which ports."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1
LOOPBACK: Final = "127.0.0.1"
# Below the range from which systems give ports to outgoing connections: a node that is down for a while
# finds its ports free when it comes back.
PORTS: Final = range(20_000, 32_000)


class Kind(StrEnum):
    """What a process of the cluster is."""

    ETCD = "etcd"
    KAFKA = "kafka"
    POSTGRES = "postgres"
    PROCESSING = "processing"
    TICKER = "ticker"
    NOTIFICATION = "notification"
    REGISTRATION = "registration"

    @property
    def is_engine(self) -> bool:
        """Whether it is somebody else's program."""
        return self in ENGINES


ENGINES: Final = (Kind.ETCD, Kind.KAFKA, Kind.POSTGRES)
# From the back to the front: whoever is asked first finds somebody to ask.
SERVICES: Final = (Kind.PROCESSING, Kind.TICKER, Kind.NOTIFICATION, Kind.REGISTRATION)
# Each node's ports by name, with the number that it has on a host of its own.
PORT_NAMES: Final[Mapping[Kind, Mapping[str, int]]] = {
    Kind.ETCD: {"client": 2379, "peer": 2380},
    Kind.KAFKA: {"client": 9092, "controller": 9093},
    Kind.POSTGRES: {"client": 5432, "rest": 8008},
    Kind.PROCESSING: {"operations": 9101},
    Kind.TICKER: {"operations": 9102},
    Kind.NOTIFICATION: {"operations": 9103},
    Kind.REGISTRATION: {"http": 8080},
}


class Profile(StrEnum):
    """How much of everything there is."""

    SMALL = "small"
    HA = "ha"


@dataclass(frozen=True, slots=True)
class Host:
    """A test host: a network namespace with an address of its own."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Node:
    """A process of the cluster, or an agent with the server that it runs."""

    name: str
    kind: Kind
    number: int
    host: str  # empty where all share the machine's loopback
    address: str
    ports: Mapping[str, int]

    def endpoint(self, port: str) -> str:
        """Where it listens, as host:port."""
        return f"{self.address}:{self.ports[port]}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole cluster. It is kept in a file, so that a second start finds the same."""

    profile: Profile
    identity: str
    hosts: Sequence[Host]
    nodes: Sequence[Node]

    @property
    def under_patroni(self) -> bool:
        """Whether PostgreSQL's nodes elect a primary; one alone needs none."""
        return self.profile is Profile.HA

    @property
    def gateway(self) -> str:
        """This machine's address among the test hosts."""
        return f"{self.hosts[0].address.rpartition('.')[0]}.254" if self.hosts else LOOPBACK

    def of(self, *kinds: Kind) -> list[Node]:
        """The nodes of these kinds, in the order of the kinds."""
        return [node for kind in kinds for node in self.nodes if node.kind is kind]

    def endpoints(self, kind: Kind, port: str = "client") -> list[str]:
        """Where the nodes of a kind listen."""
        return [node.endpoint(port) for node in self.of(kind)]

    def named(self, name: str) -> list[Node]:
        """What a name means: a node, all of a kind, all on a host, or "all". Raises `KeyError`."""
        found = [
            node for node in self.nodes if name in (node.name, node.kind.value, node.host, "all") and name
        ]
        if not found:
            raise KeyError(name)
        return found

    def write(self, path: Path) -> None:
        """Keep it."""
        document = {"format": FORMAT} | asdict(self)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> Plan:
        """What was kept. Raises `OSError`, or `ValueError` where it is no plan of this version."""
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != FORMAT:
            raise ValueError(f"{path} is of another version; make the cluster anew")
        return cls(
            Profile(document["profile"]),
            document["identity"],
            [Host(**host) for host in document["hosts"]],
            [Node(**(node | {"kind": Kind(node["kind"])})) for node in document["nodes"]],
        )


def make_plan(
    profile: Profile, hosts: int, subnet: str = "", identity: str = "", processing: int = 0
) -> Plan:
    """A new cluster; ports on the loopback are still to be chosen (`with_ports`).

    `processing` is the number of processing processes where it is not the profile's.
    `subnet` is the beginning of the test hosts' addresses, such as "10.77.3".
    """
    places = [Host(f"host-{number}", f"{subnet}.{number}") for number in range(1, hosts + 1)]
    engines, services = (3, max(2, hosts)) if profile is Profile.HA else (1, 1)
    nodes: list[Node] = []
    for kind in (*ENGINES, *SERVICES):
        count = engines if kind.is_engine else services
        for number in range(1, (processing or count if kind is Kind.PROCESSING else count) + 1):
            place = places[(number - 1) % len(places)] if places else Host("", LOOPBACK)
            shift = (number - 1) // len(places) if places else 0
            ports = {name: port + 100 * shift for name, port in PORT_NAMES[kind].items()}
            if profile is Profile.SMALL:
                ports.pop("rest", None)  # one server needs no Patroni
            nodes.append(Node(f"{kind}-{number}", kind, number, place.name, place.address, ports))
    return Plan(profile, identity or secrets.token_hex(3), places, nodes)


def with_ports(plan: Plan, free: Callable[[int], Sequence[int]]) -> Plan:
    """The same on the loopback, where no two may have the same port; `free` gives so many free ones."""
    ports = iter(free(sum(len(node.ports) for node in plan.nodes)))
    nodes = [replace(node, ports={name: next(ports) for name in node.ports}) for node in plan.nodes]
    return replace(plan, nodes=nodes)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nothing listens on, side by side where possible."""
    start = PORTS.start + secrets.randbelow(len(PORTS) // 100 - 1) * 100
    found: list[int] = []
    for port in _round(start):
        if _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"this machine has no {count} free ports between {PORTS.start} and {PORTS.stop}")


def _round(start: int) -> Iterator[int]:
    yield from range(start, PORTS.stop)
    yield from range(PORTS.start, start)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
