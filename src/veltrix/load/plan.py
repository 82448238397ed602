"""What everybody will ask, drawn from the seed before the clock starts, down to the bytes on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from veltrix.load.client import Target, request_bytes
from veltrix.load.options import Gaps, LoadOptions
from veltrix.load.people import Person, draw_person
from veltrix.load.venue import Venue
from veltrix.promises.history import Kind

_encode = msgspec.json.Encoder().encode
_STUDENTS = 0.25


@dataclass(slots=True)
class Request:
    """One request and, once the run is over, what came of it. A cancel's bytes need the answer's link.

    `retry` is the same request sent again; `follows` is the request whose 202 this one follows (then it is
    no attempt of its own: what it learns stands there as `decided_…`). `first_ns` is when the first of
    all these was sent; 0 in the first itself.
    """

    person: int
    kind: Kind
    key: str
    email: str
    name: str
    categories: tuple[str, ...]
    payload: bytes
    intended_ns: int | None = None
    sent_ns: int = 0
    received_ns: int | None = None
    status: int = 0
    body: bytes = b""
    location: str = ""
    decided_status: int = 0
    decided_body: bytes = b""
    decided_ns: int | None = None
    timed_out: bool = False
    target: str = ""
    impatient: bool = False
    first_ns: int = 0
    tried: int = 0
    retry: Request | None = None
    follows: Request | None = None

    @property
    def last(self) -> Request:
        """The last time that it was sent."""
        request = self
        while request.retry is not None:
            request = request.retry
        return request

    @property
    def final(self) -> tuple[int, bytes]:
        """Status and body of the decision, or of whatever came instead; also where a 202 was followed."""
        last = self.last
        return (last.decided_status, last.decided_body) if last.decided_status else (last.status, last.body)


@dataclass(slots=True)
class Script:
    """What one person does, step after step. `twin` goes out beside the first step, from a second device."""

    steps: list[Request]
    twin: Request | None = None
    next: int = 0
    open: int = field(default=0)

    def requests(self) -> Iterator[Request]:
        """All of them, in the order in which they may be sent; each with its repetitions behind it."""
        for step in self.steps if self.twin is None else [self.steps[0], self.twin, *self.steps[1:]]:
            request: Request | None = step
            while request is not None:
                yield request
                request = request.retry


class Planner:
    """Draws scripts. The same seed, tag and event give the same bytes."""

    def __init__(self, options: LoadOptions, venue: Venue, target: Target, tag: str) -> None:
        self._options = options
        self._venue = venue
        self._target = target
        self._tag = tag
        self._random = Random(f"{options.seed}/people")  # noqa: S311 - a mix to be repeated, no secret
        self._keys = Random(f"{options.seed}/{tag}/keys")  # noqa: S311 - keys of made-up people
        self._moods = Random(f"{options.seed}/moods")  # noqa: S311 - likewise
        self._path = f"/v1/events/{venue.terms.event}/registrations"
        weights = options.mix.party_weights[: venue.seats_per_registration]
        self._sizes = list(range(1, len(weights) + 1))
        self._weights = list(weights)
        self._plain, *self._special = sorted(
            venue.terms.categories, key=lambda key: len(venue.terms.categories[key])
        )

    def scripts(self, count: int) -> list[Script]:
        """The scripts of `count` people."""
        return [self._script(number) for number in range(count)]

    def _script(self, number: int) -> Script:
        random, mix = self._random, self._options.mix
        size = random.choices(self._sizes, self._weights)[0]
        person = draw_person(random, number, self._tag, size)
        categories = tuple(self._category() for _ in range(size))
        key = self._key()
        first = self._register(number, Kind.REGISTER, key, person, categories)
        # Every share is drawn for everybody, so that changing one leaves the others' people as they are.
        twin, retry, other, again, cancel, late = (random.random() for _ in range(6))
        script = Script([first])
        if twin < mix.duplicates:
            script.twin = self._again_as(Kind.DUPLICATE, first)
        if retry < mix.retries:
            script.steps.append(self._again_as(Kind.RETRY, first))
        if other < mix.other_bodies:
            other_person = Person(person.name + " jr.", person.email, person.locale, person.party)
            script.steps.append(self._register(number, Kind.OTHER_BODY, key, other_person, categories))
        more: list[Request] = []
        if cancel < mix.cancels:
            more.append(Request(number, Kind.CANCEL, self._key(), person.email, person.name, categories, b""))
        if again < mix.again and self._venue.terms.one_per_email:
            back = self._register(number, Kind.AGAIN, self._key(), person, categories)
            more.insert(0 if late < 0.5 else len(more), back)
        script.steps += more
        return script

    def _category(self) -> str:
        if self._special and self._random.random() < _STUDENTS:
            return self._random.choice(self._special)
        return self._plain

    def _key(self) -> str:
        return f"{self._keys.getrandbits(128):032x}"

    def _again_as(self, kind: Kind, first: Request) -> Request:
        again = Request(
            first.person, kind, first.key, first.email, first.name, first.categories, first.payload
        )
        again.impatient = first.impatient
        return again

    def _register(
        self, number: int, kind: Kind, key: str, person: Person, categories: tuple[str, ...]
    ) -> Request:
        headers = {
            "Content-Type": "application/json",
            "Accept-Language": person.locale,
            "Idempotency-Key": key,
        }
        impatient = self._moods.random() < self._options.mix.impatient
        wait_s = 0 if impatient else self._options.wait_s
        if wait_s is not None:
            headers["Prefer"] = f"wait={wait_s}"
        body = _encode(self._body(person, categories))
        payload = request_bytes(self._target, "POST", self._path, headers, body)
        made = Request(number, kind, key, person.email, person.name, categories, payload)
        made.impatient = impatient
        return made

    def _body(self, person: Person, categories: tuple[str, ...]) -> dict[str, Any]:
        company = (None, *person.party)
        seats: list[dict[str, Any]] = []
        for category, name in zip(categories, company, strict=True):
            seat: dict[str, Any] = {"category": category}
            if name is not None:
                seat["attendee"] = {"name": name}
            if self._venue.seat_answers:
                seat["answers"] = dict(self._venue.seat_answers)
            seats.append(seat)
        body: dict[str, Any] = {
            "contact": {"name": person.name, "email": person.email, "locale": person.locale},
            "seats": seats,
            "form_version": self._venue.form_version,
        }
        if self._venue.answers:
            body["answers"] = dict(self._venue.answers)
        if self._options.access_code is not None:
            body["access_code"] = self._options.access_code
        return body


def cancel_bytes(target: Target, link: str, key: str, wait_s: int) -> bytes:
    """A request to cancel the registration behind a link."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key, "Prefer": f"wait={wait_s}"}
    return request_bytes(target, "POST", f"/v1/registrations/{link}/cancel", headers, b"{}")


def draw_schedule(rate_per_s: float, duration_s: float, gaps: Gaps, seed: int) -> list[int]:
    """When people come, in nanoseconds after the start: all drawn before the clock runs."""
    random = Random(f"{seed}/schedule")  # noqa: S311 - a schedule to be repeated, no secret
    mean_s = 1.0 / rate_per_s
    at_s = 0.0
    schedule: list[int] = []
    while True:
        at_s += random.expovariate(rate_per_s) if gaps is Gaps.EXPONENTIAL else random.uniform(0, 2 * mean_s)
        if at_s >= duration_s:
            return schedule
        schedule.append(round(at_s * 1e9))
