"""A house behind a real HTTP server, for clients that know nothing but its description."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn

from tests.registration.house import House, person, quick
from veltrix.domain.identifiers import notice_id
from veltrix.ports.notices import WEBHOOK, Notice, Planned

START_TIMEOUT_S = 30.0


@dataclass
class Server:
    """Where it listens, and what is there to be asked for."""

    url: str
    key: str
    event: str
    links: list[str]
    registrations: list[str]
    tokens: list[str]
    endpoint: str
    signing: str
    notice: str


async def _furnish(house: House, url: str) -> Server:
    """An open event with people in every state, in a house that is started."""
    house.key = await house.new_key("read", "write", "check-in")
    house.organizer = house.client(house.key)
    questions = [
        {"key": "diet", "label": "Diet?", "scope": "seat"},
        {"key": "news", "label": "?", "kind": "boolean"},
    ]
    event = await house.open_event(
        slug="fair",
        pools=[{"key": "main", "capacity": 6}],
        waitlist={"size": 50_000},
        holds={"ttl_s": 86_400},
        form={"version": 1, "questions": questions},
        seats_per_registration=50,
    )
    answers = [await house.register(event, person(f"P{number}", 2)) for number in range(8)]
    people = [answer.json() for answer in answers]
    for each in people[:2]:
        await house.public.post(f"/v1/registrations/{each['link']}/confirm")
    late = await house.register(event, person("Late"), prefer="respond-async")
    made = await house.organizer.post("/v1/endpoints", json={"url": "https://crm.example.org/hooks"})
    endpoint = made.json()["endpoint"]
    to = endpoint["id"]
    name, now_ms = notice_id(0, 1, to, WEBHOOK), house.clock.now_ms()
    notice = Notice(name, "acme", event, 0, 1, "event.opened", "", to, WEBHOOK, "", now_ms)
    await house.notices.record(0, 0, 1, Planned([notice]))
    refused = await house.register(event, person("Many", 50) | {"form_version": 9}, prefer="respond-async")
    return Server(
        url,
        house.key,
        event,
        [each["link"] for each in people],
        [each["registration"]["id"] for each in people],
        [answer.headers["location"].rpartition("/")[2] for answer in (late, refused)],
        endpoint["id"],
        endpoint["secrets"][0]["id"],
        notice.id,
    )


class _Running(threading.Thread):
    """Serves in a loop of its own, until told to stop."""

    def __init__(self) -> None:
        super().__init__(name="house", daemon=True)
        self.ready = threading.Event()
        self.server: Server | None = None
        self._uvicorn: uvicorn.Server | None = None

    def run(self) -> None:
        """Serve."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        house = House(quick(rate_per_address_per_s=1e9, rate_burst_per_address=1e9))
        await house.decide()
        await house.service.start()
        config = uvicorn.Config(
            house.service.app, port=0, http="httptools", ws="none", lifespan="off", access_log=False,
            log_config=None, server_header=False, proxy_headers=False, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._uvicorn = uvicorn.Server(config)
        serving = asyncio.create_task(self._uvicorn.serve())
        while not self._uvicorn.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        port = self._uvicorn.servers[0].sockets[0].getsockname()[1]
        self.server = await _furnish(house, f"http://127.0.0.1:{port}")
        self.ready.set()
        await serving
        await house.service.stop()
        await house.pause()

    def stop(self) -> None:
        """Stop serving, and wait for the end."""
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        self.join(START_TIMEOUT_S)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The house, for all tests of this folder."""
    running = _Running()
    running.start()
    assert running.ready.wait(START_TIMEOUT_S), "the house did not open in time"
    assert running.server is not None
    yield running.server
    running.stop()
