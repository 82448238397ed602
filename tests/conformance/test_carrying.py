"""What operators and organizers see and chose, carried from SQLite files into PostgreSQL, row by row."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.on_postgres import emptied, postgres_notices, postgres_outreach, settings_of
from tests.conformance.test_deliveries import FREE, LEASE_MS, hook, mail, plan, result
from tests.conformance.test_outreach import ENDPOINT, secret, template
from tests.engines import PostgresServer
from veltrix.adapters.postgres.filling import Filling
from veltrix.adapters.postgres.roles import OWNER
from veltrix.adapters.sqlite import SqliteNotices, SqliteOutreach
from veltrix.adapters.sqlite.dump import Dump
from veltrix.domain.targets import Target, TargetState
from veltrix.ports.channel import Sent
from veltrix.ports.deliveries import Wanted
from veltrix.ports.fulfilment import Progress
from veltrix.ports.notices import NoticeStatus
from veltrix.ports.outreach import Order, OrderKind, Reason, Suppression


async def _fill(directory: Path) -> None:
    """Something in each table."""
    outreach = await SqliteOutreach.open(directory / "outreach.db")
    await outreach.put_endpoint(ENDPOINT)
    await outreach.add_secret(secret("a", 100))
    await outreach.suppress([Suppression("org", "a1", "*", Reason.MANUAL, 1)])
    await outreach.save_template(template(1))
    order = Order(OrderKind.REPLAY, "org", 500, Wanted(), payload=b"\x00", request="cmd_1")
    await outreach.give(order)
    await outreach.close()
    notices = await SqliteNotices.open(directory / "notices.db")
    await plan(notices, mail(1, expires_ms=9_000), hook(2, ordered=True), hook(3, ordered=True))
    claimed = await notices.claim(1_000, 10, LEASE_MS, FREE)
    await notices.finish([result(each, NoticeStatus.REFUSED, 1_100, None, Sent.REFUSED) for each in claimed])
    await notices.change_target(Target("ep_1", TargetState.DISABLED, 1, "410"))
    await notices.carry_out(Order(OrderKind.PING, "org", 500, seq=1), Progress(), 2_000)
    await notices.close()


async def test_every_row_arrives(tmp_path: Path, postgres_server: PostgresServer):
    """And the store goes on where the files were: attempts, lines, targets, and the numbers of orders."""
    await _fill(tmp_path)
    await emptied(postgres_server, tmp_path, "veltrix")
    dump = Dump(tmp_path)
    filling = await Filling.open(settings_of(postgres_server, OWNER), vault=False)
    tables = [each for each in dump.tables if each.startswith(("notification.", "outreach."))]
    assert await filling.occupied() == []
    for table in tables:
        assert dump.count(table) or table in (
            "notification.jobs",
            "notification.holds",
            "notification.bounces",
        )
        await filling.fill(table, dump.rows(table))
        assert await filling.compare(table, dump.rows(table)) == (dump.count(table), "")
    assert set(await filling.occupied()) >= {"notification.progress", "outreach.orders"}
    await filling.complete([], "topic", 1)
    filling.close()
    notices = await postgres_notices(tmp_path, postgres_server)
    outreach = await postgres_outreach(tmp_path, postgres_server)
    assert await notices.progress() == Progress(1)
    assert len(await notices.attempts(mail(1).id)) == 1
    assert (await notices.counts())[NoticeStatus.REFUSED] == 2
    assert [each.notice for each in await notices.search(Wanted(), None, 1)] == [hook(3, ordered=True)]
    assert await outreach.endpoints() == [ENDPOINT]
    assert await outreach.give(Order(OrderKind.PING, "org", 1, request="cmd_1")) == 1
    assert await outreach.give(Order(OrderKind.PING, "org", 1, request="cmd_2")) == 2
    await notices.close()
    await outreach.close()
