"""Hostile input: whatever comes, the answer is a problem, never a traceback."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.registration.house import EVENT, House, a_house, person
from veltrix.observability.logging import ERROR, captured

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
NAMES = [
    "idempotency-key", "x-idempotency-key", "prefer", "if-match", "if-none-match", "accept-language",
    "content-type", "authorization", "traceparent", "x-forwarded-for", "last-event-id",
]  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(NAMES),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=60),
    max_size=4,
)


class Doors:
    """A house with a running loop of its own, for tests that Hypothesis calls many times."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.house = House()
        self.paths = self.runner.run(self._open())

    async def _open(self) -> list[tuple[str, str]]:
        house = self.house
        await house.decide()
        await house.service.start()
        house.organizer = house.client(await house.new_key("read", "write", "check-in"))
        event = await house.open_event(pools=[{"key": "main", "capacity": 10_000}])
        made = (await house.register(event)).json()
        found = []
        for route in house.service.app._router.routes:
            path = (
                route.path.replace("{event}", event)
                .replace("{ref}", made["link"])
                .replace("{link}", made["link"])
            )
            found += [(method, path) for method in route.endpoint._operations if not path.endswith("/stream")]
        return found

    def ask(self, method: str, path: str, content: bytes = b"", headers: Any = None) -> Any:
        """One request of an organizer."""
        sent = [(name, value.encode("latin-1")) for name, value in (headers or {}).items()]
        url = self.house.organizer.base_url.join(path)
        request = self.house.organizer.build_request(method, url, content=content, headers=sent)
        return self.runner.run(self.house.organizer.send(request))

    def close(self) -> None:
        """Stop everything."""
        self.runner.run(self.house.service.stop())
        self.runner.run(self.house.pause())
        self.runner.close()


@pytest.fixture(scope="module")
def doors():
    """One house for the whole module."""
    found = Doors()
    yield found
    found.close()


def holds(answer: Any) -> None:
    """It is an answer of ours, and no mistake of ours."""
    assert answer.status_code < 500 or answer.status_code == 503
    if answer.headers.get("content-type") == "application/problem+json":
        assert json.loads(answer.content)["status"] == answer.status_code


@given(data=st.data(), content=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_no_body_breaks_anything(doors, data, content):
    """Any bytes and any JSON, to any operation."""
    method, path = data.draw(st.sampled_from(doors.paths))
    with captured(ERROR) as errors:
        holds(doors.ask(method, path, content, data.draw(HEADERS) | {"prefer": "wait=0"}))
    assert errors == []


@given(data=st.data(), where=st.integers(0, 10), value=JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_no_member_breaks_anything(doors, data, where, value):
    """A sound body in which one member is anything at all."""
    method, path, body = data.draw(
        st.sampled_from(
            [
                ("POST", "/v1/events", EVENT),
                *((m, p, EVENT) for m, p in doors.paths if m == "PATCH" and "/events/" in p),
                *(
                    (m, p, person("Ada", 2))
                    for m, p in doors.paths
                    if p.endswith("/registrations") and m == "POST"
                ),
                *((m, p, {"contact": {}, "seat": 1}) for m, p in doors.paths if p.endswith("/transfer")),
                *(
                    (m, p, {"answers": {}, "seats": []})
                    for m, p in doors.paths
                    if m == "PATCH" and "/reg" in p
                ),
            ]
        )
    )
    changed = json.loads(json.dumps(body))
    place, steps = changed, data.draw(st.integers(0, 3))
    key = data.draw(st.sampled_from(sorted(place)))
    for _ in range(steps):
        inner = place[key]
        if isinstance(inner, dict) and inner:
            place, key = inner, data.draw(st.sampled_from(sorted(inner)))
        elif isinstance(inner, list) and inner:
            place, key = inner, where % len(inner)
        else:
            break
    place[key] = value
    with captured(ERROR) as errors:
        holds(doors.ask(method, path, json.dumps(changed).encode(), {"prefer": "wait=0"}))
    assert errors == []


@given(path=st.text(max_size=40), query=st.text(max_size=40), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_no_address_breaks_anything(doors, path, query, data):
    """Any path and any query, also ones that begin like ours."""
    head = data.draw(
        st.sampled_from(["/", "/v1/events/", "/v1/registrations/", "/v1/decisions/", "/e/", "/r/", "/d/"])
    )
    scope = {
        "type": "http", "method": data.draw(st.sampled_from(["GET", "POST", "PATCH", "HEAD", "X"])),
        "path": head + path, "query_string": query.encode(), "headers": [], "root_path": "",
        "client": None,
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    with captured(ERROR) as errors:
        doors.runner.run(doors.house.service.app(scope, receive, send))
    assert errors == []
    assert 200 <= sent[0]["status"] < 500


@given(values=st.dictionaries(st.sampled_from(
    ["name", "email", "seats", "key", "code", "form_version", "s0.category", "s0.attendee", "q.x", "seat"]
), st.text(max_size=30)), data=st.data())  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_no_form_breaks_anything(doors, values, data):
    """Any fields in any form of the pages."""
    forms = [path for method, path in doors.paths if method == "POST" and path.startswith(("/e/", "/r/"))]
    path = data.draw(st.sampled_from(forms))
    with captured(ERROR) as errors:
        answer = doors.runner.run(doors.house.public.post(path, data=values))
        holds(answer)
    assert errors == []


async def test_a_client_that_goes_away_is_no_error():
    """A connection that ends inside a body leaves nothing behind, and no line in the log."""
    async with a_house() as house:
        event = await house.open_event()
        messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            raise AssertionError("nobody is there to be answered")

        scope = {
            "type": "http", "method": "POST", "path": f"/v1/events/{event}/registrations",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")], "client": ("::1", 1), "root_path": "",
        }  # fmt: skip
        with captured(ERROR) as errors:
            await house.service.app(scope, receive, send)
        assert errors == []
        assert house.service._gate.active == 0


async def test_a_body_without_a_length_is_bounded():
    """A chunked body past the bound is 413 as soon as it is past, however it is cut."""
    async with a_house() as house:
        event = await house.open_event()
        taken = 0

        async def chunks() -> Any:
            nonlocal taken
            for _ in range(1_000):
                taken += 1_000
                yield b" " * 1_000

        path = f"/v1/events/{event}/registrations"
        answer = await house.public.post(path, content=chunks(), headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert answer.headers["connection"] == "close"
        assert taken <= 70_000
        fits = b" " * 60_000 + json.dumps(person()).encode()

        async def whole() -> Any:
            for at in range(0, len(fits), 999):
                yield fits[at : at + 999]

        answer = await house.public.post(path, content=whole(), headers={"content-type": "application/json"})
        assert answer.status_code == 201
