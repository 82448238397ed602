"""The whole examination, and the command that shows it."""

from __future__ import annotations

import socket
import time

from tests.engines import free_port
from tests.readiness.fitting import codes, configured
from veltrix.readiness import Level, examine

LOOPBACK = {
    "kafka_security": "plaintext",
    "kafka_username": None,
    "kafka_password": None,
    "postgres_vault_hosts": None,
    "postgres_tls": "disable",
    "etcd_ca_file": None,
    "etcd_username": None,
    "etcd_password": None,
}


def pointing_at(endpoint):
    """A configuration whose engines are all at one address."""
    where = {"kafka_bootstrap_servers": endpoint, "postgres_hosts": endpoint, "etcd_endpoints": endpoint}
    return configured(**(LOOPBACK | where))


async def test_engines_that_are_down_are_findings():
    """Where nothing listens each engine is a finding, and the verdict is not good."""
    verdict = await examine(pointing_at(f"127.0.0.1:{free_port()}"))
    assert codes(verdict.findings) >= {"kafka_unreachable", "postgres_unreachable", "etcd_unreachable"}
    assert not verdict.good
    assert Level.UNKNOWN in {finding.level for finding in verdict.findings}


async def test_engines_that_hang_are_findings_too():
    """What accepts connections and never says a word is given up within some seconds."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as mute:
        began_s = time.monotonic()
        verdict = await examine(pointing_at(f"127.0.0.1:{mute.getsockname()[1]}"))
        took_s = time.monotonic() - began_s
    assert codes(verdict.findings) >= {"kafka_unreachable", "postgres_unreachable", "etcd_unreachable"}
    assert took_s < 30, "bounded, also on a machine that is busy"


async def test_the_gravest_comes_first():
    """Dangers stand before what could not be judged, and advice comes last; nothing is said twice."""
    verdict = await examine(pointing_at(f"127.0.0.1:{free_port()}"))
    order = [list(Level).index(finding.level) for finding in verdict.findings]
    assert order == sorted(order)
    assert len(set(verdict.findings)) == len(verdict.findings)


async def test_a_real_engine_of_each(kafka_broker, postgres_server, etcd_server):
    """Engines that run, one of each and nothing prepared: what is missing and what is single is found."""
    verdict = await examine(
        configured(
            **(
                LOOPBACK
                | {
                    "kafka_bootstrap_servers": kafka_broker,
                    "kafka_topic_prefix": "unprepared",
                    "postgres_hosts": f"{postgres_server.host}:{postgres_server.port}",
                    "postgres_user": postgres_server.superuser,
                    "postgres_database": "unprepared",
                    "etcd_endpoints": etcd_server,
                }
            )
        )
    )
    assert codes(verdict.findings) >= {
        "topic_missing",
        "database_missing",
        "kafka_brokers",
        "single_replica",
        "etcd_members",
        "asynchronous",
        "powerful_role",
    }
    assert not codes(verdict.findings) & {"kafka_unreachable", "postgres_unreachable", "etcd_unreachable"}
