"""Every problem can be had, and says what it must."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.routing import Match

from tests.registration.house import EVENT, House, a_house, person, quick, strong_key
from veltrix.domain import limits
from veltrix.domain.outcomes import Decision, Outcome, Refusal
from veltrix.ports.errors import OutcomeUnknown, Unavailable
from veltrix.ports.outreach import NoticeTemplate
from veltrix.registration import calls
from veltrix.registration.calls import Call, Trace
from veltrix.registration.catalogue import PROBLEMS, STATUS
from veltrix.registration.desk import Settled
from veltrix.registration.openapi import problem_codes
from veltrix.registration.problems import Problem

PAST = {"opens_at": "2020-01-01T00:00:00Z", "closes_at": "2020-02-01T00:00:00Z"}
FUTURE = {"opens_at": "2031-01-01T00:00:00Z"}
HELD = {"holds": {"ttl_s": 600, "registrant_may_confirm": False}}

# Refusals that no request of ours can lead to; they are shown as decided all the same.
REFUSALS = {refusal.value for refusal in Refusal}
NOT_BY_REQUEST = {
    "malformed",
    "unknown_version",
    "oversized",
    "quarantined",
    "invalid_change",
    "not_ended_yet",
    "hold_not_due",
    "unknown_choice",  # of a page: test_suppressions.py
}


async def link_of(house: House, event: str, name: str = "Ada", seats: int = 1) -> str:
    """A new registration's link."""
    link: str = (await house.register(event, person(name, seats))).json()["link"]
    return link


async def ticket_of(house: House, event: str, name: str = "Ada") -> str:
    """A new registration's ticket."""
    ticket: str = (await house.register(event, person(name))).json()["registration"]["seats"][0]["ticket"]
    return ticket


def post(client, path, **body):
    """A POST with a JSON body."""
    return client.post(path, json=body)


async def scan(house: House, event: str, ticket: str, scan_id: str, **more):
    """A check-in."""
    return await post(
        house.organizer, f"/v1/events/{event}/check-ins", ticket=ticket, scan_id=scan_id, **more
    )


async def transferred(house: House, event: str, seat: int | None = None) -> tuple[str, str]:
    """A registration that was handed on: its old link and the old ticket of its first seat."""
    made = (await house.register(event, person("Ada", 2))).json()
    seats = made["registration"]["seats"]
    body = {"contact": {"name": "Eve", "email": "eve@example.org"}}
    if seat is not None:
        body["seat"] = seats[seat]["number"]
    answer = await house.public.post(f"/v1/registrations/{made['link']}/transfer", json=body)
    assert answer.status_code == 200, answer.text
    return made["link"], seats[0]["ticket"]


async def unknown_event(house):
    return await house.register("evt_" + "0" * 32)


async def slug_taken(house):
    await post(house.organizer, "/v1/events", **EVENT)
    return await post(house.organizer, "/v1/events", **EVENT)


async def version_conflict(house):
    event = await house.open_event()
    await house.pause()
    answers = [
        await house.organizer.patch(
            f"/v1/events/{event}", json={"venue": venue}, headers={"prefer": "respond-async"}
        )
        for venue in ("one", "other")
    ]
    await house.decide()
    return await house.public.get(answers[1].headers["location"])


async def event_cancelled(house):
    event = await house.open_event()
    await post(house.organizer, f"/v1/events/{event}/cancel")
    return await house.register(event)


async def event_ended(house):
    event = await house.open_event(starts_at="2020-01-01T10:00", ends_at="2020-01-01T11:00")
    answer = await house.register(event)
    while answer.json().get("refusal") != "event_ended":  # the ticker ends it in its next round
        answer = await house.register(event, person("Ada", 3))
    return answer


async def not_open(house):
    event = await house.open_event()
    await post(house.organizer, f"/v1/events/{event}/close")
    return await house.register(event)


async def window_not_open_yet(house):
    return await house.register(await house.open_event(windows=[FUTURE]))


async def window_over(house):
    return await house.register(await house.open_event(windows=[PAST]))


async def access_code_required(house):
    return await house.register(await house.open_event(access_codes=[{"code": "summer"}]))


async def access_code_invalid(house):
    event = await house.open_event(access_codes=[{"code": "summer"}])
    return await house.register(event, person(access_code="winter"))


