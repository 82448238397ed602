"""Findings about a real PostgreSQL, and about clusters that this machine cannot have."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from tests.readiness.fitting import about, codes, configured
from veltrix.adapters.postgres import Postgres, PostgresSettings, create_roles, migrate
from veltrix.adapters.postgres.inspection import Role, Server, inspect_servers
from veltrix.readiness.on_postgres import judge_pools, judge_postgres, processes_seen

LOOK_S = 10.0
DATABASE = "readiness"
# The tests' own server is one alone, careless with its disk, and has the system's time-outs.
OF_THE_SERVER = {"single_replica", "asynchronous", "postgres_fsync", "tcp_keepalives", "wal_sender_timeout"}


@pytest.fixture
async def settings(postgres_server):
    """A database of Veltrix' on the tests' server, as a superuser."""
    given = PostgresSettings(
        (f"{postgres_server.host}:{postgres_server.port}",),
        database=DATABASE,
        user=postgres_server.superuser,
        connect_timeout_s=5.0,
    )
    await create_roles(given, vault_settings=replace(given, database=f"{DATABASE}_vault"))
    await migrate(replace(given, user="veltrix_owner"), vault=False)
    return given


@asynccontextmanager
async def altered(settings, statement, undo):
    """A server that is told something for a while."""
    ((host, port),) = settings.addresses()
    connection = await asyncpg.connect(host=host, port=port, user=settings.user, database=settings.database)
    try:
        await connection.execute(statement)
        yield
    finally:
        await connection.execute(undo)
        await connection.close()


async def found_at(settings):
    """What an examination of this database finds."""
    return list(judge_postgres(await inspect_servers(settings, LOOK_S), "ledger"))


async def test_a_service_role_has_no_power(settings):
    """The roles that are prepared for services raise no finding about power; the superuser and owner do."""
    for role in ("registration", "processing", "notification", "audit"):
        found = await found_at(replace(settings, user=f"veltrix_{role}"))
        assert "powerful_role" not in codes(found), role
    assert about(await found_at(settings), "powerful_role") == ["the role postgres (ledger): superuser"]
    owner = await found_at(replace(settings, user="veltrix_owner"))
    assert about(owner, "powerful_role") == ["the role veltrix_owner (ledger): owner"]


async def test_a_role_that_was_given_powers_is_found(settings):
    """A service's role that may make roles or databases is found with what it may."""
    role = "veltrix_notification"
    async with altered(settings, f"ALTER ROLE {role} CREATEROLE", f"ALTER ROLE {role} NOCREATEROLE"):
        found = await found_at(replace(settings, user=role))
    assert about(found, "powerful_role") == [f"the role {role} (ledger): createrole"]


async def test_a_process_that_runs_as_a_superuser_is_found(settings):
    """A session of Veltrix' as a superuser is found by a role that may see little itself."""
    ((host, port),) = settings.addresses()
    session = await asyncpg.connect(
        host=host,
        port=port,
        user=settings.user,
        database=settings.database,
        server_settings={"application_name": "veltrix-processing:0123456789ab"},
    )
    try:
        found = await found_at(replace(settings, user="veltrix_audit"))
    finally:
        await session.close()
    assert "sessions of Veltrix (ledger): as postgres, a superuser" in about(found, "powerful_role")


async def test_a_server_alone_and_asynchronous_is_found(settings):
    """One server that no standby follows, whose commits wait for no disk, is found by any role."""
    found = await found_at(replace(settings, user="veltrix_processing"))
    assert codes(found) - {"role_timeouts"} == OF_THE_SERVER
    assert about(found, "single_replica") == ["servers of PostgreSQL (ledger): 1"]
    assert any("synchronous_standby_names" in each for each in about(found, "asynchronous"))
    assert any(each.endswith(": off") for each in about(found, "asynchronous"))
    assert {each.partition(" ")[0] for each in about(found, "postgres_fsync")} == {
        "fsync",
        "full_page_writes",
    }


async def test_a_role_with_weaker_commits_is_found(settings):
    """A role's own synchronous_commit weighs as much as the server's."""
    weak = "ALTER ROLE veltrix_processing SET synchronous_commit = 'local'"
    async with altered(settings, weak, "ALTER ROLE veltrix_processing RESET synchronous_commit"):
        found = await found_at(settings)
    assert any("for veltrix_processing" in each and "local" in each for each in about(found, "asynchronous"))


async def test_roles_without_a_time_out_are_found(settings):
    """A role whose statements may run for ever is named until it has a time-out of its own."""
    bound = "ALTER ROLE veltrix_audit SET statement_timeout = '60s'"
    named = about(await found_at(settings), "role_timeouts")
    assert "veltrix_audit" in named[0]
    async with altered(settings, bound, "ALTER ROLE veltrix_audit RESET statement_timeout"):
        bounded = about(await found_at(settings), "role_timeouts")
    assert "veltrix_audit" not in bounded[0]
    assert "veltrix_processing" in bounded[0]


async def test_missing_tcp_and_replication_time_outs_are_found(settings):
    """Two hours until a connection is known to be dead are found in the server's own settings."""
    reset = "ALTER DATABASE readiness RESET tcp_keepalives_idle"
    async with altered(settings, "ALTER DATABASE readiness SET tcp_keepalives_idle = 7200", reset):
        found = await found_at(settings)
    assert about(found, "tcp_keepalives")[0].endswith("7200 s")


async def test_a_missing_database_is_told(settings):
    """Where nothing was prepared the servers are judged all the same."""
    found = await found_at(replace(settings, database="not_prepared"))
    assert "database_missing" in codes(found)
    assert codes(found) >= {"single_replica", "asynchronous"}


