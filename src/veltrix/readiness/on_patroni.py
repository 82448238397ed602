"""What Patroni is told, as it keeps it in etcd."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from veltrix.adapters.etcd.inspection import Inspection
from veltrix.config import Config
from veltrix.readiness.findings import Finding, advice, danger

TESTED: Final = 4
TTL_MAX_S: Final = 30
RESTART_MAX_S: Final = 10
_EDIT: Final = "patronictl edit-config"


@dataclass(frozen=True, slots=True)
class Patroni:
    """A cluster of PostgreSQL as Patroni keeps it in etcd."""

    scope: str
    settings: Mapping[str, Any]
    members: Mapping[str, Mapping[str, Any]]


def patroni_of(found: Inspection, hosts: tuple[str, ...]) -> Patroni | None:
    """The cluster that one of these hosts belongs to; None when etcd shows none."""
    scopes: dict[str, dict[str, Any]] = {}
    for key, value in (found.patroni or {}).items():
        _, _, rest = key.strip("/").partition("/")
        scope, _, name = rest.partition("/")
        try:
            scopes.setdefault(scope, {})[name] = json.loads(value)
        except ValueError:
            continue  # the leader's key holds a bare name
    for scope, keys in scopes.items():
        members = {
            name.removeprefix("members/"): value
            for name, value in keys.items()
            if name.startswith("members/") and isinstance(value, dict)
        }
        addresses = {urlsplit(str(member.get("conn_url", ""))).netloc for member in members.values()}
        if addresses & set(hosts):
            settings = keys.get("config")
            return Patroni(scope, settings if isinstance(settings, dict) else {}, members)
    return None


def judge_patroni(config: Config, found: Inspection) -> Iterator[Finding]:
    """Everything that is wrong with what Patroni is told; nothing where it keeps that elsewhere."""
    for hosts in dict.fromkeys((config.postgres.hosts, config.postgres.vault_hosts)):
        patroni = patroni_of(found, hosts)
        if patroni is not None:
            yield from _mode(patroni)
            yield from _times(config, patroni)
            yield from _members(patroni)


def _mode(patroni: Patroni) -> Iterator[Finding]:
    told, name = patroni.settings, f"of Patroni's {patroni.scope}"
    mode = str(told.get("synchronous_mode", False)).lower()
    if mode in ("false", "off"):
        yield danger(
            "asynchronous",
            f"synchronous_mode {name}",
            mode,
            "a standby that lacks commits may be promoted: what people were told is taken back",
            f"{_EDIT}: synchronous_mode: quorum",
        )
    elif not told.get("synchronous_mode_strict", False):
        yield danger(
            "asynchronous",
            f"synchronous_mode_strict {name}",
            "false",
            "when the last standby goes, commits are acknowledged with one copy, and the next failure takes "
            "them back",
            f"{_EDIT}: synchronous_mode_strict: true",
        )
    if not told.get("failsafe_mode", False):
        yield advice(
            "patroni_failsafe",
            f"failsafe_mode {name}",
            "false",
            "while etcd is down the primary steps down too, and deciding stops",
            f"{_EDIT}: failsafe_mode: true",
        )


def _times(config: Config, patroni: Patroni) -> Iterator[Finding]:
    told, name = patroni.settings, f"of Patroni's {patroni.scope}"
    ttl_s = float(told.get("ttl", 30))
    loop_s, retry_s = float(told.get("loop_wait", 10)), float(told.get("retry_timeout", 10))
    if loop_s + 2 * retry_s > ttl_s:
        yield danger(
            "patroni_times",
            f"ttl against loop_wait and retry_timeout {name}",
            f"{ttl_s:g} s against {loop_s:g} s + 2 × {retry_s:g} s",
            "a primary may lose its key while it still tries to keep it: needless failovers",
            f"{_EDIT}: ttl: 20, loop_wait: 2, retry_timeout: 5",
        )
    if ttl_s > TTL_MAX_S:
        yield advice(
            "patroni_times",
            f"ttl {name}",
            f"{ttl_s:g} s",
            "so long nothing is decided after the primary's machine is gone",
            f"{_EDIT}: ttl: 20",
        )
    restart_s = float(told.get("primary_start_timeout", 300))
    if restart_s > RESTART_MAX_S:
        yield advice(
            "patroni_times",
            f"primary_start_timeout {name}",
            f"{restart_s:g} s",
            "so long a primary that crashed is given to come back before a standby is promoted",
            f"{_EDIT}: primary_start_timeout: 0",
        )
    if config.postgres.statement_timeout_s >= ttl_s:
        yield advice(
            "statement_timeout",
            f"postgres.statement_timeout against ttl {name}",
            f"{config.postgres.statement_timeout_s:g} s against {ttl_s:g} s",
            "a process still waits for the old primary when the new one is there",
            "make the statement's time the shorter one",
        )


def _members(patroni: Patroni) -> Iterator[Finding]:
    for name, member in patroni.members.items():
        version = str(member.get("version", ""))
        major = version.partition(".")[0]
        if major.isdecimal() and int(major) < TESTED:
            yield danger(
                "patroni_version",
                f"Patroni of {name}",
                version,
                f"synchronous_mode: quorum came with {TESTED}; Veltrix is tested with it",
                "upgrade it",
            )
    if len(patroni.members) < 3:
        yield danger(
            "single_replica" if len(patroni.members) < 2 else "patroni_members",
            f"members of Patroni's {patroni.scope}",
            len(patroni.members),
            "with strict synchronous replication a second failure, or the first, stops deciding",
            "run three",
        )
