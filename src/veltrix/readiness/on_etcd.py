"""What etcd's members show, and Patroni by what it keeps in etcd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from veltrix.adapters.etcd.inspection import Inspection, Server
from veltrix.config import Config
from veltrix.readiness.clocks import judge_clock
from veltrix.readiness.configured import beyond
from veltrix.readiness.findings import Finding, advice, danger, unknown

TESTED: Final = (3, 4)


def judge_etcd(config: Config, found: Inspection) -> Iterator[Finding]:
    """Everything that is wrong with etcd."""
    for server in found.servers:
        yield from _server(server)
    if found.error:
        yield unknown(
            "etcd_unreachable",
            "etcd",
            found.error,
            "nothing could be made sure of about its members",
            "start it, or correct etcd.endpoints and the login; then look again",
        )
        return
    yield from _members(found)
    if found.least_lease_s is not None and found.least_lease_s > config.etcd.lease_ttl_s:
        yield danger(
            "lease_ttl",
            "the shortest lease that etcd grants, against etcd.lease_ttl",
            f"{found.least_lease_s} s against {config.etcd.lease_ttl_s:g} s",
            "it is 1.5 of etcd's election time-outs: a process that died is replaced that much later",
            "run the members with --heartbeat-interval=50 --election-timeout=500",
        )


def _server(server: Server) -> Iterator[Finding]:
    name = f"etcd's member at {server.address}"
    if server.error:
        yield danger(
            "etcd_unreachable",
            name,
            server.error,
            "it cannot be used from here",
            "start it, or correct etcd.endpoints",
        )
        return
    if _version(server.version) < TESTED:
        yield danger(
            "etcd_version", name, server.version, "Veltrix is tested with etcd 3.4 and newer", "upgrade it"
        )
    if server.complaints:
        yield danger(
            "etcd_complains",
            name,
            "; ".join(server.complaints),
            "with an alarm raised etcd takes no writes: no takeovers, no settings",
            "compact, defragment and disarm the alarm (etcdctl alarm disarm)",
        )
    if server.clock_ahead_s is not None:
        yield from judge_clock(name, server.clock_ahead_s, 0.0)


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    try:
        return int(major), int(rest.partition(".")[0])
    except ValueError:
        return (0, 0)


def _members(found: Inspection) -> Iterator[Finding]:
    voting = [member for member in found.members if not member.learner]
    if len(voting) < 3:
        yield danger(
            "etcd_members",
            "members of etcd",
            len(voting),
            "without a majority there are no takeovers, and none is left after one member ends",
            "run three, each on a machine of its own",
        )
    elif len(voting) % 2 == 0:
        yield advice(
            "etcd_members",
            "members of etcd",
            len(voting),
            "an even number outlives no more failures than one less, and has one more to fail",
            f"run {len(voting) - 1} or {len(voting) + 1}",
        )
    plain = [
        url
        for member in found.members
        for url in (*member.client_urls, *member.peer_urls)
        if url.startswith("http://") and beyond([urlsplit(url).netloc])
    ]
    if plain:
        yield danger(
            "etcd_listener",
            "listeners of etcd's members",
            ", ".join(plain),
            "whoever is on the network reads and alters who owns which partition",
            "give clients and peers https addresses",
        )
