"""Looks into the ledger: the same on SQLite and on PostgreSQL, and planted violations are found on both."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.batches import Desk, desk
from tests.conformance.on_postgres import opened_server, settings_of
from tests.conformance.postgres_faults import superuser
from tests.domain.room import event_spec
from tests.engines import PostgresServer
from veltrix.adapters.memory import MemoryCoordinator, MemoryNotices
from veltrix.adapters.memory.coordinator import MemoryCluster
from veltrix.adapters.postgres import Postgres, PostgresLedger
from veltrix.adapters.postgres.roles import NOTIFICATION, PROCESSING
from veltrix.adapters.postgres.samples import PostgresSamples
from veltrix.adapters.sqlite import SqliteLedger
from veltrix.adapters.sqlite.samples import SqliteSamples
from veltrix.adapters.system import SystemClock
from veltrix.domain.commands import Cancel
from veltrix.domain.facts import NumberedFact
from veltrix.domain.notices import addressees
from veltrix.observability.checker import Checker
from veltrix.observability.logging import captured
from veltrix.observability.metrics import Metrics
from veltrix.ports.errors import Unavailable
from veltrix.ports.ledger import Term
from veltrix.ports.notices import Notice, Notices, Planned
from veltrix.ports.samples import Run, Samples

Plant = Callable[[str], Awaitable[None]]


@dataclass
class Looked:
    """A ledger, looks into it, and a way to write what no service would."""

    ledger: Any
    samples: Samples
    plant: Plant
    notices: Notices
    metrics: Metrics

    def checker(self) -> Checker:
        """A checker of partition 0."""
        return Checker(self.samples, self.ledger, self.notices, SystemClock(), self.metrics, 1)

    def violations(self) -> dict[str, float]:
        """What was counted, by invariant."""
        page = self.metrics.page()[0].decode().splitlines()
        found = [line.split() for line in page if line.startswith("veltrix_invariant_violations_total{")]
        return {name.split('"')[1]: float(value) for name, value in found if float(value)}


@pytest.fixture(params=["sqlite", "postgres"])
async def looked(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Looked]:
    """Both adapters, each on an empty ledger."""
    if request.param == "sqlite":
        ledger = await SqliteLedger.open(tmp_path / "ledger.db")
        samples = await SqliteSamples.open(tmp_path / "ledger.db")

        async def plant(statement: str) -> None:
            database = sqlite3.connect(tmp_path / "ledger.db", timeout=10)
            database.execute("PRAGMA ignore_check_constraints = ON")
            database.execute(statement)
            database.commit()
            database.close()

        yield Looked(ledger, samples, plant, MemoryNotices(), Metrics())
        await samples.close()
        await ledger.close()
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    await (await opened_server(tmp_path, server, PROCESSING)).close()
    processing = await Postgres.open(settings_of(server, PROCESSING))
    notification = await Postgres.open(settings_of(server, NOTIFICATION))

    async def plant_there(statement: str) -> None:
        async with superuser(server) as other:
            await other.execute("SET search_path = ledger")
            await other.execute("ALTER TABLE pools DROP CONSTRAINT never_oversold")
            await other.execute(statement)
            # As it was, for what comes after; what stands there is not looked at again.
            await other.execute(
                "ALTER TABLE pools ADD CONSTRAINT never_oversold "
                "CHECK (taken >= 0 AND taken <= ceiling) NOT VALID"
            )

    # What the checker runs as in a cluster: a role that may only read the ledger.
    yield Looked(
        PostgresLedger(processing), PostgresSamples(notification), plant_there, MemoryNotices(), Metrics()
    )
    await notification.close()
    await processing.close()


async def sold(looked: Looked) -> tuple[Desk, str]:
    """An event in which some came, one of them with two seats, and one cancelled."""
    at = await desk(looked.ledger)
    event = await at.create(event_spec(10))
    await at.decide(*(at.register(event) for _ in range(3)), at.register(event, None, "std", "std"))
    gone = await at.registered(event)
    await at.decide(at.ask(Cancel(gone.id, None), event))
    await looked.ledger.relayed(0, at.term, at.state.next_seq - 1)
    return at, event


def notices_of(numbered: NumberedFact) -> list[Notice]:
    """The notices of one fact, as the planner makes them."""
    fact = numbered.fact
    return [
        Notice(
            f"ntc_{numbered.partition}_{numbered.seq}",
            fact.organizer,
            fact.event,
            numbered.partition,
            numbered.seq,
            each.kind.value,
            each.registration.id,
            each.recipient or "",
            "email",
            each.key_id,
            numbered.log_time_ms,
        )
        for each in addressees(fact)
    ]


async def planned(looked: Looked, *, but_for: int = -1) -> None:
    """Record the notices of all facts, as the planner does; but not of the fact `but_for`."""
    head = await looked.ledger.head(0)
    facts = await looked.ledger.facts(0, 0, 100)
    made = [notice for fact in facts if fact.seq != but_for for notice in notices_of(fact)]
    await looked.notices.record(0, 0, head.next_seq - 1, Planned(notices=made))


async def test_a_look_shows_what_was_decided(looked: Looked) -> None:
    """Pools, seats by category, and runs of numbers are those of the ledger; what is not there is None."""
    assert await looked.samples.decisions(0, 10) is None
    assert await looked.samples.facts(0, 10) is None
    assert await looked.samples.balance("evt_none") is None
    at, event = await sold(looked)
    assert await looked.samples.events("", 10) == [event]
    assert await looked.samples.events(event, 10) == []
    balance = await looked.samples.balance(event)
    assert balance is not None
    assert {pool: numbers.taken for pool, numbers in balance.pools.items()} == {"main": 5}
    assert dict(balance.seats) == {"std": 5}
    offset, seq = at.state.next_offset, at.state.next_seq
    assert await looked.samples.decisions(0, 1_000) == Run(offset, 0, offset - 1, offset)
    assert await looked.samples.decisions(0, 2) == Run(2, offset - 2, offset - 1, offset)
    assert await looked.samples.facts(0, 1_000) == Run(seq - 1, 1, seq - 1, seq)


async def test_what_is_sound_is_found_sound(looked: Looked) -> None:
    """Rounds over a ledger as the services write it count every invariant and find nothing."""
    await sold(looked)
    await planned(looked)
    checker = looked.checker()
    await checker.round()
    await checker.round()
    assert looked.violations() == {}
    page = looked.metrics.page()[0].decode()
    assert "veltrix_invariant_checks_total" in page
    assert [line for line in page.splitlines() if "checks_total{" in line and line.endswith(" 0.0")] == []


@pytest.mark.parametrize(
    ("invariant", "statement"),
    [
        ("pools_balance", "UPDATE pools SET taken = taken + 1"),
        ("pools_balance", "UPDATE seats SET status = 'confirmed' WHERE status = 'cancelled'"),
        ("pools_within_capacity", "UPDATE pools SET taken = ceiling + 1"),
        ("facts_without_gap", "DELETE FROM facts WHERE seq = 3"),
        ("facts_without_gap", "UPDATE partitions SET next_seq = next_seq + 1"),
        ("decisions_without_gap", 'DELETE FROM decisions WHERE "offset" = 2'),
        ("terms_grow", "UPDATE partitions SET revision = revision - 1"),
        ("terms_grow", "UPDATE partitions SET next_offset = next_offset - 1"),
    ],
)
async def test_a_planted_violation_is_found(looked: Looked, invariant: str, statement: str) -> None:
    """What a defect or a hand could do to the ledger is counted by its invariant, and said once."""
    await sold(looked)
    await planned(looked)
    checker = looked.checker()
    await checker.round()
    assert looked.violations() == {}
    await looked.plant(statement)
    with captured() as lines:
        await checker.round()
        await checker.round()
    assert invariant in looked.violations()
    said = [line for line in lines if line["message"] == "invariant_violated"]
    assert [line["invariant"] for line in said].count(invariant) == 1
    assert all(line["level"] == "error" and line["found"] for line in said)


async def test_a_fact_without_its_notice_is_found(looked: Looked) -> None:
    """An inbox that is past a fact of which nobody was to be told, although somebody should be."""
    at, _ = await sold(looked)
    await planned(looked, but_for=at.state.next_seq - 1)
    with captured() as lines:
        await looked.checker().round()
    assert looked.violations() == {"decisions_have_notices": 1.0}
    [said] = [line for line in lines if line["message"] == "invariant_violated"]
    assert said["found"] == f"fact {at.state.next_seq - 1} has no notice"


async def test_a_closed_ledger_is_unavailable(looked: Looked) -> None:
    """Who looks after the end is told so."""
    close = getattr(looked.samples, "close", None)
    if close is None:
        await looked.samples._postgres.close()  # type: ignore[attr-defined] # PostgreSQL's own pool
    else:
        await close()
    with pytest.raises(Unavailable):
        await looked.samples.events("", 1)


async def test_closing_waits_for_a_look_that_was_given_up(tmp_path: Path) -> None:
    """SQLite: a look whose caller was cancelled still runs; its connection must not close meanwhile."""
    ledger = await SqliteLedger.open(tmp_path / "ledger.db")
    samples = await SqliteSamples.open(tmp_path / "ledger.db")
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def look(connection: sqlite3.Connection) -> None:
        begun.set()
        may_end.wait(10)
        connection.execute("SELECT count(*) FROM pools").fetchone()
        ended.set()

    reading = asyncio.create_task(samples._read(look))
    while not begun.is_set():  # noqa: ASYNC110 - a thread's event
        await asyncio.sleep(0.001)
    reading.cancel()
    closing = asyncio.create_task(samples.close())
    await asyncio.wait({closing}, timeout=0.05)
    assert not closing.done()
    may_end.set()
    await closing
    assert ended.is_set()
    await ledger.close()


async def test_one_checks_at_a_time(looked: Looked) -> None:
    """A second checker waits until the first gives up, or is gone."""
    running = asyncio.Event()

    class Signals(Metrics):
        """Says when it is active."""

        def checker_active(self, active: bool) -> None:
            """Whether it runs."""
            if active:
                running.set()

    cluster = MemoryCluster()
    others = [MemoryCoordinator(cluster), MemoryCoordinator(cluster)]
    first = looked.checker()
    second = Checker(looked.samples, looked.ledger, looked.notices, SystemClock(), Signals(), 1)
    tasks = [asyncio.create_task(first.run(others[0]))]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(second.run(others[1])))
    await asyncio.sleep(0)
    assert cluster.owners["checker"].owner == others[0].member
    assert not running.is_set()
    tasks[0].cancel()
    await asyncio.wait_for(running.wait(), 10)
    assert cluster.owners["checker"].term > Term(1, 1)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
