"""An acknowledged command survives kill -9 at any instant."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from typing import Any

import httpx

from tests.e2e.running import Platform, key_of, person, until

ROUNDS = int(os.environ.get("VELTRIX_TEST_KILLS", "8"))
CLIENTS = 24


class Crowd:
    """People who register one after the other, and try again with the same key until they are answered."""

    def __init__(self, platform: Platform, event: str, seed: int) -> None:
        self.platform = platform
        self.event = event
        self.random = random.Random(seed)
        self.next = 0
        self.acknowledged: dict[int, dict[str, Any]] = {}
        self.answers: dict[int, dict[str, Any]] = {}
        self.up = asyncio.Event()
        self.enough = asyncio.Event()

    async def until_answered(self, count: int) -> None:
        """Return once so many are answered."""
        await until(lambda: len(self.answers) >= count, f"{count} answers")

    async def client(self) -> None:
        """One of them; a person begun is a person finished."""
        while not self.enough.is_set():
            number, self.next = self.next, self.next + 1
            await self._until_answered(number)

    async def _until_answered(self, number: int) -> None:
        while number not in self.answers:
            await self.up.wait()
            wait = self.random.choice(["wait=10", "respond-async"])
            if number in self.acknowledged:
                wait = "wait=10"
            try:
                async with self.platform.public() as http:
                    answer = await http.post(
                        f"/v1/events/{self.event}/registrations",
                        json=person(number),
                        headers={"idempotency-key": key_of(number), "prefer": wait},
                    )
            except httpx.HTTPError:
                await asyncio.sleep(0)  # the process died under us; `up` tells when there is another
                continue
            assert answer.status_code in (201, 202, 409, 503), answer.text
            if answer.status_code == 202:
                self.acknowledged.setdefault(number, answer.json())
            elif answer.status_code != 503:
                self.answers[number] = answer.json()


async def test_acknowledged_commands_survive_kill_9(platform: Platform) -> None:
    """Under load and killed at random moments: nothing acknowledged is lost, doubled or reordered."""
    seed = int(os.environ.get("VELTRIX_TEST_SEED", str(random.SystemRandom().randrange(10**6))))
    sys.stdout.write(f"seed {seed}, {ROUNDS} kills\n")
    chance = random.Random(seed)
    key = await platform.key()
    event = await platform.open_event(key)
    crowd = Crowd(platform, event, seed)
    crowd.up.set()
    clients = [asyncio.create_task(crowd.client()) for _ in range(CLIENTS)]
    for _ in range(ROUNDS):
        enough = len(crowd.answers) + chance.randrange(1, 80)
        await crowd.until_answered(enough)
        await asyncio.sleep(chance.random() * 0.02)
        crowd.up.clear()
        await platform.kill()
        await platform.start()
        crowd.up.set()
    crowd.enough.set()
    await asyncio.gather(*clients)

    rows = await platform.export(key, event)
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows)
    emails = [row["contact"]["email"] for row in rows]
    assert len(set(emails)) == len(emails), "somebody was registered twice"
    for number, answer in crowd.answers.items():
        if "registration" in answer:
            row = by_id[answer["registration"]["id"]]
            assert row["contact"]["email"] == f"person{number}@example.org"
            assert row["arrival"] == answer["registration"]["arrival"]
    seated = [row for row in rows if row["status"] == "confirmed"]
    waiting = [row for row in rows if row["status"] == "waitlisted"]
    assert len(seated) == min(100, len(rows))
    if waiting:
        last_seated = max(int(row["arrival"].partition(".")[2]) for row in seated)
        assert last_seated < min(int(row["arrival"].partition(".")[2]) for row in waiting)

    code, out = await platform.run("audit", "--json")
    assert code == 0, out
    assert await platform.stop() == 0
    code, out = await platform.run("audit", "--json")
    assert code == 0, out
    assert json.loads(out)["verdict"] == "PASS"


async def test_same_key_same_answer_across_a_restart(platform: Platform) -> None:
    """The replayed answer is the original decision, also from another process; another body is refused."""
    key = await platform.key()
    event = await platform.open_event(key)
    path = f"/v1/events/{event}/registrations"
    headers = {"idempotency-key": key_of(7)}
    async with platform.public() as http:
        first = await http.post(path, json=person(7), headers=headers)
        assert first.status_code == 201
    await platform.kill()
    await platform.start()
    async with platform.public() as http:
        again = await http.post(path, json=person(7), headers=headers)
        other = await http.post(path, json=person(8), headers=headers)
    assert again.status_code == 201
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["registration"] == first.json()["registration"]
    assert other.status_code == 422
    assert other.json()["type"] == "urn:veltrix:problem:key_reused"
