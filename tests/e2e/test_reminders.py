"""Reminders from a real process: on time, once, and not again after it was killed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tests.e2e.running import Platform, key_of, person, until

AHEAD_S = 6


async def test_everybody_who_comes_is_reminded_once(platform: Platform) -> None:
    """A day before the start, in the organizer's words; who waits is not; and a kill doubles none."""
    key = await platform.key()
    start = datetime.now(UTC) + timedelta(hours=24, seconds=AHEAD_S)
    event = await platform.open_event(
        key,
        time_zone="UTC",
        starts_at=f"{start:%Y-%m-%dT%H:%M:%S}",
        ends_at=f"{start + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}",
        pools=[{"key": "main", "capacity": 2}],
    )
    async with platform.organizer(key) as client, platform.public() as http:
        own = {"subject": "Tomorrow: {{ title }}", "text": "{{ name }}: {{ date }} {{ time }} {{ link }}"}
        assert (await client.put("/v1/templates/reminder/en", json=own)).status_code == 200
        for number in range(3):
            answer = await http.post(
                f"/v1/events/{event}/registrations",
                json=person(number),
                headers={"idempotency-key": key_of(number)},
            )
            assert answer.status_code == 201, answer.text
            status = "waitlisted" if number == 2 else "confirmed"
            assert answer.json()["registration"]["status"] == status

    def reminders() -> list[str]:
        texts = [path.read_text(encoding="utf-8") for path in platform.mails()]
        return [text for text in texts if "Subject: Tomorrow: Autumn evening" in text]

    assert reminders() == []
    await until(lambda: len(reminders()) == 2, "two reminders")
    assert datetime.now(UTC) >= start - timedelta(hours=24)
    await platform.kill()
    await platform.start()
    async with platform.organizer(key) as client:
        listed = (await client.get("/v1/notices", params={"kind": "reminder"})).json()["items"]
        assert len(listed) == 2
        moved = await client.patch(
            f"/v1/events/{event}", json={"starts_at": f"{start + timedelta(minutes=30):%Y-%m-%dT%H:%M:%S}"}
        )
        assert moved.status_code == 200, moved.text
        await until(lambda: len(platform.mails()) >= 3 + 2 + 3, "word of the new time to all three")
    assert len(reminders()) == 2
    assert await platform.stop() == 0
    code, out = await platform.run("audit", "--json")
    assert code == 0, out
    assert json.loads(out)["verdict"] == "PASS"
