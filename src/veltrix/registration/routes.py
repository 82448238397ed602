"""The table of operations of the whole service."""

from __future__ import annotations

from veltrix.ports.access import Scope
from veltrix.registration.bodies import RegisterBody
from veltrix.registration.decisions import Decisions
from veltrix.registration.event_bodies import EventIn, EventOut, EventPage, Seats
from veltrix.registration.events import Events
from veltrix.registration.health import Health, Probes
from veltrix.registration.intake import Intake
from veltrix.registration.operations import Operation
from veltrix.registration.outputs import Registered, Undecided

JSON = "application/json"


def event_operations(events: Events) -> list[Operation]:
    """Operations of events."""
    return [
        Operation(
            "POST", "/v1/events", "createEvent", "Create an event as a draft", events.create,
            scope=Scope.WRITE, keyed=True, waits=True, body={JSON: EventIn},
            answers={201: EventOut, 202: Undecided},
        ),
        Operation(
            "GET", "/v1/events", "listEvents", "List your events", events.listed,
            scope=Scope.READ, answers={200: EventPage},
        ),
        Operation(
            "GET", "/v1/events/{event}", "getEvent", "Read an event", events.read,
            key_optional=True, answers={200: EventOut},
        ),
        Operation(
            "PATCH", "/v1/events/{event}", "changeEvent", "Change an event", events.change,
            scope=Scope.WRITE, keyed=True, waits=True, answers={200: EventOut, 202: Undecided},
        ),
        *(
            Operation(
                "POST", f"/v1/events/{{event}}/{name}", f"{name}Event", summary, handler,
                scope=Scope.WRITE, keyed=True, waits=True, answers={200: EventOut, 202: Undecided},
            )
            for name, summary, handler in (
                ("open", "Open registration", events.open),
                ("close", "Close registration", events.close),
                ("cancel", "Call the event off", events.cancel),
            )
        ),
        Operation(
            "GET", "/v1/events/{event}/seats", "getSeats", "Read what is left", events.seats,
            key_optional=True, answers={200: Seats},
        ),
    ]  # fmt: skip


def registration_operations(intake: Intake, decisions: Decisions) -> list[Operation]:
    """Operations of registrations."""
    return [
        Operation(
            "POST", "/v1/events/{event}/registrations", "register", "Register", intake.register,
            key_optional=True, keyed=True, waits=True, body={JSON: RegisterBody},
            answers={201: Registered, 202: Undecided},
        ),
        Operation(
            "GET", "/v1/decisions/{token}", "getDecision", "Read a decision", decisions.read,
            waits=True, answers={200: Registered, 202: Undecided},
        ),
    ]  # fmt: skip


def probe_operations(probes: Probes) -> list[Operation]:
    """Operations of whoever watches the process."""
    return [
        Operation("GET", "/livez", "live", "Whether the process lives", probes.live, always=True,
                  answers={200: Health}),
        Operation("GET", "/readyz", "ready", "Whether the process is ready", probes.ready, always=True,
                  answers={200: Health, 503: Health}),
        Operation("GET", "/metrics", "metrics", "What is counted", probes.metrics, always=True,
                  documented=False),
    ]  # fmt: skip
