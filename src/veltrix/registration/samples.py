"""Examples of what is sent, for the description of the API and the page to try it; a test sends them all."""

from __future__ import annotations

from typing import Any, Final

from veltrix.registration import corrections, door, endpoint_bodies, notices, registrations
from veltrix.registration.bodies import RegisterBody
from veltrix.registration.event_bodies import EventIn

SAMPLES: Final[dict[Any, Any]] = {
    EventIn: {
        "slug": "autumn-evening",
        "title": {"default": "en", "values": {"en": "Autumn evening", "de": "Herbstabend"}},
        "venue": "Old Town Hall",
        "time_zone": "Europe/Berlin",
        "starts_at": "2031-10-04T19:00",
        "ends_at": "2031-10-04T22:00",
        "pools": [{"key": "room", "capacity": 100}, {"key": "students", "capacity": 20}],
        "categories": [
            {
                "key": "regular",
                "title": "Regular",
                "pools": ["room"],
                "price": {"amount_minor": 2500, "currency": "EUR"},
            },
            {
                "key": "student",
                "title": "Student",
                "pools": ["room", "students"],
                "price": {"amount_minor": 900, "currency": "EUR"},
            },
        ],
        "seats_per_registration": 4,
        "waitlist": {"size": 50, "mode": "strict"},
    },
    RegisterBody: {
        "contact": {"name": "Ada Lovelace", "email": "ada@example.org", "locale": "en"},
        "seats": [{"category": "regular"}, {"category": "student", "attendee": {"name": "Byron King"}}],
    },
    registrations.ConfirmBody: {},
    registrations.CancelBody: {},
    registrations.MoveBody: {"seat": 1, "category": "regular"},
    registrations.TransferBody: {"contact": {"name": "Mary Somerville", "email": "mary@example.org"}},
    registrations.ExtendBody: {"ttl_s": 900},
    registrations.ReleaseBody: {},
    corrections.ChangeBody: {"contact": {"name": "Ada King"}},
    door.CheckInBody: {"ticket": "T1AAAAAAAAAAAAAAAAAAAAAAA", "scan_id": "door-1-0001"},
    door.EraseBody: {"email": "ada@example.org"},
    endpoint_bodies.EndpointIn: {
        "url": "https://crm.example.org/hooks/veltrix",
        "kinds": ["registration.confirmed", "registration.cancelled"],
    },
    endpoint_bodies.EndpointChange: {"description": "The CRM", "on_unknown": "hold"},
    endpoint_bodies.RotateBody: {"overlap_s": 86_400},
    notices.NoticesChosen: {"statuses": ["dead"]},
    notices.HeldChosen: {"statuses": ["unknown"], "send": True},
    dict[str, Any]: {"venue": "New Town Hall"},
}

IMPORT_SAMPLES: Final[dict[str, str]] = {
    "application/x-ndjson": '{"contact": {"name": "Grace Hopper", "email": "grace@example.org"}, '
    '"seats": [{"category": "regular"}]}\n',
    "text/csv": "name,email,categories\r\nGrace Hopper,grace@example.org,regular\r\n",
}
