"""The settings in docs/operations.md are those that a cluster on this machine is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import pages
from veltrix.cluster import etcd, kafka, postgres
from veltrix.cluster.tools import Tools

OPERATIONS = pages.DOCS / "operations.md"


@pytest.fixture
def tools(tmp_path):
    """Engines of which only the names matter."""
    for program in ("etcd", "postgres", "initdb", "pg_ctl", "patroni"):
        path = tmp_path / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o755)
    return Tools(tmp_path, system=False)


def started(tools: Tools) -> dict[str, dict[str, str]]:
    """Every setting that a cluster with three of each engine starts with, by engine."""
    here = Path("/nowhere")
    nodes = [kafka.KafkaNode(at, "127.0.0.1", 9092, 9093, here) for at in (1, 2, 3)]
    members = [etcd.EtcdMember(f"etcd-{at}", "127.0.0.1", 2379, 2380, here) for at in (1, 2, 3)]
    server = postgres.PostgresNode("postgres-1", "127.0.0.1", 5432, here)
    agreed = postgres.patroni_settings(tools, server, ["127.0.0.1:2379"], [])["bootstrap"]["dcs"]
    flags = etcd.start_command(tools, members[0], members, "token")[1:]
    return {
        "Kafka": kafka.properties(nodes[0], nodes),
        "etcd": dict(flag.split("=", 1) for flag in flags),
        "Patroni": {name: str(value).lower() for name, value in agreed.items()},
        "PostgreSQL": agreed["postgresql"]["parameters"],
    }


def test_the_settings_are_those_that_run(tools):
    """Each setting of the table has the value that the cluster's own files give it."""
    rows = list(pages.rows(pages.section(pages.read(OPERATIONS), "Settings, and why")))
    known = started(tools)
    said = {(row[0], pages.code(row[1])): pages.code(row[2]) for row in rows}
    assert said == {(engine, name): known[engine].get(name) for engine, name in said}
    assert {engine for engine, _ in said} == set(known)
    assert all(row[3] for row in rows)
