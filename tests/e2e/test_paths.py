"""`veltrix trace`: what the log, the ledger and the notices themselves have kept of one registration."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.running import Platform, key_of, person, until


async def path(platform: Platform, text: str) -> dict[str, Any]:
    """The path as JSON."""
    code, out = await platform.run("trace", text, "--json")
    assert code == 0, out
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


async def test_the_path_of_a_registration(platform: Platform) -> None:
    """By its id, its link or its page: every command with its steps, from the request to the accepted mail,
    in order of time; people get the same in lines; nobody's name or address is in it."""
    event = await platform.open_event(await platform.key())
    async with platform.public() as http:
        answer = await http.post(
            f"/v1/events/{event}/registrations", json=person(1), headers={"idempotency-key": key_of(1)}
        )
        link, registration = answer.json()["link"], answer.json()["registration"]["id"]
        await http.post(f"/v1/registrations/{link}/cancel", headers={"idempotency-key": key_of(2)})
        await until(lambda: len(platform.mails()) == 2, "both mails")
    found = await path(platform, registration)
    assert found == await path(platform, link) == await path(platform, f"{platform.url}/r/{link}")
    assert (found["status"], found["event"]) == ("cancelled", event)
    register, cancel = found["commands"]
    assert (register["kind"], cancel["kind"]) == ("register", "cancel")
    assert register["trace_id"] == answer.headers["x-trace-id"]
    for command in (register, cancel):
        steps = command["steps"]
        names = [step["step"] for step in steps]
        assert names == ["asked", "appended", "decided", "published", "planned", "sending", "sent"]
        times = [step["at_ms"] for step in steps if step["at_ms"] is not None]
        assert times == sorted(times)
        assert len(times) == 4
        assert sum(step["after_ms"] or 0 for step in steps) == times[-1] - times[0]
        assert steps[-1]["detail"] == "accepted"
    code, out = await platform.run("trace", registration)
    assert code == 0
    assert "in all" in out and "register, partition 0, offset" in out
    assert "example.org" not in out + json.dumps(found) and "Person" not in out


async def test_a_refusal_by_its_token_and_what_is_not_there(platform: Platform) -> None:
    """A token leads to the decision of a request that became no registration; what is unknown, forged or no
    id at all is said, with the remedy, and no traceback."""
    event = await platform.open_event(
        await platform.key(), pools=[{"key": "main", "capacity": 0}], waitlist=None
    )
    async with platform.public() as http:
        asked = {"idempotency-key": key_of(1), "prefer": "wait=0"}
        answer = await http.post(f"/v1/events/{event}/registrations", json=person(1), headers=asked)
        token = answer.json()["location"].rpartition("/")[2] if answer.status_code == 202 else ""
        assert token, answer.text
        shown = await http.get(f"/v1/decisions/{token}", headers={"prefer": "wait=20"})
        assert shown.status_code == 409, shown.text
    found = await path(platform, token)
    assert (found["registration"], found["status"]) == ("", "no registration")
    [command] = found["commands"]
    assert [step["step"] for step in command["steps"]] == ["asked", "appended", "decided", "published"]
    assert command["steps"][2]["detail"].startswith("refused: full")
    for text, code in ((f"reg_{'0' * 32}", 1), ("nonsense", 2), (f"{token[:-30]}aaaa", 2), ("", 2)):
        ended, out = await platform.run("trace", text)
        assert ended == code, out
        assert "What to do:" in out and "Traceback" not in out
