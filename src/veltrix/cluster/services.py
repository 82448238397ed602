"""The configuration file of each of Veltrix' own processes in a local cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from veltrix.cluster.plan import SERVICES, Kind, Node, Plan
from veltrix.cluster.postgres import SUPERUSER

PARTITIONS: Final = 12
# Each service has a role of its own in PostgreSQL; the ticker appends commands for processing.
_ROLES: Final[Mapping[Kind, str]] = {
    Kind.PROCESSING: "veltrix_processing",
    Kind.TICKER: "veltrix_processing",
    Kind.NOTIFICATION: "veltrix_notification",
    Kind.REGISTRATION: "veltrix_registration",
}

Sections = dict[str, dict[str, object]]


def shared(plan: Plan, directory: Path) -> Sections:
    """What all processes have in common."""
    brokers = len(plan.of(Kind.KAFKA))
    door = plan.of(Kind.REGISTRATION)[0]
    return {
        "http": {"public_url": f"http://{door.endpoint('http')}"},
        "data": {"directory": str(directory / "veltrix")},
        "log": {"partitions": PARTITIONS},
        "kafka": {
            "bootstrap_servers": plan.endpoints(Kind.KAFKA),
            "replication": min(3, brokers),
            "min_insync": min(2, brokers),
        },
        "postgres": {"hosts": plan.endpoints(Kind.POSTGRES)},
        "etcd": {"endpoints": plan.endpoints(Kind.ETCD)},
        "secrets": {"master_key_file": str(directory / "master.key")},
    }


def administration(plan: Plan, directory: Path) -> Sections:
    """For the commands that prepare and inspect the cluster."""
    sections = shared(plan, directory)
    sections["postgres"]["user"] = SUPERUSER
    return sections


def service(plan: Plan, node: Node, directory: Path) -> Sections:
    """For one process of a service."""
    sections = shared(plan, directory)
    sections["postgres"]["user"] = _ROLES[node.kind]
    sections["data"] = {"directory": str(directory / node.name)}
    if node.kind is Kind.REGISTRATION:
        sections["http"] |= {"host": node.address, "port": node.ports["http"]}
    else:
        sections["operations"] = {"host": node.address, "port": node.ports["operations"]}
    if node.kind is Kind.NOTIFICATION:
        # One place for all mails, whichever process sends them.
        sections["notification"] = {"spool_directory": str(directory / "spool")}
    return sections


def toml(sections: Mapping[str, Mapping[str, object]]) -> str:
    """The sections as a file. JSON writes texts, numbers and lists of texts as TOML does."""
    lines: list[str] = []
    for name, settings in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items()), ""]
    return "\n".join(lines)


def write_all(plan: Plan, directory: Path) -> None:
    """Write `veltrix.toml` for commands, and a file for each process."""
    directory.joinpath("veltrix.toml").write_text(toml(administration(plan, directory)), encoding="utf-8")
    for node in plan.of(*SERVICES):
        own = directory / node.name
        own.mkdir(exist_ok=True)
        own.joinpath("veltrix.toml").write_text(toml(service(plan, node, directory)), encoding="utf-8")