async def test_a_login_that_is_refused_is_told(settings):
    """A role that is not there is a finding with the server's own words."""
    found = await found_at(replace(settings, user="veltrix_nobody"))
    assert 'role "veltrix_nobody" does not exist' in about(found, "postgres_unreachable")[0]
    assert "postgres_primary" in codes(found)


async def test_pools_of_all_processes_are_added_up(settings):
    """More processes than the server has connections for are found; those that are connected are counted."""
    config = configured(postgres_pool_max="8").config
    servers = await inspect_servers(settings, LOOK_S)
    assert codes(judge_pools(config, servers, servers, 2)) == set()
    found = list(judge_pools(config, servers, servers, 20))
    assert (
        "less 3 reserved, against 320 (20 processes × 2 databases × postgres.pool_max 8)"
        in (about(found, "pools")[0])
    )
    many = configured(postgres_pool_max="250").config
    assert "against 250 (1 processes × 1 databases" in about(judge_pools(many, servers, (), None), "pools")[0]


async def test_processes_are_counted_by_their_sessions(settings):
    """Each process has sessions of one name in each database, and counts once; the vault's are apart."""
    pools = [
        await Postgres.open(replace(settings, database=database, application=f"veltrix-{kind}"))
        for kind in ("processing", "registration")
        for database in (settings.database, f"{settings.database}_vault")
    ]
    try:
        for pool in pools:
            await asyncio.gather(pool.check(), pool.check())
        ledger = await inspect_servers(settings, LOOK_S)
        vault = await inspect_servers(replace(settings, database=f"{settings.database}_vault"), LOOK_S)
    finally:
        for pool in pools:
            await pool.close()
    assert processes_seen(ledger) == processes_seen(vault) == 2
    config = configured(postgres_pool_max="100").config
    assert "400 (2 processes × 2 databases" in about(judge_pools(config, ledger, vault, None), "pools")[0]


FLAWLESS = Server(
    "pg-1:5432",
    version=15,
    primary=True,
    encrypted=True,
    settings={
        "fsync": "on",
        "full_page_writes": "on",
        "max_connections": "200",
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "statement_timeout": "60000",
        "superuser_reserved_connections": "3",
        "synchronous_commit": "on",
        "synchronous_standby_names": 'ANY 1 ("pg-2","pg-3")',
        "tcp_keepalives_idle": "3",
        "wal_sender_timeout": "5000",
    },
    role=Role("veltrix_audit", False, (), False),
    standbys=("pg-2", "pg-3"),
)
STANDBY = replace(FLAWLESS, address="pg-2:5432", primary=False, standbys=())


def judged(primary=FLAWLESS, **settings):
    """What is found of a primary with two hosts, of which settings are changed."""
    changed = replace(primary, settings=primary.settings | settings)
    return list(judge_postgres([changed, STANDBY], "ledger"))


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"synchronous_standby_names": ""}, "asynchronous"),
        ({"synchronous_commit": "remote_write"}, "asynchronous"),
        ({"synchronous_commit": "local"}, "asynchronous"),
        ({"synchronous_standby_names": "ANY 2 (pg-2, pg-3)"}, "sync_standbys"),
        ({"synchronous_standby_names": "pg-4"}, "sync_standbys"),
        ({"synchronous_standby_names": "FIRST 3 (*)"}, "sync_standbys"),
        ({"ssl": "off"}, "postgres_listener"),
        ({"password_encryption": "md5"}, "password_encryption"),
        ({"tcp_keepalives_idle": "0"}, "tcp_keepalives"),
        ({"wal_sender_timeout": "60000"}, "wal_sender_timeout"),
        ({"fsync": "off"}, "postgres_fsync"),
        ({"statement_timeout": "0"}, "role_timeouts"),
    ],
)
def test_each_setting_of_a_server_is_judged(settings, code):
    """A quorum of two standbys has no finding; each setting that weakens it has one."""
    assert judged() == []
    assert codes(judged(**settings)) == {code}


@pytest.mark.parametrize("names", ["*", "pg-2, pg-3", "2 (pg-2, pg-3, pg-4)", 'first 1 ("PG-2", pg-3)'])
def test_every_way_to_name_standbys_is_understood(names):
    """Lists with and without a method or a number are read as PostgreSQL reads them."""
    assert {f.level.value for f in judged(synchronous_standby_names=names)} <= {"advice"}


def test_roles_of_servers_are_told():
    """No primary, two, an old version, a wrong clock and logins without a password are findings."""
    assert codes(judge_postgres([STANDBY], "ledger")) == {"postgres_primary"}
    twice = [FLAWLESS, replace(FLAWLESS, address="pg-2:5432")]
    assert codes(judge_postgres(twice, "ledger")) == {"postgres_primary"}
    assert codes(judged(replace(FLAWLESS, version=14))) == {"postgres_version"}
    assert codes(judged(replace(FLAWLESS, clock_ahead_s=-2.0, clock_slack_s=0.1))) == {"clock_skew"}
    assert codes(judged(replace(FLAWLESS, clock_ahead_s=2.0, clock_slack_s=1.5))) == set()
    assert codes(judged(replace(FLAWLESS, weak_rules=("host all all 10.0.0.0/8 trust",)))) == {
        "postgres_weak_login"
    }
    assert codes(judged(replace(FLAWLESS, standbys=()))) == {"single_replica", "sync_standbys"}


def test_a_clock_that_is_far_off_is_a_danger():
    """Beyond what log time forgives, a clock's difference is no mere advice."""
    (found,) = judged(replace(FLAWLESS, clock_ahead_s=9.0))
    assert (found.level.value, found.value) == ("danger", "9.0 s ahead of this machine's")
