"""`veltrix doctor` on a real platform: well, down, and with what its promises rest on taken away."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from tests.e2e.running import Platform


async def looked(platform: Platform, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """(exit code, looks by name)."""
    code, out = await platform.run("doctor", "--json", *arguments)
    document = json.loads(out)
    assert document["ok"] == (code == 0)
    return code, {look["name"]: look for look in document["looks"]}


async def test_a_platform_that_works(platform: Platform) -> None:
    """Every look is well, the canary goes from its event to its accepted mail and is gone again, and its key
    with it; everybody else's events are untouched."""
    code, looks = await looked(platform, "--url", platform.url)
    assert code == 0, looks
    assert {look["state"] for look in looks.values()} == {"well"}, looks
    assert {name for name in looks if name.startswith("canary: ")} == {
        "canary: an event",
        "canary: a registration",
        "canary: its notice",
        "canary: its end",
    }
    [mail, *_] = platform.mails()
    assert b"Canary" in mail.read_bytes()
    assert "veltrix-doctor" not in (await platform.run("key", "list"))[1]
    code, out = await platform.run("doctor", "--url", platform.url, "--no-canary")
    assert code == 0
    assert "The deployment works" in out


async def test_a_platform_that_does_not(platform: Platform) -> None:
    """What is down, or lacks a constraint, is ill, with a remedy; the canary is not sent into it."""
    url = platform.url
    assert await platform.stop() == 0
    database = sqlite3.connect(platform.directory / "ledger.db")
    database.execute("DROP INDEX one_per_email")
    database.commit()
    database.close()
    (platform.directory / "master.key").chmod(0o644)
    code, looks = await looked(platform, "--url", url)
    assert code == 1
    ill = {name for name, look in looks.items() if look["state"] == "ill"}
    assert ill == {
        "registration",
        "constraints of the ledger",
        f"{platform.directory / 'master.key'} (secrets.master_key_file)",
    }
    assert looks["canary"]["state"] == "unseen"
    assert all(look["remedy"] for look in looks.values() if look["state"] != "well")
    code, out = await platform.run("doctor", "--url", url)
    assert code == 1
    assert "does not work as it should" in out and "Traceback" not in out
