"""An embedded deployment moves into a cluster: nobody who holds a link, a key or a ticket notices."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.running import Platform, key_of, person, until
from tests.moving.prepared import Cluster


async def _lived(platform: Platform) -> tuple[str, str, dict[int, dict[str, Any]], str]:
    """A deployment with confirmed, waiting, cancelled and erased people; (key, event, answers, export)."""
    key = await platform.key()
    event = await platform.open_event(key, pools=[{"key": "main", "capacity": 4}])
    answers = {}
    async with platform.public() as http:
        for number in range(7):
            answers[number] = await _register(http, event, number)
        path = f"/v1/registrations/{answers[1]['link']}/cancel"
        assert (await http.post(path, headers={"idempotency-key": key_of(100)})).status_code == 200
    async with platform.organizer(key) as client:
        erased = await client.post(f"/v1/events/{event}/erasures", json={"email": "person2@example.org"})
        assert erased.is_success, erased.text
    await until(lambda: len(platform.mails()) >= 7, "the mails")
    rows = json.dumps(await platform.export(key, event))
    assert await platform.stop() == 0
    return key, event, answers, rows


async def _register(http: httpx.AsyncClient, event: str, number: int) -> dict[str, Any]:
    answer = await http.post(
        f"/v1/events/{event}/registrations",
        json=person(number),
        headers={"idempotency-key": key_of(number), "prefer": "wait=20"},
    )
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _client(url: str, key: str = "") -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False)


async def test_nobody_notices_a_move(platform: Platform, cluster: Cluster) -> None:
    """Links, keys, order, tickets, Idempotency-Keys and the export are the same in the cluster; what is asked
    again is answered as before; who comes next comes next; and the audit is clean."""
    key, event, answers, rows = await _lived(platform)
    code, out, err = await cluster.veltrix("move", "--data", str(platform.directory), "--json")
    assert code == 0, out + err
    told = json.loads(out)
    assert (told["verdict"], told["audits"]) == ("PASS", {"source": "PASS", "target": "PASS"})
    assert told["rows"]["registration.api_keys"] == 1
    await cluster.run("processing")
    url = await cluster.run("registration")
    async with _client(url) as http:
        for number, before in answers.items():
            if number != 2:
                again = await _register(http, event, number)
                assert again["link"] == before["link"]
                assert again["registration"]["id"] == before["registration"]["id"]
                assert again["decision"] == before["decision"]
                seats = [seat.get("ticket") for seat in again["registration"]["seats"]]
                assert seats == [seat.get("ticket") for seat in before["registration"]["seats"]]
        shown = (await http.get(f"/v1/registrations/{answers[2]['link']}")).json()
        assert shown["contact"] is None
        last = await _register(http, event, 50)
        assert last["registration"]["status"] == "waitlisted"
        generation, offset = last["registration"]["arrival"].split(".")
        assert (generation, int(offset) > 10) == ("0", True)
    async with _client(url, key) as client:
        found = await client.get(
            f"/v1/events/{event}/export", params={"by": "registration", "format": "ndjson"}
        )
        after = [json.loads(line) for line in found.text.splitlines() if line]
        assert json.dumps(after[:-1]) == rows
    await cluster.stop()
    code, out, err = await cluster.veltrix("audit", "--json")
    assert code == 0, out + err


async def test_the_log_is_the_same_record_by_record(platform: Platform, cluster: Cluster) -> None:
    """Offsets, bytes and append times are those of the source; the topic takes the brokers' time again."""
    from veltrix.adapters.kafka import KafkaLog, inspect_topics
    from veltrix.adapters.sqlite import SqliteLog
    from veltrix.bootstrap.engines import kafka_settings

    await _lived(platform)
    code, out, err = await cluster.veltrix("move", "--data", str(platform.directory), "--json")
    assert code == 0, out + err
    settings = kafka_settings(cluster.config, "test")
    ours = await SqliteLog.open(platform.directory / "log.db", read_only=True)
    theirs = await KafkaLog.open(settings, write=False)
    try:
        _, end = await ours.bounds(0)
        assert await theirs.read(0, 0, 1_000, 5) == await ours.read(0, 0, 1_000, 0)
        assert (await theirs.bounds(0), await theirs.bounds(1)) == ((0, end), (0, 0))
        assert end > 10
    finally:
        await ours.close()
        await theirs.close()
    commands = (await inspect_topics(settings)).commands
    assert commands.settings["message.timestamp.type"] == "LogAppendTime"


async def test_a_move_that_was_interrupted_goes_on(platform: Platform, cluster: Cluster) -> None:
    """Killed in the middle it leaves a cluster that nobody can use and that says why; run again it ends."""
    await _lived(platform)
    database = sqlite3.connect(platform.directory / "access.db")  # the copy of this table fails
    database.execute("PRAGMA writable_schema = ON")
    database.execute("ALTER TABLE api_keys RENAME TO hidden")
    database.commit()
    code, out, err = await cluster.veltrix("move", "--data", str(platform.directory), "--json")
    assert code == 3, out + err
    assert (await cluster.sql("SELECT DISTINCT topic_id LIKE 'moving:%' FROM ledger.partitions")) == [(True,)]
    url = await cluster.run("processing")
    async with _client(url) as http:
        ready = await http.get("/readyz")
        assert ready.status_code == 503
    await cluster.stop()
    database.execute("ALTER TABLE hidden RENAME TO api_keys")
    database.commit()
    database.close()
    code, out, err = await cluster.veltrix("move", "--data", str(platform.directory), "--json")
    assert code == 0, out + err
    told = json.loads(out)
    assert (told["verdict"], told["resumed"]) == ("PASS", True)


async def test_what_must_not_be_moved(platform: Platform, cluster: Cluster, tmp_path: Path) -> None:
    """A running source, a target with data, a running target, no cluster and no deployment are refused, and
    each is told what to do."""
    code, _, err = await cluster.veltrix("move", "--data", str(platform.directory))
    assert (code, "in use by process" in err) == (3, True), err
    await platform.stop()
    code, _, err = await cluster.veltrix("move", "--data", str(tmp_path / "nothing"))
    assert (code, "holds no whole deployment" in err) == (3, True), err
    await cluster.run("processing")
    code, _, err = await cluster.veltrix("move", "--data", str(platform.directory))
    assert (code, "stop them first" in err) == (3, True), err
    await cluster.stop()
    code, _, err = await cluster.veltrix("key", "create", "--organizer", "acme")
    assert code == 0, err
    code, _, err = await cluster.veltrix("move", "--data", str(platform.directory))
    assert (code, "the cluster is not empty: " in err, "api_keys" in err) == (3, True, True), err
    code, out = await platform.run("move", "--data", str(platform.directory))
    assert (code, "names no cluster" in out) == (2, True), out
