"""Examples of what is sent, for the description of the API and the page to try it; a test sends them all."""

from __future__ import annotations

from typing import Any, Final

from veltrix.registration import (
    choices,
    corrections,
    door,
    endpoint_bodies,
    notices,
    registrations,
    suppressions,
    templates,
)
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
    templates.TemplateIn: {
        "subject": "See you soon: {{ title }}",
        "text": "Hello {{ name }},\n\n{{ title }} begins on {{ date }} at {{ time }}.\n\n{{ link }}\n",
    },
    templates.PreviewBody: {},
    templates.TestBody: {"to": "me@example.org"},
    notices.HeldChosen: {"statuses": ["unknown"], "send": True},
    suppressions.SuppressBody: {"email": "ada@example.org", "category": "*", "detail": "asked by phone"},
    choices.Preferences: {"categories": {"reminder": False}},
    dict[str, Any]: {"venue": "New Town Hall"},
}

IMPORT_SAMPLES: Final[dict[str, str]] = {
    "application/x-ndjson": '{"contact": {"name": "Grace Hopper", "email": "grace@example.org"}, '
    '"seats": [{"category": "regular"}]}\n',
    "text/csv": "name,email,categories\r\nGrace Hopper,grace@example.org,regular\r\n",
}

TEXT_SAMPLES: Final[dict[str, str]] = {
    **IMPORT_SAMPLES,
    "message/rfc822": "From: MAILER-DAEMON@mx.example.org\r\nTo: no-reply@tickets.example.org\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
    "Final-Recipient: rfc822; ada@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
    "--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    f"Message-ID: <ntc_{'0' * 32}@tickets.example.org>\r\n\r\n--b--\r\n",
}
