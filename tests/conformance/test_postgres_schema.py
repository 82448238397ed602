"""The databases: migrations, constraints, who may do what, and what a destroyed key leaves behind."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.conformance.batches import desk, rows
from tests.conformance.on_postgres import (
    PLATFORM,
    VAULT,
    OwnLedger,
    emptied,
    execute,
    opened_server,
    prepare,
    settings_of,
)
from tests.conformance.postgres_faults import superuser
from tests.conformance.test_notices import LEASE_MS, notice, result
from tests.domain.room import event_spec
from tests.engines import PostgresServer
from veltrix.adapters.postgres import (
    Postgres,
    PostgresAccess,
    PostgresLedger,
    PostgresNotices,
    PostgresSettings,
    PostgresVault,
    create_roles,
    migrate,
    migrating,
    scrub,
)
from veltrix.adapters.postgres.migrations.platform import p0008_reminders
from veltrix.adapters.postgres.roles import (
    AUDIT,
    NOTIFICATION,
    OWNER,
    PROCESSING,
    REGISTRATION,
    ROLES,
    scram_verifier,
)
from veltrix.domain.commands import CreateEvent
from veltrix.ports.access import ApiKey
from veltrix.ports.errors import Mismatch, OutcomeUnknown, Rejected, Unavailable
from veltrix.ports.notices import NoticeStatus, Planned

MIGRATE = """
import asyncio, sys
from veltrix.adapters.postgres import PostgresSettings, migrate
settings = PostgresSettings((sys.argv[1],), sys.argv[2], sys.argv[3])
print(*asyncio.run(migrate(settings, vault=False)))
"""


@pytest.fixture
async def server(postgres_server: PostgresServer, tmp_path: Path) -> PostgresServer:
    """A server that is prepared, with empty tables."""
    await emptied(postgres_server, tmp_path, PLATFORM)
    await emptied(postgres_server, tmp_path, VAULT)
    return postgres_server


@pytest.fixture
async def fresh(postgres_server: PostgresServer) -> AsyncIterator[PostgresSettings]:
    """An empty database, as its owner reaches it."""
    await prepare(postgres_server)
    await execute(postgres_server, "postgres", f"CREATE DATABASE fresh OWNER {OWNER}")
    yield settings_of(postgres_server, OWNER, "fresh")
    await execute(postgres_server, "postgres", "DROP DATABASE fresh WITH (FORCE)")


async def test_processes_may_migrate_at_the_same_time(fresh: PostgresSettings):
    """Of processes that start at once one carries out the steps; the others wait, and find nothing to do."""
    steps = [
        path.stem
        for path in sorted((Path(migrating.__file__).parent / "migrations" / "platform").glob("p*.py"))
    ]
    assert steps
    command = [sys.executable, "-c", MIGRATE, fresh.hosts[0], fresh.database, fresh.user]
    processes = [
        await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(3)
    ]
    said = [(await process.communicate())[0].decode().split() for process in processes]
    assert sorted(said) == [[], [], steps]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert await asyncio.gather(*(migrate(fresh, vault=False) for _ in range(3))) == [[], [], []]


async def test_a_newer_database_is_refused(server: PostgresServer):
    """A step that this version does not know is named, with what to do; nothing is changed."""
    database = settings_of(server, OWNER, VAULT)
    async with superuser(server, VAULT) as other:
        before = await other.fetchval(
            "UPDATE migrations.versions SET version_num = 'v9999' RETURNING 'v0001'"
        )
        with pytest.raises(Mismatch, match="v9999"):
            await migrate(database, vault=True)
        await other.execute("UPDATE migrations.versions SET version_num = $1", before)
    assert await migrate(database, vault=True) == []


async def test_steps_happen_together_or_not_at_all(fresh: PostgresSettings, monkeypatch: pytest.MonkeyPatch):
    """When a step fails, those before it left nothing; the next time all are carried out."""
    steps, sql = migrating.missing_steps(None, vault=False)
    monkeypatch.setattr(migrating, "missing_steps", lambda *_, **__: (steps, f"{sql}; SELECT 1 / 0"))
    with pytest.raises((Rejected, Unavailable, OutcomeUnknown)):
        await migrate(fresh, vault=False)
    monkeypatch.undo()
    assert await migrate(fresh, vault=False) == steps


async def test_an_unprepared_database_says_what_to_do(fresh: PostgresSettings):
    """Without tables there is a mismatch that names the command."""
    postgres = await Postgres.open(fresh)
    with pytest.raises(Mismatch, match="veltrix cluster prepare"):
        await PostgresLedger(postgres).head(0)
    await postgres.close()


async def test_roles_are_made_once(server: PostgresServer):
    """Again there is nothing to do; a password is set when one is given, and only its verifier is kept."""
    admin = settings_of(server, server.superuser)
    assert await create_roles(admin) == []
    assert await create_roles(admin, passwords={AUDIT: "secret"}) == [f"password of {AUDIT}"]
    async with superuser(server) as other:
        stored = await other.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", AUDIT)
        assert stored.startswith("SCRAM-SHA-256$4096:")
        powers = await other.fetch(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1::text[]) AND NOT rolsuper "
            "AND NOT rolcreatedb AND NOT rolcreaterole AND NOT rolreplication AND rolcanlogin",
            list(ROLES),
        )
    assert len(powers) == len(ROLES)
    with pytest.raises(Rejected, match="nobody"):
        await create_roles(admin, passwords={"nobody": "x"})


def test_a_password_is_known_by_its_verifier_alone(monkeypatch: pytest.MonkeyPatch):
    """The example of RFC 7677: with its salt, the verifier's keys give the signature that the RFC gives."""
    monkeypatch.setattr(os, "urandom", lambda _: base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    head, _, keys = scram_verifier("pencil").rpartition("$")
    assert head == "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    stored, server = map(base64.b64decode, keys.split(":"))
    said = (
        "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = hmac.digest(server, said.encode(), "sha256")
    assert base64.b64encode(signature) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    mask = hmac.digest(stored, said.encode(), "sha256")
    assert hashlib.sha256(bytes(a ^ b for a, b in zip(proof, mask, strict=True))).digest() == stored


REFUSED = [
    (REGISTRATION, PLATFORM, "UPDATE ledger.pools SET taken = 0"),
    (REGISTRATION, PLATFORM, "INSERT INTO ledger.facts VALUES (0, 1, '')"),
    (REGISTRATION, PLATFORM, "SELECT ledger.take_over(0, 1, 1, 'me', 'log', 1, 'x')"),
    (REGISTRATION, PLATFORM, "SELECT ledger.relayed(0, 1, 1, 1)"),
    (REGISTRATION, PLATFORM, "UPDATE notification.notices SET due_ms = 0"),
    (REGISTRATION, PLATFORM, "UPDATE notification.progress SET seq = 0"),
    (REGISTRATION, PLATFORM, "SELECT notification.release(true)"),
    (REGISTRATION, PLATFORM, "SELECT * FROM notification.jobs"),
    (REGISTRATION, PLATFORM, "DELETE FROM outreach.orders"),
    (REGISTRATION, PLATFORM, "DROP TABLE registration.api_keys"),
    (REGISTRATION, PLATFORM, "UPDATE registration.api_keys SET organizer = ''"),
    (REGISTRATION, PLATFORM, "CREATE TABLE registration.other (id integer)"),
    (REGISTRATION, VAULT, "DELETE FROM vault.keys"),
    (REGISTRATION, VAULT, "UPDATE vault.keys SET key = key"),
    (PROCESSING, PLATFORM, "DELETE FROM ledger.decisions"),
    (PROCESSING, PLATFORM, "UPDATE ledger.decisions SET outcome = 'accepted'"),
    (PROCESSING, PLATFORM, "UPDATE ledger.facts SET data = ''"),
    (PROCESSING, PLATFORM, "DELETE FROM ledger.registrations"),
    (PROCESSING, PLATFORM, "ALTER TABLE ledger.pools DROP CONSTRAINT never_oversold"),
    (PROCESSING, PLATFORM, "SELECT * FROM registration.api_keys"),
    (PROCESSING, PLATFORM, "SELECT * FROM notification.notices"),
    (PROCESSING, PLATFORM, "SELECT * FROM outreach.endpoints"),
    (PROCESSING, VAULT, "SELECT key FROM vault.keys"),
    (PROCESSING, VAULT, "INSERT INTO vault.keys VALUES (gen_random_uuid(), '')"),
    (NOTIFICATION, PLATFORM, "UPDATE ledger.partitions SET relayed_seq = 0"),
    (NOTIFICATION, PLATFORM, "DELETE FROM notification.notices"),
    (NOTIFICATION, PLATFORM, "SELECT * FROM registration.api_keys"),
    (NOTIFICATION, PLATFORM, "UPDATE outreach.endpoints SET url = ''"),
    (NOTIFICATION, PLATFORM, "DELETE FROM outreach.suppressions"),
    (NOTIFICATION, PLATFORM, "SELECT outreach.end_secret('', 0)"),
    (NOTIFICATION, VAULT, "DELETE FROM vault.keys"),
    (NOTIFICATION, VAULT, "INSERT INTO vault.keys VALUES (gen_random_uuid(), '')"),
    (AUDIT, PLATFORM, "INSERT INTO ledger.facts VALUES (0, 1, '')"),
    (AUDIT, PLATFORM, "UPDATE notification.notices SET status = 'dead'"),
    (AUDIT, PLATFORM, "SELECT * FROM registration.api_keys"),
    (AUDIT, PLATFORM, "SELECT * FROM outreach.secrets"),
    (AUDIT, VAULT, ""),
]


@pytest.mark.parametrize(("role", "database", "statement"), REFUSED)
async def test_a_role_is_refused_what_is_not_its_business(
    server: PostgresServer, role: str, database: str, statement: str
):
    """Each service's role may do its own work alone; where it has none it may not even enter."""
    settings = settings_of(server, role, database)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        connection = await asyncpg.connect(
            host=server.host, port=server.port, user=settings.user, database=settings.database
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


async def test_each_role_can_do_its_work(server: PostgresServer, tmp_path: Path):
    """All that a service does, under its own role: a decision is read, told of, audited and forgotten."""
    opened = {
        (role, database): await opened_server(tmp_path, server, role, database)
        for role, database in (
            *((role, PLATFORM) for role in (REGISTRATION, PROCESSING, NOTIFICATION, AUDIT)),
            *((role, VAULT) for role in (REGISTRATION, PROCESSING, NOTIFICATION)),
        )
    }
    try:
        at = await desk(OwnLedger(opened[PROCESSING, PLATFORM]))
        registered = await at.registered(await at.create())
        for role in (REGISTRATION, NOTIFICATION, AUDIT):
            ledger = PostgresLedger(opened[role, PLATFORM])
            assert await ledger.registration(registered.id) == registered
            await ledger.barrier()
            assert await rows(OwnLedger(opened[role, PLATFORM])) == await rows(at.ledger)
        await PostgresAccess(opened[REGISTRATION, PLATFORM]).add(ApiKey("a", "o", frozenset(), "h", 1))
        assert (await PostgresNotices(opened[NOTIFICATION, PLATFORM]).position(0)) == 0
        (key_id, key), *_ = await PostgresVault(opened[REGISTRATION, VAULT]).reserve(2)
        read = PostgresVault(opened[NOTIFICATION, VAULT])
        assert await read.keys([key_id]) == {key_id: key}
        await PostgresVault(opened[PROCESSING, VAULT]).destroy([key_id])
        assert await read.keys([key_id]) == {}
    finally:
        for each in opened.values():
            await each.close()


async def test_events_of_an_older_version_get_their_reminders(server: PostgresServer, tmp_path: Path):
    """The step to reminders says of every event that is yet to come when it begins and when people are to be
    reminded of it; the processes of the version before go on committing as they do."""
    ledger = OwnLedger(await opened_server(tmp_path, server, PROCESSING))
    at = await desk(ledger)
    specs = [
        event_spec(slug=f"in-{number}", time_zone=zone)
        for number, zone in enumerate(["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "UTC"])
    ]
    events = {await at.create(spec): spec for spec in specs}
    await at.decide(at.ask(CreateEvent(event_spec(slug="draft"), "key_hash")))
    async with superuser(server) as other:
        await other.execute("UPDATE ledger.events SET starts_ms = NULL, remind_ms = NULL")
        await other.execute(p0008_reminders.FILL)
        found = await other.fetch("SELECT id, starts_ms, remind_ms FROM ledger.events WHERE status = 'open'")
        drafts = await other.fetch("SELECT remind_ms FROM ledger.events WHERE status = 'draft'")
        commits = await other.fetchval("SELECT count(*) FROM pg_proc WHERE proname = 'commit_batch'")
    assert {tuple(row) for row in found} == {
        (event, spec.starts_ms(), spec.starts_ms() - 24 * 3_600_000) for event, spec in events.items()
    }
    assert [row["remind_ms"] for row in drafts] == [None]
    assert commits == 2
    await ledger.close()


DEFECTS = {
    "never_oversold": "UPDATE ledger.pools SET taken = ceiling + 1",
    "no_negative_capacity": "UPDATE ledger.pools SET capacity = -1",
    "one_slug": "INSERT INTO ledger.events SELECT 'evt_other', partition, organizer, slug, status, version, "
    "hash_key, created_ms, changed_ms, ends_ms, one_per_email, spec FROM ledger.events",
    "one_owner_a_seat": "INSERT INTO ledger.seats SELECT * FROM ledger.seats",
    "one_decision_an_offset": "INSERT INTO ledger.decisions SELECT * FROM ledger.decisions",
    "one_first_decision": "INSERT INTO ledger.decisions SELECT 7, d.offset, outcome, log_time_ms, "
    "rules_version, command, kind, refusal, detail, organizer, event, subject, person, key_id, fingerprint, "
    "first_seq, facts, own_seq, original FROM ledger.decisions d",
    "one_fact_a_number": "INSERT INTO ledger.facts SELECT * FROM ledger.facts",
    "one_per_email": "INSERT INTO ledger.registrations SELECT id || 'x', partition, event, arrival, status, "
    "person, active_seats, hold_number, hold_deadline_ms, hold_ends_ms, 1, snapshot "
    "FROM ledger.registrations",
}


@pytest.mark.parametrize("constraint", DEFECTS)
async def test_the_database_itself_refuses_a_defect(server: PostgresServer, tmp_path: Path, constraint: str):
    """Whatever code writes, under whatever role: nothing is oversold and nothing is there twice."""
    ledger = OwnLedger(await opened_server(tmp_path, server, PROCESSING))
    at = await desk(ledger)
    await at.registered(await at.create())
    await ledger.close()
    async with superuser(server) as other:
        await other.execute("UPDATE ledger.registrations SET exclusive = 1")
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as raised:
            await other.execute(DEFECTS[constraint])
    assert raised.value.constraint_name == constraint


async def test_tallies_are_the_counts(server: PostgresServer, tmp_path: Path):
    """Whatever dispatchers do at the same time, the tallied counts are those of the rows."""
    stores = [PostgresNotices(await opened_server(tmp_path, server, NOTIFICATION)) for _ in range(3)]
    statuses = list(NoticeStatus)

    async def dispatch(number: int, store: PostgresNotices) -> None:
        for step in range(12):
            claimed = await store.claim(1_000 + step * LEASE_MS, 5, LEASE_MS)
            done = [
                result(each, statuses[(index + step) % 7], 10**9 if index else None)
                for index, each in enumerate(claimed[: 2 + number])
            ]
            await store.finish(done)

    for seq in range(1, 5):
        await stores[0].record(0, seq - 1, seq, Planned([notice(seq, f"p{n}") for n in range(20)]))
    await asyncio.gather(*(dispatch(number, store) for number, store in enumerate(stores)))
    await stores[0].record(0, 4, 5, Planned([notice(5, "p1")], erased=[("evt", f"p{n}") for n in range(5)]))
    async with superuser(server) as other:
        found = await other.fetch("SELECT status, count(*) FROM notification.notices GROUP BY status")
    counted = {NoticeStatus(status): count for status, count in found}
    assert await stores[0].counts() == dict.fromkeys(NoticeStatus, 0) | counted
    assert sum(counted.values()) == 81
    for store in stores:
        await store._postgres.close()


async def test_a_claim_waits_for_no_other_dispatcher(server: PostgresServer, tmp_path: Path):
    """What another process is just claiming is passed over, and the rest is claimed at once."""
    postgres = await opened_server(tmp_path, server, NOTIFICATION)
    store = PostgresNotices(postgres)
    await store.record(0, 0, 1, Planned([notice(1, f"person-{number}") for number in range(10)]))
    async with superuser(server) as other, other.transaction():
        held = await other.fetch("SELECT id FROM notification.claim(100, 4, 1000)")
        claimed = await store.claim(100, 10, LEASE_MS)
        assert len(claimed) == 6
        assert not {one.notice.id for one in claimed} & {row["id"] for row in held}
    await postgres.close()


async def test_scrubbing_leaves_no_byte_of_a_destroyed_key(server: PostgresServer, tmp_path: Path):
    """A destroyed key's bytes may stay on a page for a while; after `scrub` the table's file has none."""
    postgres = await opened_server(tmp_path, server, OWNER, VAULT)
    vault = PostgresVault(postgres)
    made = dict(await vault.reserve(500))
    gone = list(made)[::2]

    async def on_disk() -> bytes:
        async with superuser(server, VAULT) as other:
            await other.execute("CHECKPOINT")
            content = await other.fetchval("SELECT pg_read_binary_file(pg_relation_filepath('vault.keys'))")
            return bytes(content)

    content = await on_disk()
    assert all(key in content for key in made.values())  # the search would find them
    await vault.destroy(gone)
    await scrub(settings_of(server, OWNER, VAULT))
    content = await on_disk()
    assert [key_id for key_id, key in made.items() if key in content] == list(made)[1::2]
    assert await vault.keys(list(made)) == {key_id: made[key_id] for key_id in list(made)[1::2]}
    await postgres.close()
