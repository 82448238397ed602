"""Starting, stopping, and what must not start."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import httpx

from tests.e2e.running import Platform, key_of, person, until


def _plant(platform: Platform, *values: bytes) -> None:
    """Put records on the log that no adapter would append."""
    database = sqlite3.connect(platform.directory / "log.db")
    try:
        for value in values:
            database.execute(
                "INSERT INTO records (id, append_ms, value, trace, reply_to) "
                "SELECT max(id) + 1, max(append_ms), ?, '', '' FROM records",
                (value,),
            )
        database.commit()
    finally:
        database.close()


async def test_from_a_click_to_a_mail(platform: Platform) -> None:
    """A registration is answered, its mail lies in the spool, its link shows it, and GET changes nothing."""
    key = await platform.key()
    event = await platform.open_event(key)
    async with platform.public() as http:
        answer = await http.post(
            f"/v1/events/{event}/registrations",
            json=person(1, seats=2),
            headers={"idempotency-key": key_of(1)},
        )
        assert answer.status_code == 201, answer.text
        link = answer.json()["link"]
        await until(lambda: bool(platform.mails()), "the mail")
        shown = await http.get(f"/v1/registrations/{link}")
        page = await http.get(f"/r/{link}")
        assert shown.status_code == page.status_code == 200
        assert (await http.get(f"/v1/registrations/{link}")).json() == shown.json()
        assert shown.json()["registration"]["status"] == "confirmed"
        cancelled = await http.post(
            f"/v1/registrations/{link}/cancel", headers={"idempotency-key": key_of(2)}
        )
        assert cancelled.status_code == 200, cancelled.text
        await until(lambda: len(platform.mails()) == 2, "the second mail")


async def test_a_graceful_stop_answers_everybody(platform: Platform) -> None:
    """SIGTERM under load: who was accepted is answered or told where to look; exit code 0; audit clean."""
    key = await platform.key()
    event = await platform.open_event(key)
    async with platform.public() as http:

        async def register(number: int) -> int | None:
            try:
                answer = await http.post(
                    f"/v1/events/{event}/registrations",
                    json=person(number),
                    headers={"idempotency-key": key_of(number)},
                )
            except httpx.ConnectError:
                return None  # it came after the door was closed, and was not accepted
            return answer.status_code

        clients = [asyncio.create_task(register(number)) for number in range(80)]
        await clients[0]
        code = await platform.stop()
        statuses = await asyncio.gather(*clients, return_exceptions=True)
    assert code == 0, "\n".join(platform.tail)
    answered = [status for status in statuses if status == 201]
    assert answered
    assert {status for status in statuses if isinstance(status, int)} <= {201, 202, 503}
    await platform.start()
    rows = await platform.export(key, event)
    assert len(rows) >= len(answered)
    code, out = await platform.run("audit", "--json")
    assert code == 0, out


async def test_a_second_process_is_refused(platform: Platform) -> None:
    """Two processes on one directory would be two owners: the second says so, with the remedy, at once."""
    code, out = await platform.run("serve", "--port", "0")
    assert code == 3
    assert "Traceback" not in out
    assert str(platform.directory) in out


async def test_garbage_on_the_log_is_refused_and_the_partition_goes_on(platform: Platform) -> None:
    """Garbage, an unknown version and an oversized record each get a refused decision of their own."""
    key = await platform.key()
    event = await platform.open_event(key)
    assert await platform.stop() == 0
    _plant(platform, b"\x00garbage", b'{"v":99}', b'{"v":1,"kind":"fly"}', b'{"v":1}' + b" " * 98_304)
    await platform.start()
    async with platform.public() as http:
        answer = await http.post(
            f"/v1/events/{event}/registrations", json=person(1), headers={"idempotency-key": key_of(1)}
        )
        assert answer.status_code == 201
    code, out = await platform.run("audit", "--json")
    assert code == 0, out


async def test_the_audit_finds_a_planted_difference(platform: Platform) -> None:
    """One changed number in the ledger: the audit names the table and both rows, and exits with 1."""
    key = await platform.key()
    event = await platform.open_event(key)
    async with platform.public() as http:
        await http.post(
            f"/v1/events/{event}/registrations", json=person(1), headers={"idempotency-key": key_of(1)}
        )
    assert await platform.stop() == 0
    database = sqlite3.connect(platform.directory / "ledger.db")
    database.execute("UPDATE pools SET taken = taken + 1")
    database.commit()
    database.close()
    code, out = await platform.run("audit", "--json")
    assert code == 1
    found = json.loads(out)
    assert found["verdict"] == "FAIL"
    assert found["difference"]["table"] == "pools"
    code, out = await platform.run("audit")
    assert code == 1
    assert "VERDICT FAIL" in out


async def test_a_log_of_another_ledger_stops_intake(platform: Platform) -> None:
    """With a foreign log nothing is decided and nothing more is accepted, and the reason is in the log."""
    key = await platform.key()
    event = await platform.open_event(key)
    assert await platform.stop() == 0
    database = sqlite3.connect(platform.directory / "log.db")
    database.execute(
        "UPDATE records SET value = CAST(value || ' ' AS BLOB) WHERE id = (SELECT max(id) FROM records)"
    )
    database.commit()
    database.close()
    await platform.start()
    async with platform.public() as http:
        await until(lambda: any("partition_stopped" in line for line in platform.tail), "the refusal")
        ready = await http.get("/readyz")
        answer = await http.post(
            f"/v1/events/{event}/registrations", json=person(1), headers={"idempotency-key": key_of(1)}
        )
    assert ready.status_code == 503
    assert ready.json()["checks"]["partitions_sound"] is False
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert "restore both" in "\n".join(platform.tail).lower()
