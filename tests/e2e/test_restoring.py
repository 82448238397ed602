"""Backups that are put back: who was erased stays erased, what was decided is decided again, nobody is told
twice by mistake."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from tests.e2e.running import Platform, key_of, person, until

EMAIL = "person1@example.org"


def _keys(directory: Path) -> set[str]:
    """The ids of the keys that the vault has."""
    database = sqlite3.connect(f"file:{directory / 'vault.db'}?mode=ro", uri=True)
    try:
        return {key for (key,) in database.execute("SELECT id FROM keys WHERE key IS NOT NULL")}
    finally:
        database.close()


async def _register(platform: Platform, event: str, *numbers: int) -> list[str]:
    """Register these persons; returns their links."""
    links = []
    async with platform.public() as http:
        for number in numbers:
            answer = await http.post(
                f"/v1/events/{event}/registrations",
                json=person(number),
                headers={"idempotency-key": key_of(number)},
            )
            assert answer.status_code == 201, answer.text
            links.append(answer.json()["link"])
    return links


async def _erase(platform: Platform, key: str, event: str) -> None:
    async with platform.organizer(key) as client:
        erased = await client.post(f"/v1/events/{event}/erasures", json={"email": EMAIL})
        assert erased.is_success, erased.text


def _decided(rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """What was decided, without what an older vault cannot open any more."""
    return [tuple(row[name] for name in ("id", "status", "arrival", "decided_at", "version")) for row in rows]


def _back_up(platform: Platform, *names: str) -> Path:
    """Copies of these files, of a platform that is stopped."""
    place = platform.directory.parent / "backup"
    place.mkdir()
    for name in names:
        shutil.copy(platform.directory / name, place / name)
    return place


def _put_back(platform: Platform, backup: Path) -> None:
    for file in backup.iterdir():
        for side in ("-wal", "-shm"):
            (platform.directory / f"{file.name}{side}").unlink(missing_ok=True)
        shutil.copy(file, platform.directory / file.name)


async def test_an_older_vault_brings_nobody_back(platform: Platform) -> None:
    """With a vault from before an erasure the first start destroys the keys again; others can be read."""
    key = await platform.key()
    event = await platform.open_event(key)
    erased, other = await _register(platform, event, 1, 2)
    assert await platform.stop() == 0
    backup = _back_up(platform, "vault.db")
    await platform.start()
    await _erase(platform, key, event)
    assert await platform.stop() == 0
    (back,) = _keys(backup) - _keys(platform.directory)
    _put_back(platform, backup)
    assert back in _keys(platform.directory)
    await platform.start()
    async with platform.public() as http:
        shown = (await http.get(f"/v1/registrations/{erased}")).json()
        assert (shown["erased"], shown["contact"]) == (True, None)
        assert "person2@example.org" in (await http.get(f"/v1/registrations/{other}")).text
    assert await platform.stop() == 0
    assert back not in _keys(platform.directory)


async def test_an_older_ledger_and_vault_bring_nobody_back(platform: Platform) -> None:
    """With ledger and vault from before an erasure only the log knows of it: it is carried out before
    anything can be read, and what was decided since is decided again the same way."""
    key = await platform.key()
    event = await platform.open_event(key)
    (erased,) = await _register(platform, event, 1)
    assert await platform.stop() == 0
    backup = _back_up(platform, "vault.db", "ledger.db")
    await platform.start()
    await _register(platform, event, 2, 3)
    await _erase(platform, key, event)
    before = _decided(await platform.export(key, event))
    assert await platform.stop() == 0
    _put_back(platform, backup)
    await platform.start()
    async with platform.public() as http:
        shown = (await http.get(f"/v1/registrations/{erased}")).json()
        assert (shown["erased"], shown["contact"]) == (True, None)
    assert _decided(await platform.export(key, event)) == before
    code, out = await platform.run("audit", "--json")
    assert code == 0, out


async def test_what_may_have_been_sent_is_held(platform: Platform) -> None:
    """Ledger and notices from before some registrations: `veltrix restore` decides again, holds their mails,
    and an operator lets them go out or not."""
    key = await platform.key()
    event = await platform.open_event(key)
    await _register(platform, event, 1)
    await until(lambda: len(platform.mails()) == 1, "the first mail")
    assert await platform.stop() == 0
    backup = _back_up(platform, "ledger.db", "notices.db")
    await platform.start()
    await _register(platform, event, 2, 3)
    await until(lambda: len(platform.mails()) == 3, "all mails")
    assert await platform.stop() == 0
    _put_back(platform, backup)
    for mail in platform.mails():
        mail.unlink()
    code, out = await platform.run("restore", "--json")
    assert code == 0, out
    told = json.loads(out)
    assert (told["verdict"], told["audit"], told["decided"]) == ("PASS", "PASS", {"0": 2})
    await platform.start()
    (link,) = await _register(platform, event, 4)
    assert link
    await until(lambda: len(platform.mails()) == 1, "the mail of who came after the restore")
    assert b"person4@example.org" in platform.mails()[0].read_bytes()
    assert await platform.stop() == 0
    code, out = await platform.run("restore", "--held-notices", "show", "--json")
    assert json.loads(out)["notices"] == 2
    code, out = await platform.run("restore", "--held-notices", "send", "--json")
    assert (code, json.loads(out)["notices"]) == (0, 2)
    await platform.start()
    await until(lambda: len(platform.mails()) == 3, "the mails that were held")


async def test_a_restore_that_was_interrupted_must_end(platform: Platform) -> None:
    """Until `veltrix restore` has ended well nothing starts, so that no mail goes out in between."""
    assert await platform.stop() == 0
    (platform.directory / "restoring").touch()
    code, out = await platform.run("serve", "--port", "0")
    assert (code, "veltrix restore" in out) == (3, True), out
    code, out = await platform.run("restore")
    assert code == 0, out
    await platform.start()


async def test_a_lost_log_is_replaced_by_a_later_one(platform: Platform) -> None:
    """Without its log a ledger is refused, with the remedy; bound to a new one it goes on: old answers, links
    and order stay, new arrivals come after them, and none is taken for another."""
    key = await platform.key()
    event = await platform.open_event(key, pools=[{"key": "main", "capacity": 2}])
    links = await _register(platform, event, 1, 2, 3)
    assert await platform.stop() == 0
    for file in platform.directory.glob("log.db*"):
        file.unlink()
    code, out = await platform.run("restore")
    assert (code, "--new-log" in out) == (3, True), out
    code, out = await platform.run("restore", "--new-log", "--json")
    assert code == 0, out
    assert json.loads(out)["generation"] == 1
    await platform.start()
    assert await _register(platform, event, 1, 2, 3, 4) == [*links, *(await _register(platform, event, 4))]
    async with platform.public() as http:
        cancelled = await http.post(
            f"/v1/registrations/{links[0]}/cancel", headers={"idempotency-key": key_of(100)}
        )
        assert cancelled.status_code == 200, cancelled.text
    rows = await platform.export(key, event)
    assert [row["status"] for row in rows] == ["cancelled", "confirmed", "confirmed", "waitlisted"]
    assert [row["arrival"].split(".")[0] for row in rows] == ["0", "0", "0", "1"]
    assert await platform.stop() == 0
    code, out = await platform.run("restore", "--new-log")
    assert (code, "the ledger's own" in out) == (3, True), out
    code, out = await platform.run("audit")
    assert (code, "the log begins at" in out) == (3, True), out
