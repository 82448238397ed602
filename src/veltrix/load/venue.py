"""The event under load: published for the run or found by its URL, and read back when the run is over."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec

from veltrix.load.client import Asker, ClientError, Response
from veltrix.load.options import LoadOptions
from veltrix.promises.history import PoolRow, Row, Seat, Terms

_EVENT_PATH: Final = re.compile(r"(?:/v1/events|/e)/([^/?#]+)(?:/.*)?")
_DAYS_AHEAD: Final = 60


@dataclass(frozen=True, slots=True)
class Venue:
    """The event's rules, and what a form that somebody fills in must hold beside name and address."""

    terms: Terms
    title: str
    seats_per_registration: int
    form_version: int = 1
    answers: tuple[tuple[str, object], ...] = ()
    seat_answers: tuple[tuple[str, object], ...] = ()


def event_in(path: str) -> str | None:
    """The event that a URL's path names, if it names one."""
    found = _EVENT_PATH.fullmatch(path)
    return found[1] if found else None


async def publish_event(asker: Asker, options: LoadOptions, tag: str) -> Venue:
    """Create and open an event for this run; needs a key with the scope "write"."""
    body = json.dumps(_event_body(options, tag)).encode()
    made = _decoded(
        await asker.ask("POST", "/v1/events", body, {"Idempotency-Key": f"load-event-{tag}-create"})
    )
    event = _event_of(made)["id"]
    opened = await asker.ask(
        "POST", f"/v1/events/{event}/open", b"{}", {"Idempotency-Key": f"load-event-{tag}-open"}
    )
    _decoded(opened)
    venue = await find_event(asker, event)
    return replace(venue, terms=replace(venue.terms, exclusive=True))


async def find_event(asker: Asker, event: str) -> Venue:
    """The event as it is published."""
    return _venue(_event_of(_decoded(await asker.ask("GET", f"/v1/events/{quote(event, safe='')}"))))


async def read_ledger(asker: Asker, event: str) -> tuple[Row, ...]:
    """Every registration of the event; needs a key with the scope "read"."""
    answer = await asker.ask("GET", f"/v1/events/{event}/export?by=registration&format=ndjson")
    if answer.status != 200:
        raise ClientError(f"the export was refused: {_why(answer)}")
    return tuple(_row(msgspec.json.decode(line)) for line in answer.body.splitlines() if line.strip())


async def read_pools(asker: Asker, event: str) -> tuple[tuple[PoolRow, ...], int]:
    """The pools' numbers, and the log offset as of which they are true."""
    seats = _decoded(await asker.ask("GET", f"/v1/events/{event}/seats"))
    pools = tuple(
        PoolRow(each["key"], each["capacity"], each["taken"], each["free"]) for each in seats["pools"]
    )
    return pools, int((seats.get("as_of") or {}).get("offset", -1))


def _event_body(options: LoadOptions, tag: str) -> dict[str, Any]:
    """An event of the usual kind; with two pools, students draw on the total and on a part of it."""
    start = (datetime.now(UTC) + timedelta(days=_DAYS_AHEAD)).replace(hour=9, minute=0)
    pools = [{"key": "house", "capacity": options.capacity}]
    categories: list[dict[str, Any]] = [_category("standard", "Standard", ["house"], 4_900)]
    if options.pools == 2:
        pools.append({"key": "students", "capacity": max(1, options.capacity // 5)})
        categories.append(_category("student", "Student", ["house", "students"], 1_900))
    waitlist = None if options.waitlist is None else {"size": options.waitlist, "mode": "strict"}
    return {
        "slug": f"load-{tag}",
        "title": {"default": "en", "values": {"en": options.title}},
        "venue": {"default": "en", "values": {"en": "The great hall"}},
        "time_zone": "Europe/Berlin",
        "starts_at": start.strftime("%Y-%m-%dT%H:%M"),
        "ends_at": (start + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M"),
        "pools": pools,
        "categories": categories,
        "seats_per_registration": len(options.mix.party_weights),
        "one_per_email": options.one_per_email,
        "waitlist": waitlist,
    }  # fmt: skip


def _category(key: str, title: str, pools: list[str], price_minor: int) -> dict[str, Any]:
    return {
        "key": key,
        "title": {"default": "en", "values": {"en": title}},
        "pools": pools,
        "price": {"amount_minor": price_minor, "currency": "EUR"},
    }


def _venue(event: dict[str, Any]) -> Venue:
    waitlist = event.get("waitlist")
    form = event.get("form") or {}
    questions = [each for each in form.get("questions") or () if each.get("required")]
    of_seats = [each for each in questions if each.get("scope") == "seat"]
    terms = Terms(
        event=event["id"],
        capacities={pool["key"]: pool["capacity"] for pool in event["pools"]},
        categories={each["key"]: tuple(each["pools"]) for each in event["categories"]},
        one_per_email=bool(event.get("one_per_email")),
        waitlist=waitlist["size"] if waitlist else None,
        strict=not waitlist or waitlist.get("mode", "strict") == "strict",
        holds=bool(event.get("holds")),
    )
    return Venue(
        terms=terms,
        title=_text(event.get("title")),
        seats_per_registration=int(event.get("seats_per_registration") or 1),
        form_version=int(form.get("version") or 1),
        answers=tuple((each["key"], _an_answer(each)) for each in questions if each not in of_seats),
        seat_answers=tuple((each["key"], _an_answer(each)) for each in of_seats),
    )


def _an_answer(question: dict[str, Any]) -> object:
    if question.get("kind") == "boolean":
        return True
    choices = question.get("choices") or {}
    return next(iter(choices)) if choices else "vegetarian, if possible"


def _text(value: object) -> str:
    if isinstance(value, dict) and value.get("values"):
        return str(value["values"].get(value.get("default"), ""))
    return str(value or "")


def _row(row: dict[str, Any]) -> Row:
    contact = row.get("contact") or {}
    return Row(
        id=row["id"],
        arrival=str(row.get("arrival", "")),
        status=row["status"],
        seats=tuple(
            Seat(each["number"], each["category"], each.get("status", "active") == "active")
            for each in row.get("seats") or ()
        ),
        email=str(contact.get("email") or ""),
        name=str(contact.get("name") or ""),
    )


def _event_of(value: dict[str, Any]) -> dict[str, Any]:
    """An event comes as it is, or as the member `event` of what answers a command."""
    inner = value.get("event")
    return inner if isinstance(inner, dict) else value


def _decoded(answer: Response) -> dict[str, Any]:
    if answer.status not in (200, 201):
        raise ClientError(_why(answer))
    value = msgspec.json.decode(answer.body)
    if not isinstance(value, dict):
        raise ClientError(f"expected a JSON object, got {answer.body[:200]!r}")
    return value


def _why(answer: Response) -> str:
    """The problem's own words."""
    try:
        problem = msgspec.json.decode(answer.body)
        words = " ".join(str(problem[key]) for key in ("title", "detail") if problem.get(key))
    except (msgspec.DecodeError, TypeError, AttributeError):
        words = answer.body[:200].decode(errors="replace")
    return f"{answer.status} {words}".strip()