async def access_code_used_up(house):
    event = await house.open_event(access_codes=[{"code": "summer", "uses": 1}])
    await house.register(event, person("Ada", access_code="Summer"))
    return await house.register(event, person("Eve", access_code="summer"))


async def form_version_outdated(house):
    return await house.register(await house.open_event(), person(form_version=2))


async def unknown_category(house):
    return await house.register(await house.open_event(), person(category="gold"))


async def category_not_on_sale(house):
    event = await house.open_event(categories=[{"key": "std", **FUTURE}])
    return await house.register(event)


async def party_too_large(house):
    return await house.register(await house.open_event(), person(seats=11))


async def already_registered(house):
    event = await house.open_event(one_per_email=True)
    await house.register(event)
    return await house.register(event)


async def seats_per_person(house):
    event = await house.open_event(seats_per_person=1)
    return await house.register(event, person(seats=2))


async def unknown_registration(house):
    return await house.public.get("/v1/registrations/" + house.signer.link("reg_" + "0" * 32, 1))


async def link_replaced(house):
    link, _ = await transferred(house, await house.open_event())
    return await house.public.get(f"/v1/registrations/{link}")


async def not_active(house):
    event = await house.open_event()
    link = await link_of(house, event)
    await post(house.public, f"/v1/registrations/{link}/cancel")
    return await post(house.public, f"/v1/registrations/{link}/cancel", seat=1)


async def not_held(house):
    link = await link_of(house, await house.open_event())
    return await post(house.public, f"/v1/registrations/{link}/release")


async def organizer_must_confirm(house):
    link = await link_of(house, await house.open_event(**HELD))
    return await post(house.public, f"/v1/registrations/{link}/confirm")


async def unknown_seat(house):
    link = await link_of(house, await house.open_event())
    return await post(house.public, f"/v1/registrations/{link}/cancel", seat=99)


async def seat_checked_in(house):
    event = await house.open_event()
    made = (await house.register(event)).json()
    await scan(house, event, made["registration"]["seats"][0]["ticket"], "1")
    return await post(house.public, f"/v1/registrations/{made['link']}/cancel")


async def ticket_replaced(house):
    event = await house.open_event()
    _, ticket = await transferred(house, event, 0)
    return await scan(house, event, ticket, "1")


async def not_confirmed(house):
    event = await house.open_event(**HELD)
    await house.register(event)
    ticket = house.signer.ticket(event, 1, 1)
    return await scan(house, event, ticket, "1")


async def already_checked_in(house):
    event = await house.open_event()
    ticket = await ticket_of(house, event)
    await scan(house, event, ticket, "1")
    return await scan(house, event, ticket, "2")


async def not_checked_in(house):
    event = await house.open_event()
    return await scan(house, event, await ticket_of(house, event), "1", undo=True)


async def full(house):
    return await house.register(await house.open_event(waitlist=None), person(seats=4))


async def waitlist_full(house):
    event = await house.open_event(pools=[{"key": "main", "capacity": 1}], waitlist={"size": 1})
    for name in ("Ada", "Eve"):
        await house.register(event, person(name))
    return await house.register(event)


async def malformed_json(house):
    event = await house.open_event()
    return await house.public.post(f"/v1/events/{event}/registrations", content=b"{")


async def invalid_header(house):
    return await house.register(await house.open_event(), idempotency_key='"')


async def invalid_query(house):
    return await house.organizer.get("/v1/events?limit=0")


async def bad_cursor(house):
    return await house.organizer.get("/v1/events?cursor=x")


async def weak_key(house):
    return await house.register(await house.open_event(), idempotency_key="1")


async def unauthorized(house):
    client = house.client("vk_" + "0" * 32 + "_" + "x" * 43, **house.public.headers)
    return await client.get("/v1/events")


async def forbidden(house):
    client = house.client(await house.new_key("check-in"), **house.public.headers)
    return await client.get("/v1/events")


async def not_found(house):
    return await house.public.get("/v2")


async def unknown_suppression(house):
    return await house.organizer.delete("/v1/suppressions/ada@example.org")


async def unknown_decision(house):
    return await house.public.get("/v1/decisions/d1x")


async def method_not_allowed(house):
    return await house.public.delete("/v1/events")


