"""The services as processes of their own on real engines: each may stop while the others go on."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.cluster.running import Cluster, open_event, register
from tests.e2e.running import until
from tests.engines import PostgresServer

ALL = ("registration", "processing", "notification", "ticker")

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
async def cluster(
    tmp_path: Path, kafka_broker: str, postgres_server: PostgresServer, etcd_server: str
) -> AsyncIterator[Cluster]:
    """A prepared cluster without processes; what a test starts ends with it."""
    made = Cluster(tmp_path, kafka_broker, postgres_server, etcd_server, f"run_{tmp_path.name[-12:].lower()}")
    await made.prepare()
    try:
        yield made
    finally:
        await made.close()


async def sound(cluster: Cluster, commands: int) -> None:
    """The audit passes, and has seen at least so many commands."""
    code, out, err = await cluster.run("audit", "--json")
    assert code == 0, out + err
    report = json.loads(out)
    assert report["verdict"] == "PASS"
    assert report["commands"] >= commands


async def test_each_service_may_stop_while_the_others_go_on(cluster):
    """Intake goes on without processing (202, the line grows, then all are answered), processing without
    notification (mails come later); a processing process that is killed is replaced by the other one."""
    assert (await cluster.prepare())["postgres"] == []  # a second time there is nothing to do
    registration, processing, notification, ticker = await cluster.start(*ALL)
    url = registration.watch
    for process in (registration, processing, notification, ticker):
        assert (await process.ready())["code"] == 200, process.tail
    key = await cluster.key()
    event = await open_event(url, key)
    assert [answer.status_code for answer in await register(url, event, range(20))] == [201] * 20
    await until(lambda: cluster.mails() == 20, "20 mails")

    assert await notification.end() == 0
    assert [answer.status_code for answer in await register(url, event, range(20, 30))] == [201] * 10
    assert await processing.end() == 0, processing.tail
    queued = [(await register(url, event, [number], wait_s=0))[0] for number in range(30, 40)]
    assert [answer.status_code for answer in queued] == [202] * 10
    assert [answer.json()["place_in_line"] for answer in queued] == list(range(10))
    held = asyncio.create_task(register(url, event, range(40, 45), wait_s=60))
    assert (await registration.ready())["code"] == 200
    assert cluster.mails() == 20

    first, second = await cluster.start("processing", "processing")
    assert {answer.status_code for answer in await held} == {201}
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        for answer in queued:
            found = await client.get(answer.headers["location"], headers={"prefer": "wait=20"})
            assert found.json()["registration"]["status"] == "confirmed", found.text
    await first.end(signal.SIGKILL)
    assert {answer.status_code for answer in await register(url, event, range(45, 60), wait_s=60)} == {201}
    assert (await second.ready())["code"] == 200
    await cluster.start("notification")
    await until(lambda: cluster.mails() == 60, "60 mails")
    assert [await process.end() for process in (registration, second, ticker)] == [0, 0, 0]
    await sound(cluster, 62)


async def test_what_is_known_through_one_process_is_known_to_all(cluster):
    """Two API processes: an event that was changed through one is as it is now in the other; a request that
    is repeated through the other one gets the first one's answer."""
    one, other, _ = await cluster.start("registration", "registration", "processing")
    key = await cluster.key()
    event = await open_event(one.watch, key)
    (first,) = await register(one.watch, event, [1])
    (again,) = await register(other.watch, event, [1])
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["registration"]["id"] == first.json()["registration"]["id"]
    assert again.headers["idempotent-replayed"] == "true"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        head = {"authorization": f"Bearer {key}"}
        closed = await client.post(f"{other.watch}/v1/events/{event}/close", headers=head)
        assert closed.status_code == 200, closed.text
        seen = await client.get(f"{one.watch}/v1/events/{event}")
        assert seen.json()["status"] == "closed"
    (late,) = await register(one.watch, event, [2])
    assert late.status_code == 409, late.text
    await sound(cluster, 5)


async def test_a_process_waits_for_its_engines_and_gives_up_in_time(tmp_path, postgres_server, etcd_server):
    """Without engines: a line that says what is waited for, then exit code 3 and the remedy."""
    made = Cluster(tmp_path, "127.0.0.1:1", postgres_server, etcd_server, "nobody")
    text = made.file.read_text(encoding="utf-8").replace('"60 s"', '"1 s"')
    made.file.write_text(text.replace(etcd_server, "127.0.0.1:1"), encoding="utf-8")
    code, out, err = await made.run("run", "processing", VELTRIX_LOGGING_FORMAT="json")
    assert code == 3, err
    assert '"message":"waiting_for_engine","engine":"etcd"' in err
    assert "operations.start_wait" in err
    assert "Traceback" not in err + out
