"""The answers that accepted decisions lead to, by the kind of what was asked."""

from __future__ import annotations

from veltrix.domain.registration import RegistrationStatus
from veltrix.registration.calls import Answer, json_answer
from veltrix.registration.core import Core
from veltrix.registration.desk import Settled
from veltrix.registration.event_bodies import event_out
from veltrix.registration.headers import etag
from veltrix.registration.outputs import Changed, Registered, add_details, decision_ref, registration_out
from veltrix.registration.problems import Problem

EVENT_KINDS = ("create_event", "change_event", "open_event", "close_event", "cancel_event", "end_event")
REGISTRATION_KINDS = (
    "confirm_hold", "extend_hold", "release_hold", "cancel", "move", "transfer", "change_answers",
)  # fmt: skip


class Results:
    """Makes answers from decisions: the same from the same, whenever it is asked."""

    def __init__(self, core: Core) -> None:
        self._core = core
        core.render["register"] = self.registered
        core.render.update(dict.fromkeys(EVENT_KINDS, self.event))
        core.render.update(dict.fromkeys(REGISTRATION_KINDS, self.changed))

    async def registered(self, settled: Settled, made_key: str | None) -> Answer:
        """A registration was made: here is its link, and with it all rights to it."""
        core, own = self._core, settled.own
        assert own is not None, "a registration has its fact"
        registration = own.fact.registration
        assert registration is not None, "a registration has its fact"
        ahead = None
        if registration.status is RegistrationStatus.WAITLISTED:
            ahead = await core.waitlines.ahead(registration, own.partition)
        link = core.links.link(registration.id, registration.holder)
        body = Registered(
            registration_out(registration, core.links, ahead),
            link,
            core.links.page(link),
            decision_ref(settled.decision),
        )
        if made_key is not None:
            body.idempotency_key = made_key
        return json_answer(body, 201, [(b"location", f"/v1/registrations/{link}".encode())])

    async def event(self, settled: Settled, made_key: str | None) -> Answer:
        """An event was made or changed."""
        own, decision = settled.own, settled.decision
        event = own.fact.event_after if own is not None else None
        if event is None:  # it already was as it was asked to be
            view = await self._core.ports.queries.event(decision.event)
            if view is None:
                raise Problem("unknown_event")
            event = view.event
        created = decision.kind == "create_event"
        headers = [(b"etag", etag(event.version))]
        if created:
            headers.append((b"location", f"/v1/events/{event.id}".encode()))
        if made_key is not None:
            headers.append((b"idempotency-key", f'"{made_key}"'.encode()))
        out = event_out(event, self._core.links.event_page(event.id), full=True)
        return json_answer(out, 201 if created else 200, headers)

    async def changed(self, settled: Settled, made_key: str | None) -> Answer:
        """A registration was changed.

        Tickets are shown as the command itself left them. Not after a transfer, whose answer goes to
        whoever gave the seats away; and not where nothing happened, because what is read then is of
        today and may be another's by now.
        """
        own, decision = settled.own, settled.decision
        registration = own.fact.registration if own is not None else None
        tickets = None if registration is None or decision.kind == "transfer" else self._core.links
        if registration is None:
            registration = await self._core.ports.queries.registration(decision.subject)
            if registration is None:
                raise Problem("unknown_registration")
        out = add_details(registration_out(registration, tickets), registration)
        body = Changed(out, decision_ref(decision))
        if made_key is not None:
            body.idempotency_key = made_key
        return json_answer(body, 200, [(b"etag", etag(registration.version))])