async def stalled(house: House, path: str) -> httpx.Response:
    """The answer to a client that begins a body and never ends it."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"accept-language", b"de")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    await house.service.app(scope, receive, send)
    request = house.public.build_request("POST", path)
    return httpx.Response(
        sent[0]["status"], headers=sent[0]["headers"], content=sent[1]["body"], request=request
    )


async def request_timeout(house):
    event = await house.open_event()
    timeout: float = calls.BODY_TIMEOUT_S
    calls.BODY_TIMEOUT_S = 0.01  # type: ignore[misc]  # a test does not wait as long as people may
    try:
        return await stalled(house, f"/v1/events/{event}/registrations")
    finally:
        calls.BODY_TIMEOUT_S = timeout  # type: ignore[misc]  # as it was


async def person_erased(house):
    event = await house.open_event()
    made = (await house.register(event)).json()
    await house.vault.destroy([(await house.ledger.registration(made["registration"]["id"])).box.key_id])
    return await house.public.patch(f"/v1/registrations/{made['link']}", json={"contact": {"name": "Eve"}})


async def precondition_failed(house):
    event = await house.open_event()
    return await house.organizer.patch(f"/v1/events/{event}", json={}, headers={"if-match": '"7"'})


async def body_too_large(house):
    event = await house.open_event()
    return await house.public.post(f"/v1/events/{event}/registrations", content=b" " * 65_537)


async def unsupported_media_type(house):
    event = await house.open_event()
    headers = {"content-type": "text/plain"}
    return await house.public.post(f"/v1/events/{event}/registrations", content=b"{}", headers=headers)


async def invalid_body(house):
    return await house.register(await house.open_event(), {"seats": []})


async def invalid_ticket(house):
    return await scan(house, await house.open_event(), "T1" + "A" * 23, "1")


async def key_reused(house):
    event, key = await house.open_event(), strong_key()
    await house.register(event, person("Ada"), idempotency_key=key)
    return await house.register(event, person("Eve"), idempotency_key=key)


async def too_many_requests(house):
    house.service._gate.rates._burst = 1.0
    house.service._gate.rates._rate_per_s = 0.001
    house.service._gate.rates._buckets.clear()
    await house.public.get("/")
    return await house.public.get("/v1/events")


async def internal(house):
    house.service.core.ports.queries.events = None
    return await house.organizer.get("/v1/events")


async def event_busy(house):
    event = await house.open_event()
    await house.pause()
    for _ in range(5):
        await house.register(event, prefer="respond-async")
    return await house.register(event)


async def imports_busy(house):
    event = await house.open_event()
    house.service.core.settings = quick(imports_at_once=0)
    headers = {"content-type": "application/x-ndjson"}
    return await house.organizer.post(f"/v1/events/{event}/imports", content=b"", headers=headers)


async def outcome_unknown(house):
    event = await house.open_event()
    house.log.fault = OutcomeUnknown("lost")
    return await house.register(event, prefer="wait=0")


async def overloaded(house):
    events = [await house.open_event() for _ in range(3)]
    await house.pause()
    for number in range(8):
        await house.register(events[number % 2], prefer="respond-async")
    return await house.register(events[2])


async def stopping(house):
    await house.service.stop()
    return await house.public.get("/v1/events")


async def too_many_streams(house):
    event = await house.open_event()
    house.service._live.hub._most = 0
    return await house.public.get(f"/v1/events/{event}/seats/stream")


async def unavailable(house):
    event = await house.open_event()
    house.log.fault = Unavailable("gone")
    return await house.register(event)


async def unknown_endpoint(house):
    return await house.organizer.get("/v1/endpoints/ep_1")


async def unknown_notice(house):
    return await house.organizer.get("/v1/notices/ntc_1")


async def unknown_template(house):
    return await house.organizer.get("/v1/templates/reminder/en")


async def an_endpoint(house, number=0):
    """A new endpoint, and the path to it."""
    made = await house.organizer.post("/v1/endpoints", json={"url": f"https://crm.example.org/{number}"})
    return made, f"/v1/endpoints/{made.json()['endpoint']['id']}" if made.status_code == 201 else ""


async def unknown_secret(house):
    _, path = await an_endpoint(house)
    return await house.organizer.delete(f"{path}/secrets/sgn_1")


async def last_secret(house):
    made, path = await an_endpoint(house)
    only = made.json()["endpoint"]["secrets"][0]["id"]
    return await house.organizer.delete(f"{path}/secrets/{only}")


async def too_many_secrets(house):
    _, path = await an_endpoint(house)
    for _ in range(limits.WEBHOOK_SECRETS_MAX - 1):
        await house.organizer.post(f"{path}/secrets")
    return await house.organizer.post(f"{path}/secrets")


async def too_many_endpoints(house):
    for number in range(limits.ENDPOINTS_PER_ORGANIZER_MAX):
        await an_endpoint(house, number)
    return (await an_endpoint(house))[0]


async def too_many_templates(house):
    for number in range(limits.TEMPLATES_PER_ORGANIZER_MAX):
        made = NoticeTemplate("acme", "reminder", f"x-{number}", 1, "Soon", "Soon", "", 1)
        await house.outreach.save_template(made)
    return await house.organizer.put("/v1/templates/reminder/en", json={"subject": "Soon", "text": "Soon"})


WAYS = {code: globals()[code] for code in STATUS if code not in NOT_BY_REQUEST}
FEW = quick(undecided_max=10)
OTHER_STATUS = {"version_conflict": 409}  # without If-Match


@pytest.mark.parametrize("code", WAYS)
async def test_every_problem_can_be_had(code):
    """Each problem is reached by a request, in the reader's language, as its operation's description says."""
    async with a_house(FEW) as house:
        house.public.headers["accept-language"] = house.organizer.headers["accept-language"] = "de"
        answer = await WAYS[code](house)
        problem = answer.json()
        assert problem["type"] == f"urn:veltrix:problem:{code}"
        assert answer.status_code == problem["status"] == OTHER_STATUS.get(code, STATUS[code])
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-language"] == "de"
        assert len(answer.headers["x-trace-id"]) == 32
        assert problem["title"] == PROBLEMS["de"][code].title
        assert (code in REFUSALS) == ("refusal" in problem and "decision" in problem) or code in EDGE_TOO
        if answer.status_code in (429, 503):
            assert int(answer.headers["retry-after"]) >= 1
        described(house, answer.request, code)


def a_call() -> Call:
    """A call of nobody in particular."""

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    return Call({"method": "GET", "headers": []}, receive, {}, Trace("0" * 32, ""))


# Refused by the decider, and by the edge where it has read the ledger.
EDGE_TOO = {"unknown_event", "unknown_registration", "link_replaced"}


def described(house: House, request: httpx.Request, code: str) -> None:
    """The operation's description names the problem."""
    if code in ("not_found", "method_not_allowed"):
        return
    scope = {"type": "http", "method": request.method, "path": request.url.path}
    for route in house.service.app._router.routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            operation = route.endpoint._operations[request.method]
            assert code in problem_codes(operation)
            return
    raise AssertionError(f"no operation has the path {request.url.path}")


