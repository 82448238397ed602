"""The table of operations, continued: changes as they happen."""

from __future__ import annotations

from veltrix.ports.access import Scope
from veltrix.public import CloudEvent
from veltrix.registration.live_changes import Changes
from veltrix.registration.operations import Operation, Shape
from veltrix.registration.outputs import RegistrationView
from veltrix.registration.routes import ORGANIZER, PUBLIC


def change_operations(changes: Changes) -> list[Operation]:
    """Operations of streams of changes."""
    return [
        Operation(
            "GET", "/v1/events/{event}/stream", "watchEvent", changes.event, "Watch what happens", ORGANIZER,
            "Server-sent events: `begin`, then each `fact` as webhooks carry it. `Last-Event-ID` resumes: "
            "each fact once, in order; after a very long absence `begin` says that some are missed.",
            scope=Scope.READ, streams=True,
            answers={200: Shape(CloudEvent, "text/event-stream", "`begin` and `fact` events")},
            problems=("unknown_event",),
        ),
        Operation(
            "GET", "/v1/registrations/{ref}/stream", "watchRegistration", changes.registration,
            "Watch a registration", PUBLIC,
            "Server-sent events: `registration` (as reading it answers) at once and whenever it changes, "
            "`notices` likewise, `gone` when the link no longer counts.",
            key_optional=True, streams=True,
            answers={200: Shape(RegistrationView, "text/event-stream",
                                "`registration`, `notices` and `gone` events")},
            problems=("unknown_registration", "link_replaced", "unauthorized", "forbidden"),
        ),
    ]  # fmt: skip
