"""What PostgreSQL's servers show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from veltrix.adapters.postgres.inspection import Server, service_roles
from veltrix.config import Config
from veltrix.config.model import is_loopback
from veltrix.readiness.clocks import judge_clock
from veltrix.readiness.findings import Finding, advice, danger, unknown

TESTED: Final = 15
KEEPALIVE_MAX_S: Final = 60
SENDER_MAX_MS: Final = 10_000
_WEAK_COMMITS: Final = {
    "off": "a commit is acknowledged before it is on any disk: a crash takes back what people were told",
    "local": "a commit waits for no standby: a failover takes back what people were told",
    "remote_write": "a standby acknowledges before its disk has it: two machines that lose power lose it",
}


def judge_postgres(
    servers: Sequence[Server], what: str, *, judged_already: bool = False
) -> Iterator[Finding]:
    """Everything that is wrong with the servers of one database; `what` names it.

    `judged_already`: of these very servers another database was judged, and only this one's own is left.
    """
    for server in servers:
        if server.error:
            yield danger(
                "postgres_unreachable",
                f"PostgreSQL at {server.address} ({what})",
                server.error,
                "it cannot be used from here, or be judged",
                "start it, or correct the hosts, user, password and tls of [postgres]; for a role that is "
                "missing run veltrix cluster prepare",
            )
        else:
            yield from _any(server)
    primaries = [server for server in servers if server.primary and not server.error]
    if not primaries:
        yield unknown(
            "postgres_primary",
            f"the primary ({what})",
            "none of the hosts is one",
            "nothing could be made sure of about replication and roles, and nothing can be decided",
            "look at the cluster (patronictl list), and name all of its hosts",
        )
    elif len(primaries) > 1:
        yield danger(
            "postgres_primary",
            f"primaries ({what})",
            ", ".join(server.address for server in primaries),
            "two servers take writes: one is cut off from its standbys, or the hosts are two clusters",
            "look at the cluster (patronictl list), and stop the one that it does not name as the leader",
        )
    for server in primaries:
        if server.lacks_database:
            yield danger(
                "database_missing",
                f"the database ({what})",
                "missing",
                "no process can start without it",
                "run veltrix cluster prepare",
            )
        if not judged_already:
            yield from _replication(server, len(servers), what)
            yield from _time_outs(server)
        yield from _roles(server, what)


def _any(server: Server) -> Iterator[Finding]:
    """What any server can be asked, primary or not."""
    name = f"PostgreSQL at {server.address}"
    if server.version < TESTED:
        yield danger(
            "postgres_version", name, server.version, f"Veltrix is tested with {TESTED} and newer", "upgrade"
        )
    for setting in ("fsync", "full_page_writes"):
        if server.settings.get(setting) == "off":
            yield danger(
                "postgres_fsync",
                f"{setting} of {name}",
                "off",
                "a loss of power leaves a ledger that lacks what was acknowledged, or none that can be read",
                "set it to on, and restart",
            )
    if server.settings.get("ssl") == "off" and not is_loopback(server.address.rpartition(":")[0]):
        yield danger(
            "postgres_listener",
            f"ssl of {name}",
            "off",
            "passwords' proofs, the ledger and the vault's keys cross the network in clear",
            "give it a certificate and set ssl to on; let pg_hba.conf have hostssl lines only",
        )
    if server.settings.get("password_encryption") == "md5":
        yield advice(
            "password_encryption",
            f"password_encryption of {name}",
            "md5",
            "whoever reads a stored password's hash can log in with it",
            "set it to scram-sha-256, and give the roles their passwords anew",
        )
    idle_s = server.number("tcp_keepalives_idle")
    if idle_s == 0 or idle_s > KEEPALIVE_MAX_S:
        yield advice(
            "tcp_keepalives",
            f"tcp_keepalives_idle of {name}",
            f"{idle_s} s" if idle_s else "the system's, often two hours",
            "a connection whose other end is gone, a replica's too, holds its locks and its place until then",
            "set tcp_keepalives_idle=3, _interval=1, _count=3 and tcp_user_timeout=5s",
        )
    sender_ms = server.number("wal_sender_timeout")
    if sender_ms == 0 or sender_ms > SENDER_MAX_MS:
        yield advice(
            "wal_sender_timeout",
            f"wal_sender_timeout of {name}",
            f"{sender_ms} ms" if sender_ms else "none",
            "so long commits may wait for a standby that is gone",
            "set wal_sender_timeout and wal_receiver_timeout to 5s",
        )
    for rule in server.weak_rules or ():
        yield danger(
            "postgres_weak_login",
            f"pg_hba.conf of {name}",
            rule,
            "who comes from there needs no password, or shows it to the network",
            "write hostssl … scram-sha-256",
        )
    yield from judge_clock(name, server.clock_ahead_s, server.clock_slack_s)


def _replication(server: Server, hosts: int, what: str) -> Iterator[Finding]:
    name = f"the primary {server.address} ({what})"
    names = server.settings.get("synchronous_standby_names", "")
    if hosts < 2 and not server.standbys:
        yield danger(
            "single_replica",
            f"servers of PostgreSQL ({what})",
            hosts,
            "the ledger is lost with one disk, and nothing is decided while the server is down",
            "run three under Patroni",
        )
    elif not server.standbys:
        yield danger(
            "single_replica",
            f"standbys of {name}",
            "none streams",
            "what is decided now is on one disk",
            "bring the standbys back (patronictl list)",
        )
    if not names:
        yield danger(
            "asynchronous",
            f"synchronous_standby_names of {name}",
            "empty",
            "a failover takes back what people were told: no standby needs to have it",
            "synchronous_mode: quorum and synchronous_mode_strict: true in Patroni (patronictl edit-config)",
        )
    else:
        yield from _synchronous(server, names, name)
    for role, level in _commit_levels(server):
        if level in _WEAK_COMMITS:
            yield danger(
                "asynchronous",
                f"synchronous_commit for {role} at {name}",
                level,
                _WEAK_COMMITS[level],
                "set it to on, for the server and for the role (ALTER ROLE … RESET synchronous_commit)",
            )


def _synchronous(server: Server, names: str, name: str) -> Iterator[Finding]:
    """How many must acknowledge, and how many there are."""
    match = re.fullmatch(r"\s*(?:(?:ANY|FIRST)?\s*(\d+)\s*\((.*)\)|(.*))\s*", names, re.IGNORECASE)
    assert match is not None, "the last alternative takes everything"
    needed = int(match[1] or 1)
    listed = [part.strip().strip('"').lower() for part in (match[2] or match[3] or "").split(",")]
    there = [each for each in server.standbys if "*" in listed or each.lower() in listed]
    if len(there) < needed:
        yield danger(
            "sync_standbys",
            f"synchronous standbys of {name}",
            f"{len(there)} of the {needed} that {names} asks for",
            "every commit waits: nothing is decided until one is back",
            "bring the standbys back (patronictl list)",
        )
    elif len(there) == needed:
        yield advice(
            "sync_standbys",
            f"synchronous standbys of {name}",
            f"{len(there)}, and {needed} must acknowledge",
            "when one ends, commits wait until it is back",
            "run one more",
        )


def _commit_levels(server: Server) -> Iterator[tuple[str, str]]:
    general = server.settings.get("synchronous_commit", "on")
    yield "everybody", general
    for role in service_roles():
        own = server.of_roles.get(role, {}).get("synchronous_commit")
        if own is not None and own != general:
            yield role, own


def _roles(server: Server, what: str) -> Iterator[Finding]:
    role = server.role
    if role.superuser or role.owns or role.powers:
        power = "superuser" if role.superuser else "owner" if role.owns else ", ".join(role.powers)
        yield danger(
            "powerful_role",
            f"the role {role.name} ({what})",
            power,
            "whoever breaks into a service could rewrite what was decided, and every constraint with it",
            "leave postgres.user out where services run: each then logs in as its own role. Keep this file "
            "with whoever prepares the cluster",
        )
    for user in sorted({user for _, user, powerful in server.sessions if powerful} - {role.name}):
        yield danger(
            "powerful_role",
            f"sessions of Veltrix ({what})",
            f"as {user}, a superuser",
            "whoever breaks into that process could rewrite what was decided",
            "give its configuration no postgres.user, or veltrix_registration and so on",
        )


def _time_outs(server: Server) -> Iterator[Finding]:
    """Roles that may run a statement for ever."""
    general = server.settings.get("statement_timeout", "0")
    unlimited = [
        each
        for each in service_roles()
        if server.of_roles.get(each, {}).get("statement_timeout", general) == "0"
    ]
    if unlimited:
        yield advice(
            "role_timeouts",
            f"statement_timeout of {', '.join(unlimited)} at {server.address}",
            "unlimited",
            "Veltrix sets its own; but whoever logs in by hand can hold a lock, and all deciding, for ever",
            "ALTER ROLE … SET statement_timeout = '60s', and idle_in_transaction_session_timeout",
        )


def processes_seen(servers: Sequence[Server]) -> int:
    """How many processes of Veltrix have connections now."""
    return len({session for server in servers if server.primary for session, _, _ in server.sessions})


def judge_pools(
    config: Config, platform: Sequence[Server], vault: Sequence[Server], processes: int | None
) -> Iterator[Finding]:
    """Whether all processes together may open more connections than a primary gives."""
    seen = max(processes_seen(platform), processes_seen(vault))
    count = max(1, seen) if processes is None else processes
    demands: Counter[str] = Counter()
    primaries: dict[str, Server] = {}
    for servers in (platform, vault):
        for server in servers:
            if server.primary and not server.error:
                demands[server.address] += count * config.postgres.pool_max
                primaries[server.address] = server
    for address, demand in demands.items():
        server = primaries[address]
        most = server.number("max_connections")
        reserved = server.number("superuser_reserved_connections") + server.number("reserved_connections")
        if demand > most - reserved:
            pools = demand // (count * config.postgres.pool_max)
            yield danger(
                "pools",
                f"max_connections of PostgreSQL at {address}, against all pools",
                f"{most} less {reserved} reserved, against {demand} ({count} processes × {pools} databases × "
                f"postgres.pool_max {config.postgres.pool_max})",
                "under load processes are refused connections, and people get 503",
                f"set max_connections above {demand + reserved}, or lower postgres.pool_max",
            )
