"""Erasing a person: keys destroyed, nothing readable left, the audit still passes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.e2e.running import Platform, key_of, person, until
from veltrix.domain.commands import Envelope
from veltrix.wire import decode_command

NAME, EMAIL = "Zwetschgenbaum Quirin", "quirin.zwetschgenbaum@example.org"


def _occurrences(directory: Path, needle: bytes) -> list[str]:
    return [str(path) for path in directory.rglob("*") if path.is_file() and needle in path.read_bytes()]


async def test_an_erased_person_is_readable_nowhere(platform: Platform) -> None:
    """After an erasure no file holds the name, the address or any key that opens a box of theirs."""
    key = await platform.key()
    event = await platform.open_event(key, one_per_email=False)
    body = person(1)
    body["contact"] |= {"name": NAME, "email": EMAIL}
    async with platform.public() as http:
        path = f"/v1/events/{event}/registrations"
        answer = await http.post(path, json=body, headers={"idempotency-key": key_of(1)})
        duplicate = await http.post(path, json=body, headers={"idempotency-key": key_of(1)})
        second = await http.post(path, json=body, headers={"idempotency-key": key_of(2)})
        assert answer.status_code == duplicate.status_code == second.status_code == 201
        other = await http.post(path, json=person(3), headers={"idempotency-key": key_of(3)})
        link = answer.json()["link"]
    await until(lambda: len(platform.mails()) >= 3, "three mails")
    assert _occurrences(platform.directory / "spool", EMAIL.encode())
    keys_before = _vault_keys(platform.directory)

    async with platform.organizer(key) as client:
        erased = await client.post(f"/v1/events/{event}/erasures", json={"email": EMAIL})
        assert erased.status_code in (200, 201, 202, 204), erased.text
        spool = platform.directory / "spool"
        await until(lambda: not _occurrences(spool, EMAIL.encode()), "the spooled mails to be gone")
        shown = await client.get(f"/v1/registrations/{answer.json()['registration']['id']}")
        assert shown.status_code == 200
        assert shown.json()["erased"] is True
        assert shown.json()["contact"] is None
    async with platform.public() as http:
        theirs = await http.get(f"/v1/registrations/{link}")
        assert EMAIL not in theirs.text
        others = await http.get(f"/v1/registrations/{other.json()['link']}")
        assert "person3@example.org" in others.text

    gone = keys_before - _vault_keys(platform.directory)
    assert len(gone) == 3, "one key for each box of theirs, the duplicate's included"
    for needle in (NAME.encode(), EMAIL.encode(), *gone):
        assert _occurrences(platform.directory, needle) == []
    assert _boxes_that_open(platform.directory, EMAIL) == 0
    assert _boxes_that_open(platform.directory, "person3@example.org") == 1
    code, out = await platform.run("audit", "--json")
    assert code == 0, out
    assert json.loads(out)["verdict"] == "PASS"


def _returned(notice: str) -> bytes:
    """What a mail server says of a mail to an address that does not exist."""
    text = f"""From: MAILER-DAEMON@mx.example
To: no-reply@veltrix.invalid
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

I could not deliver your mail to {NAME} <{EMAIL}>.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {EMAIL}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <{EMAIL}> no such user

--b
Content-Type: text/rfc822-headers

To: {NAME} <{EMAIL}>
Message-ID: <{notice}@veltrix.invalid>

