"""A canary: somebody who does not exist registers for an event of nobody, and is told so, end to end.

Through the same door as everybody: HTTP, log, decision, facts, notice. What it leaves is a cancelled event of
the organizer `veltrix-doctor`, and a mail that was accepted by the channel.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from veltrix.readiness.checkup import Look, ill, poor, well

ORGANIZER: Final = "veltrix-doctor"
TIMEOUT_S: Final = 15.0
DECIDED_WITHIN_S: Final = 5.0
TOLD_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.5
_ANSWER_MAX_BYTES: Final = 1024 * 1024

Statuses = Callable[[str], Awaitable[list[tuple[str, str, str]]]]
"""(channel, status, detail) of every notice of a registration."""


class Refused(Exception):
    """The deployment did not do what it was asked."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where the deployment is asked, and with which API key."""

    url: str
    key: str

    def ask(self, method: str, path: str, body: Any = None, *, public: bool = False) -> tuple[int, Any]:
        """(status, document). Raises `Refused` when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        data = data or (b"" if method == "POST" else None)
        request = Request(f"{self.url}{path}", data, method=method)  # noqa: S310 - http(s) alone is configured
        request.add_header("content-type", "application/json")
        if not public:
            request.add_header("authorization", f"Bearer {self.key}")
        if method == "POST":
            request.add_header("idempotency-key", secrets.token_hex(16))
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:
                return answer.status, json.loads(answer.read(_ANSWER_MAX_BYTES) or b"null")
        except HTTPError as error:
            text = error.read(_ANSWER_MAX_BYTES)
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, {}
        except (OSError, ValueError) as error:
            raise Refused(f"{self.url} does not answer: {getattr(error, 'reason', None) or error}") from error

    def must(self, what: str, method: str, path: str, body: Any = None, *, public: bool = False) -> Any:
        """The document of a good answer. Raises `Refused` with what was answered otherwise."""
        status, document = self.ask(method, path, body, public=public)
        if status not in (200, 201):
            detail = document.get("detail", "") if isinstance(document, dict) else ""
            raise Refused(f"{what} was answered {status}{f': {detail}' if detail else ''}")
        return document


def registered(door: Door, address: str) -> tuple[list[Look], str, str]:
    """Make an event, register for it; (what was seen, the registration, the event). Raises `Refused`."""
    began_s = time.monotonic()
    event = str(door.must("creating an event", "POST", "/v1/events", _event())["id"])
    door.must("opening it", "POST", f"/v1/events/{event}/open")
    made_s = time.monotonic() - began_s
    body = {"contact": {"name": "Canary", "email": address, "locale": "en"}, "seats": [{"category": "std"}]}
    began_s = time.monotonic()
    answer = door.must("registering", "POST", f"/v1/events/{event}/registrations", body, public=True)
    decided_s = time.monotonic() - began_s
    registration = answer.get("registration", {})
    if registration.get("status") != "confirmed":
        raise Refused(f"the registration is {registration.get('status', 'undecided')}, not confirmed")
    looks = [
        well("canary: an event", f"created and opened in {made_s:.2f} s"),
        well("canary: a registration", f"decided and answered in {decided_s:.2f} s")
        if decided_s <= DECIDED_WITHIN_S
        else poor(
            "canary: a registration",
            f"decided and answered in {decided_s:.1f} s",
            "look with veltrix top at which step is slow",
        ),
    ]
    return looks, str(registration["id"]), event


async def told(registration: str, statuses: Statuses, within_s: float = TOLD_WITHIN_S) -> Look:
    """Whether the notice of the canary was accepted, in time."""
    import asyncio

    name, began_s = "canary: its notice", time.monotonic()
    found: list[tuple[str, str, str]] = []
    while time.monotonic() - began_s < within_s:
        found = await statuses(registration)
        if found and all(status == "accepted" for _, status, _ in found):
            ways = ", ".join(sorted({channel for channel, *_ in found}))
            return well(name, f"accepted by {ways} in {time.monotonic() - began_s:.1f} s")
        if any(status in ("refused", "dead", "suppressed") for _, status, _ in found):
            break
        await asyncio.sleep(_POLL_S)
    if not found:
        return ill(
            name, f"none was planned within {within_s:g} s", "see that notification runs; look at its log"
        )
    said = "; ".join(f"{channel}: {status}{f' ({why})' if why else ''}" for channel, status, why in found)
    return ill(name, said, "look at the mail server; veltrix trace shows every attempt")


def gone(door: Door, event: str) -> Look:
    """Call the canary's event off, so that nobody takes it for a real one."""
    try:
        door.must("cancelling the event", "POST", f"/v1/events/{event}/cancel")
    except Refused as refused:
        return poor("canary: its end", str(refused), f"cancel the event {event} by hand")
    return well("canary: its end", "the event is cancelled")


def _event() -> dict[str, Any]:
    begins = datetime.now(UTC) + timedelta(days=30)
    return {
        "slug": f"canary-{secrets.token_hex(4)}",
        "title": {"default": "en", "values": {"en": "Canary: please ignore"}},
        "time_zone": "UTC",
        "starts_at": f"{begins:%Y-%m-%dT%H:%M}",
        "ends_at": f"{begins + timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "pools": [{"key": "main", "capacity": 1}],
        "categories": [
            {
                "key": "std",
                "title": "Standard",
                "pools": ["main"],
                "price": {"amount_minor": 0, "currency": "EUR"},
            }
        ],
    }
