"""What was transmitted when a process was killed comes twice at the most, and is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from tests.e2e.running import START_TIMEOUT_S, Platform, key_of, person
from tests.webhook.receiver import a_receiver, accept, hang

PEOPLE = 6
TOLD = {"accepted": PEOPLE}


class Near(Platform):
    """A platform that may post to this machine, and soon takes a lease for lost."""

    def environment(self) -> dict[str, str]:
        """With that said."""
        return super().environment() | {
            "VELTRIX_WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8",
            "VELTRIX_NOTIFICATION_LEASE": "3s",
            "VELTRIX_SMTP_TIMEOUT": "1s",
        }


async def told(platform: Platform, key: str, channel: str) -> list[dict[str, Any]]:
    """The notices of a channel, each with its attempts, once all are accepted."""
    async with asyncio.timeout(START_TIMEOUT_S), platform.organizer(key) as client:
        while True:
            answer = await client.get("/v1/notices", params={"channel": channel, "limit": 100})
            assert answer.status_code == 200, answer.text
            found = answer.json()["items"]
            if Counter(each["status"] for each in found) == TOLD:
                break
            await asyncio.sleep(0.1)  # another process tells nobody
        views = [await client.get(f"/v1/notices/{each['id']}") for each in found]
        return [view.json() for view in views]


async def test_duplicates_are_no_more_than_unknown(tmp_path: Path):
    """Killed after the bodies of POSTs had arrived and before anything was answered: one notice for each
    change and channel, everything arrives, and twice no more often than an outcome is recorded as unknown."""
    platform = Near(tmp_path / "data")
    async with a_receiver(hang) as receiver:
        await platform.start()
        key = await platform.key()
        event = await platform.open_event(key)
        async with platform.organizer(key) as client:
            body = {"url": receiver.url, "kinds": ["registration.confirmed"]}
            made = await client.post("/v1/endpoints", json=body)
            assert made.status_code == 201, made.text
        async with platform.public() as client:
            for number in range(PEOPLE):
                answer = await client.post(
                    f"/v1/events/{event}/registrations",
                    json=person(number),
                    headers={"idempotency-key": key_of(number)},
                )
                assert answer.status_code == 201, answer.text
        async with asyncio.timeout(START_TIMEOUT_S):
            while len(receiver.ids) < PEOPLE // 2:
                receiver.came.clear()
                await receiver.came.wait()
        await platform.kill()
        before = len(receiver.ids)
        receiver.behaviour = accept
        await platform.start()
        webhooks = await told(platform, key, "webhook")
        mails = await told(platform, key, "email")
        assert await platform.stop() == 0
    unknown = sum(row["outcome"] == "unknown" for view in webhooks for row in view["attempts"])
    duplicates = len(receiver.ids) - len(set(receiver.ids))
    assert len({view["notice"]["fact"] for view in webhooks}) == len(webhooks) == PEOPLE
    assert len({view["notice"]["fact"] for view in mails}) == len(mails) == PEOPLE
    assert set(receiver.ids) == {view["notice"]["id"] for view in webhooks}
    assert 1 <= before <= duplicates <= unknown
    assert len(platform.mails()) == PEOPLE, "a spool knows a notice that it has"