--b--
"""
    return text.replace("\n", "\r\n").encode()


def _vault_keys(directory: Path) -> set[bytes]:
    """Every key in the vault, used or reserved."""
    database = sqlite3.connect(f"file:{directory / 'vault.db'}?mode=ro", uri=True)
    try:
        return {key for (key,) in database.execute("SELECT key FROM keys WHERE key IS NOT NULL")}
    finally:
        database.close()


def _boxes_that_open(directory: Path, email: str, boxes: int = 4) -> int:
    """How many boxes in the log open, under any key that is left, to something with that address."""
    keys = [AESGCM(key) for key in _vault_keys(directory)]
    database = sqlite3.connect(f"file:{directory / 'log.db'}?mode=ro", uri=True)
    try:
        values = [value for (value,) in database.execute("SELECT value FROM records ORDER BY id")]
    finally:
        database.close()
    envelopes = [envelope for envelope in map(decode_command, values) if envelope.box is not None]
    assert len(envelopes) == boxes
    return sum(email.encode() in _opened(envelope, keys) for envelope in envelopes)


def _opened(envelope: Envelope, keys: list[AESGCM]) -> bytes:
    """What the command's box holds, as far as any of the keys opens it."""
    box = envelope.box
    assert box is not None
    aad = f"{envelope.event}\0{box.command}\0{box.key_id}\0{box.form_version}".encode()
    for key in keys:
        with suppress(InvalidTag):
            return key.decrypt(box.sealed[1:13], box.sealed[13:], aad)
    return b""


async def test_what_people_were_told_and_chose_is_forgotten_with_them(platform: Platform) -> None:
    """After texts of the organizer's own, exports, a stream, a report of a bounce and a suppression: no file
    says who it was. That an address is not to be written to stays, as a hash, and still holds."""
    key = await platform.key()
    event = await platform.open_event(key, one_per_email=False)
    body = person(1)
    body["contact"] |= {"name": NAME, "email": EMAIL}
    own = {"subject": "In: {{ title }}", "text": "Dear {{ name }}, {{ seats }} {{ link }}"}
    async with platform.organizer(key) as client, platform.public() as http:
        saved = await client.put("/v1/templates/confirmed/en", json=own)
        assert saved.status_code == 200, saved.text
        path = f"/v1/events/{event}/registrations"
        made = (await http.post(path, json=body, headers={"idempotency-key": key_of(1)})).json()
        await until(lambda: len(platform.mails()) == 1, "the mail")
        assert b"Subject: In: Autumn evening" in platform.mails()[0].read_bytes()
        async with http.stream("GET", f"/v1/registrations/{made['link']}/stream") as stream:
            async for line in stream.aiter_lines():
                if EMAIL in line:
                    break
        shown = await http.get(f"/v1/registrations/{made['link']}/export")
        assert EMAIL in shown.text and NAME in shown.text
        everything = (await client.get("/v1/people/export", params={"email": EMAIL})).json()
        assert everything["events"][0]["decisions"][0]["data"]["name"] == NAME
        assert [each["status"] for each in everything["events"][0]["notices"]] == ["accepted"]
        await client.post("/v1/templates/confirmed/en/preview", json={"event": event})
        report = _returned(everything["events"][0]["notices"][0]["id"])
        back = await client.post("/v1/bounces", content=report, headers={"content-type": "message/rfc822"})
        assert back.status_code == 200, back.text
        erased = await client.post(f"/v1/events/{event}/erasures", json={"email": EMAIL})
        assert erased.status_code == 200, erased.text
        await until(lambda: not platform.mails(), "the mail to be gone")
        after = (await client.get("/v1/people/export", params={"email": EMAIL})).json()
        assert after["events"][0]["decisions"][0]["data"] is None
        assert NAME not in str(after)
        assert [(each["category"], each["reason"]) for each in after["choices"]] == [("*", "bounce")]
        again = await http.post(path, json=body, headers={"idempotency-key": key_of(2)})
        assert again.status_code == 201

        async def told() -> list[str]:
            found = await client.get(
                "/v1/notices", params={"registration": again.json()["registration"]["id"]}
            )
            return [each["status"] for each in found.json()["items"]]

        async with asyncio.timeout(30):
            while await told() != ["suppressed"]:  # noqa: ASYNC110 - it is about another process
                await asyncio.sleep(0.05)
        await client.post(f"/v1/events/{event}/erasures", json={"email": EMAIL})
        await until(lambda: _boxes_that_open(platform.directory, EMAIL, 2) == 0, "the keys to be gone")
    assert await platform.stop() == 0
    for needle in (NAME.encode(), EMAIL.encode(), b"zwetschgenbaum"):
        assert _occurrences(platform.directory, needle) == []
    code, out = await platform.run("audit", "--json")
    assert code == 0, out
