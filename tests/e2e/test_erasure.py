"""Erasing a person: keys destroyed, nothing readable left, the audit still passes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.e2e.platform import Platform, key_of, person, until
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
        assert shown.json()["registration"]["contact"] is None
    async with platform.public() as http:
        theirs = await http.get(f"/v1/registrations/{link}")
        assert EMAIL not in theirs.text
        others = await http.get(f"/v1/registrations/{other.json()['link']}")
        assert "person3@example.org" in others.text

    gone = [secret for key_id, secret in keys_before.items() if key_id not in _vault_keys(platform.directory)]
    assert len(gone) >= 3
    for needle in (NAME.encode(), EMAIL.encode(), *gone):
        assert _occurrences(platform.directory, needle) == []
    assert _boxes_that_open(platform.directory, EMAIL) == 0
    code, out = await platform.run("audit", "--json")
    assert code == 0, out
    assert json.loads(out)["verdict"] == "PASS"


def _vault_keys(directory: Path) -> dict[str, bytes]:
    """Every key in the vault, whatever its table calls its columns: an id as text, 32 bytes beside it."""
    found: dict[str, bytes] = {}
    database = sqlite3.connect(f"file:{directory / 'vault.db'}?mode=ro", uri=True)
    try:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f"SELECT * FROM {table}"):
                texts = [value for value in row if isinstance(value, str)]
                blobs = [value for value in row if isinstance(value, bytes) and len(value) == 32]
                if texts and blobs:
                    found[texts[0]] = blobs[0]
    finally:
        database.close()
    assert found, "the vault's keys were not found: this test must learn their table"
    return found


def _boxes_that_open(directory: Path, email: str) -> int:
    """How many boxes in the log open, under any key that is left, to something with that address."""
    keys = _vault_keys(directory)
    database = sqlite3.connect(f"file:{directory / 'log.db'}?mode=ro", uri=True)
    opened = boxes = 0
    try:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f"SELECT * FROM {table}"):
                for value in row:
                    if not isinstance(value, bytes) or b'"sealed"' not in value:
                        continue
                    envelope = decode_command(value)
                    assert envelope.box is not None
                    boxes += 1
                    secret = keys.get(envelope.box.key_id)
                    if secret is None:
                        continue
                    box = envelope.box
                    aad = f"{envelope.event}\0{box.command}\0{box.key_id}\0{box.form_version}".encode()
                    try:
                        plain = AESGCM(secret).decrypt(box.sealed[1:13], box.sealed[13:], aad)
                    except InvalidTag:
                        continue
                    opened += email.encode() in plain
    finally:
        database.close()
    assert boxes >= 4, "the log's boxes were not found: this test must learn their table"
    return opened
