"""Facts as organizers' systems get them, by webhook or by cursor: CloudEvents 1.0 without personal data.

What is told: ids, states, seats, prices, the organizer's own reference, and where the API has the rest.
Neither boxes nor keyed hashes leave: whoever may read names asks for them with an API key, so that an erased
person is gone everywhere. The shapes here are published; a field may be added, none changes its meaning.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from veltrix.domain.event import Event
from veltrix.domain.facts import FactKind, NumberedFact
from veltrix.domain.identifiers import split_arrival
from veltrix.domain.registration import Registration, Seat
from veltrix.wire import FACT_VERSION, rfc3339

MEDIA_TYPE: Final = "application/cloudevents+json"
PING: Final = "veltrix.endpoint.ping.v1"
PUBLIC_KINDS: Final = frozenset(FactKind) - {FactKind.RULES_ADOPTED}
"""What an endpoint can ask for. Rules are the platform's own affair and no organizer's."""

_TYPES: Final = {kind: f"veltrix.{kind}.v{FACT_VERSION}" for kind in FactKind}


class PublicPrice(msgspec.Struct):
    """A price in minor units of an ISO 4217 currency."""

    amount_minor: int
    currency: str


class PublicSeat(msgspec.Struct):
    """One seat: `active`, or `cancelled` by itself."""

    number: int
    category: str
    price: PublicPrice
    status: str
    checked_in_at: str | None


class PublicRegistration(msgspec.Struct):
    """A registration after the fact. A lower `version` is older. `url` is in the API."""

    id: str
    status: str
    arrival: str
    version: int
    seats: list[PublicSeat]
    hold_deadline: str | None
    source: str
    external_ref: str | None
    decided_at: str
    changed_at: str
    url: str


class PublicEvent(msgspec.Struct):
    """An event after the fact. `version` counts its changes: a lower one is older. `url` is in the API."""

    id: str
    slug: str
    status: str
    version: int
    url: str


class PublicDecision(msgspec.Struct):
    """Where the fact's command stands in the log."""

    partition: int
    offset: int


class FactData(msgspec.Struct, omit_defaults=True):
    """What a fact is about. `seat` is the number of the seat concerned, where it is one; `reason` names a
    refusal, or the fields of an event that changed."""

    organizer: str
    event: str
    decision: PublicDecision
    registration: PublicRegistration | UnsetType = UNSET
    event_after: PublicEvent | UnsetType = UNSET
    seat: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class CloudEvent(msgspec.Struct, omit_defaults=True):
    """A fact as a CloudEvent. `source` and `id` together name it for ever; `partitionkey` is the event that
    people register for, within which `sequence` rises."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    subject: str
    partitionkey: str
    sequence: str
    datacontenttype: str
    data: FactData
    traceparent: str | UnsetType = UNSET


class PingData(msgspec.Struct):
    """The endpoint that was asked to be tried."""

    organizer: str
    endpoint: str


class Ping(msgspec.Struct):
    """A test that somebody asked for; it is about nothing."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    subject: str
    datacontenttype: str
    data: PingData


_encoder = msgspec.json.Encoder()


def public_fact(numbered: NumberedFact, base_url: str) -> CloudEvent:
    """A fact as outsiders get it; `base_url` is where the API is reached, without a slash at its end."""
    fact = numbered.fact
    registration = fact.registration
    made = CloudEvent(
        specversion="1.0",
        id=f"{numbered.partition}-{numbered.seq}",
        source=base_url,
        type=_TYPES[fact.kind],
        time=rfc3339(numbered.log_time_ms),
        subject=fact.event if registration is None else registration.id,
        partitionkey=fact.event,
        sequence=str(numbered.seq),
        datacontenttype="application/json",
        data=FactData(fact.organizer, fact.event, PublicDecision(numbered.partition, numbered.offset)),
    )
    if numbered.trace:
        made.traceparent = numbered.trace
    if registration is not None:
        made.data.registration = _registration(registration, base_url)
    if fact.event_after is not None:
        made.data.event_after = _event(fact.event_after, base_url)
    if fact.seat is not None:
        made.data.seat = fact.seat
    if fact.reason:
        made.data.reason = str(fact.reason)
    return made


def encode_public_fact(numbered: NumberedFact, base_url: str) -> bytes:
    """The same as bytes. One fact is always the same bytes, however often it is sent."""
    return _encoder.encode(public_fact(numbered, base_url))


def encode_ping(ping: str, organizer: str, endpoint: str, at_ms: int, base_url: str) -> bytes:
    """The body of a test; `ping` is its id."""
    return _encoder.encode(
        Ping(
            specversion="1.0",
            id=ping,
            source=base_url,
            type=PING,
            time=rfc3339(at_ms),
            subject=endpoint,
            datacontenttype="application/json",
            data=PingData(organizer, endpoint),
        )
    )


def _registration(registration: Registration, base_url: str) -> PublicRegistration:
    generation, offset = split_arrival(registration.arrival)
    deadline_ms = registration.hold_deadline_ms
    return PublicRegistration(
        registration.id,
        registration.status.value,
        f"{generation}.{offset}",
        registration.version,
        [_seat(seat) for seat in registration.seats],
        None if deadline_ms is None else rfc3339(deadline_ms),
        registration.source.value,
        registration.external_ref,
        rfc3339(registration.decided_ms),
        rfc3339(registration.changed_ms),
        f"{base_url}/v1/registrations/{registration.id}",
    )


def _seat(seat: Seat) -> PublicSeat:
    return PublicSeat(
        seat.number,
        seat.category,
        PublicPrice(seat.price_minor, seat.currency),
        "active" if seat.active else "cancelled",
        None if seat.checked_in_ms is None else rfc3339(seat.checked_in_ms),
    )


def _event(event: Event, base_url: str) -> PublicEvent:
    return PublicEvent(
        event.id, event.spec.slug, event.status.value, event.version, f"{base_url}/v1/events/{event.id}"
    )
