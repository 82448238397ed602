"""What a process tells while it starts, and what it tells that has no API."""

from __future__ import annotations

import httpx
import pytest

from veltrix.bootstrap.operations import PROBES, OperationsApp, Status
from veltrix.observability.metrics import Metrics


async def ask(status: Status, method: str, path: str) -> httpx.Response:
    """Ask a process that has no API, or not yet."""
    app = OperationsApp(status, Metrics("1"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        return await client.request(method, path)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whoever_comes_while_it_starts_is_told_to_come_back(method):
    """A process that will have an API answers 503 with Retry-After until it has: a client may repeat that."""
    answer = await ask(Status(), method, "/v1/events/evt_1/registrations")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("path", PROBES)
async def test_probes_answer_from_the_first_moment_and_are_only_read(path):
    """Probes answer while it starts, and refuse whatever is no reading."""
    assert (await ask(Status(), "GET", path)).status_code == (503 if path == "/readyz" else 200)
    assert (await ask(Status(), "POST", path)).status_code == 405


async def test_what_is_not_there_is_said_so():
    """A process without an API names what it has."""
    answer = await ask(Status(started=True), "GET", "/v1/events")
    assert answer.status_code == 404
    assert "/livez" in answer.json()["detail"]