@pytest.mark.parametrize("code", sorted(NOT_BY_REQUEST & REFUSALS))
async def test_what_no_request_leads_to_is_shown_all_the_same(code):
    """A refusal of a damaged record, or of a command of our own, is a problem like any other."""
    async with a_house() as house:
        decision = Decision(0, 1, Outcome.REFUSED, 0, 1, refusal=Refusal(code))
        call = a_call()
        problem = house.service.core.refused(call, Settled(decision, None, False))
        assert problem.body("en", "").type.endswith(code)
        assert problem.status == STATUS[code]


async def test_a_quarantined_command_is_answered():
    """A command whose decision raised is answered as quarantined, not left waiting."""
    async with a_house() as house:
        decision = Decision(0, 1, Outcome.QUARANTINED, 0, 1)
        call = a_call()
        with pytest.raises(Problem, match="quarantined"):
            await house.service.core.decided(call, Settled(decision, None, False))


async def test_what_is_too_large_for_the_log_is_refused():
    """A body that fits and becomes too large a command is 413, not a mistake of ours."""
    async with a_house() as house:
        choices = {f"c{number}": "x" for number in range(50)}
        questions = [
            {"key": f"q{number}", "label": "x", "kind": "choice", "choices": choices} for number in range(50)
        ]
        answer = await post(house.organizer, "/v1/events", **EVENT, form={"questions": questions})
        assert answer.json()["type"].endswith("body_too_large")


async def test_organizers_are_told_more():
    """The engineer's explanation of a refusal is for organizers, not for the public."""
    async with a_house() as house:
        event = await house.open_event()
        path = f"/v1/events/{event}/registrations"
        of_public = await house.public.post(path, json=person(seats=11))
        of_organizer = await house.organizer.post(path, json=person(seats=11))
        assert "explanation" not in of_public.json()
        assert "11 seats" in of_organizer.json()["explanation"]
