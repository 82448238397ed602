"""POST /v1/events/{event}/registrations: the hot path. Nothing in it waits but the log and the decision."""

from __future__ import annotations

import msgspec

from veltrix.domain.commands import Actor, Envelope, Register
from veltrix.domain.registration import Source
from veltrix.registration.bodies import RegisterBody, check_answers, check_register, person_of
from veltrix.registration.calls import Answer, Call
from veltrix.registration.core import Core, Request, canonical
from veltrix.registration.directory import REGISTER, Entry
from veltrix.registration.headers import LANGUAGES, preferred_locale
from veltrix.registration.problems import Problem
from veltrix.sealing import NONCE_BYTES, seal

_decoder = msgspec.json.Decoder(RegisterBody)


class Intake:
    """Takes new registrations, of the public and of organizers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def register(self, call: Call) -> Answer:
        """Ask for a registration."""
        core = self._core
        event = call.params["event"]
        body = await call.json(_decoder, core.settings.body_max_bytes)
        request = core.request(call, REGISTER)
        entry = core.directory.known(event) or await core.directory.find(event)
        if call.key is not None and call.key.organizer != entry.event.organizer:
            raise Problem("unknown_event")
        source = Source.PUBLIC if request.actor is Actor.REGISTRANT else Source.ORGANIZER
        accepted = call.headers.get(b"accept-language")
        locale = LANGUAGES[0] if accepted is None else preferred_locale(accepted)
        envelope = await self.envelope(request, entry, body, source, locale)
        return await core.submit(call, request, envelope, entry.partition)

    async def envelope(
        self, request: Request, entry: Entry, body: RegisterBody, source: Source, locale: str
    ) -> Envelope:
        """The command that asks for a registration, its personal data sealed. Raises `Problem`."""
        core, event = self._core, entry.event
        email, faults = check_register(body)
        form = event.spec.form
        version = form.version if body.form_version is None else body.form_version
        # Only the present questions are known here. Answers to an older version that is still accepted are
        # checked for size alone; whether a version is accepted at all, the decider says.
        if version == form.version and (form.questions or body.answers or _any_answers(body)):
            faults += check_answers(form, body.answers, [seat.answers or {} for seat in body.seats])
        if faults:
            raise Problem("invalid_body", errors=faults)
        command = core.command_id(request, entry)
        key_id, key = core.reserve.take_now() or await core.reserve.take()
        hashes, code = entry.hashes, body.access_code
        return Envelope(
            id=command,
            organizer=event.organizer,
            event=event.id,
            body=Register(
                person=hashes.person(email),
                box=seal(
                    person_of(body, locale),
                    key,
                    core.chance.token(NONCE_BYTES),
                    event.id,
                    command,
                    key_id,
                    version,
                ),
                categories=tuple([seat.category for seat in body.seats]),
                form_version=version,
                access_code=None if code is None else hashes.access_code(code),
                source=source,
            ),
            actor=request.actor,
            stamp_ms=core.ports.clock.now_ms(),
            fingerprint=hashes.request(canonical(body)),
        )


def _any_answers(body: RegisterBody) -> bool:
    for seat in body.seats:  # noqa: SIM110 - any() with a generator takes three times as long
        if seat.answers:
            return True
    return False
