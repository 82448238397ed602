"""Transcripts: commands as people would say them, and what was decided, as text to read and to compare.

A file holds paragraphs. Lines that begin with `#` are prose. A paragraph is a command, a line `----`, and
what came of it. `pytest --regenerate` writes what comes of it now.

    event main=2 waitlist=strict:3 holds=60     an open event; pools, then categories as std:main:15.00
    register ann std std                        as the public; `by=organizer`, `code=…`, `key=…` may follow
    confirm|release|cancel|extend|expire ann    `seat=2` for one seat, `s=60` for seconds, `hold=1`
    move ann seat=1 to=vip                      transfer ann to=bob; check-in ann seat=1; undo ann seat=1
    set main=5 waitlist=skip:3 holds=none       a change of the event
    open|close|call-off|end|continue            wait 90; wait day=105
    remind                                      adopt 2, the rules version
    again                                       the last command, once more; `again body=other`
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.domain.room import NOW_MS, Room, category, event_spec, sealed
from veltrix.domain import commands as ask
from veltrix.domain.commands import Actor, Command
from veltrix.domain.decider import Judgement
from veltrix.domain.event import AccessCode, EventSpec, Holds, PoolSpec, Waitlist, WaitlistMode
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.outcomes import Outcome
from veltrix.domain.registration import Registration

RULE = "----"
SWITCHES = {"one_per_email", "promote_after_close"}


def played(path: Path) -> str:
    """The transcript with what comes of its commands now."""
    stage = Stage()
    written: list[str] = []
    for paragraph in path.read_text(encoding="utf-8").strip().split("\n\n"):
        said, rule, _ = paragraph.partition(f"\n{RULE}")
        if not rule:
            written.append(said)
            continue
        *prose, line = said.splitlines()
        written.append("\n".join([*prose, line, RULE, *stage.play(line)]))
    return "\n\n".join(written) + "\n"


class Stage:
    """One event, and names for what people read as ids."""

    def __init__(self) -> None:
        self.room = Room()
        self.event = ""
        self.registrations: dict[str, str] = {}

    def play(self, line: str) -> list[str]:
        """Do what the line says; the lines that tell what came of it."""
        verb, *words = line.split()
        plain = [word for word in words if "=" not in word and word not in SWITCHES]
        settings: dict[str, Any] = dict(word.split("=", 1) for word in words if "=" in word)
        settings |= {word: "yes" for word in words if word in SWITCHES}
        if verb == "wait":
            self.room.later(float(plain[0]) if plain else float(settings["day"]) * 86_400)
            return [f"it is {self._clock(self.room.now_ms)}"]
        if verb == "event":
            self.event = self.room.create(_changed(event_spec(pools=(), categories=()), settings))
            return self._numbers()
        if verb == "again":
            envelope, _ = self.room.log[-1]
            judgement = self.room.judge(replace(envelope, fingerprint=settings.get("body", "f")))
        elif verb == "register":
            judgement = self._register(plain[0], plain[1:], settings)
        else:
            judgement = self._ask(verb, plain, settings)
        return [*self._told(judgement), *self._numbers()]

    def _register(self, person: str, categories: list[str], settings: dict[str, str]) -> Judgement:
        judgement = self.room.register(
            self.event,
            *categories,
            person=person,
            actor=Actor(settings.get("by", "registrant")),
            access_code=settings.get("code"),
            key=settings.get("key"),
        )
        if judgement.decision.refusal is None:
            name = person if person not in self.registrations else f"{person}-{self.room.asked}"
            self.registrations[name] = judgement.decision.subject
        return judgement

    def _ask(self, verb: str, plain: list[str], settings: dict[str, Any]) -> Judgement:
        name = plain[0] if plain else ""
        system = verb in ("expire", "continue", "end", "remind", "adopt")
        by = Actor.SYSTEM if system else Actor(settings.get("by", "registrant" if name else "organizer"))
        found = self.room.registration(self.registrations[name]) if name in self.registrations else None
        if verb == "adopt":
            return self.room.ask(ask.AdoptRules(int(name)), actor=by)
        body = self._body(verb, name, found, settings)
        holder = None
        if (
            found is not None
            and by is Actor.REGISTRANT
            and not isinstance(body, ask.CheckIn | ask.ErasePerson)
        ):
            holder = int(settings.get("holder", found.holder))
        return self.room.ask(body, self.event, actor=by, holder=holder)

    def _body(self, verb: str, name: str, found: Registration | None, settings: dict[str, Any]) -> Command:
        turns: dict[str, Command] = {
            "open": ask.OpenEvent(),
            "close": ask.CloseEvent(),
            "call-off": ask.CancelEvent(),
            "end": ask.EndEvent(),
            "continue": ask.ContinuePromotions(),
            "remind": ask.Remind(),
        }
        if verb in turns:
            return turns[verb]
        event = self.room.event(self.event)
        if verb == "set":
            return ask.ChangeEvent(_changed(event.spec, settings), event.version)
        if verb == "erase":
            return ask.ErasePerson(name)
        assert found is not None, f"nobody is called {name!r}"
        seat = int(settings["seat"]) if "seat" in settings else None
        box = sealed("cmd_" + "0" * 32)
        if verb in ("check-in", "undo"):
            assert seat is not None
            holder = next((each.holder for each in found.seats if each.number == seat), 1)
            return ask.CheckIn(seat, int(settings.get("ticket", holder)), "scan", None, verb == "undo")
        bodies: dict[str, Command] = {
            "confirm": ask.ConfirmHold(found.id, settings.get("ref")),
            "release": ask.ReleaseHold(found.id),
            "cancel": ask.Cancel(found.id, seat),
            "extend": ask.ExtendHold(found.id, int(settings.get("s", 60))),
            "expire": ask.ExpireHold(found.id, int(settings.get("hold", found.hold_number))),
            "move": ask.Move(found.id, seat or 0, settings.get("to", "")),
            "transfer": ask.Transfer(found.id, settings.get("to", ""), box, seat),
        }
        return bodies[verb]

    def _told(self, judgement: Judgement) -> list[str]:
        decision = judgement.decision
        lines = [self._fact(fact) for fact in judgement.facts]
        if decision.refusal is not None:
            lines.append(f"refused, {decision.refusal}: {self._named(decision.detail)}")
        elif decision.outcome is not Outcome.ACCEPTED:
            lines.append(f"{decision.outcome} of #{decision.original}")
        elif not decision.own_seq:
            lines.append("accepted, nothing changes")
        if judgement.more:
            lines.append("more promotions are due")
        return [f"#{decision.offset} {line}" for line in lines]

    def _fact(self, fact: Fact) -> str:
        line = str(fact.kind)
        if fact.registration is not None and fact.registration.seats:
            if fact.registration.id not in self.registrations.values():
                self.registrations[fact.registration.person] = fact.registration.id
            line += f" {self._of(fact.registration)}"
        if fact.event_after is not None:
            line += f" {fact.event_after.status}, version {fact.event_after.version}"
        if fact.kind is FactKind.EVENT_REMINDED and fact.event_after is not None:
            ahead_ms = fact.event_after.spec.starts_ms() - self.room.now_ms
            line += f", {ahead_ms / 3_600_000:.10g} hours before it begins"
        if fact.rules_version is not None:
            line += f" {fact.rules_version}"
        if fact.previous is not None:
            line += f"; from {fact.previous.person} to {fact.person}"
        elif fact.person is not None:
            line += f"; {fact.person}"
        if fact.reason is not None:
            line += f"; {fact.reason}"
        for each in fact.skipped:
            line += f"; skipped {self._name(each.registration)}, who needs {each.needs} of {each.pool}"
            line += f" where {each.free} are free"
        return line

    def _of(self, registration: Registration) -> str:
        seats = []
        for seat in registration.seats:
            price = f"{seat.price_minor / 100:.2f} {seat.currency}"
            said = f"{seat.number} {seat.category} {price}"
            if seat.holder > 1:
                said += f" (holder {seat.holder})"
            if seat.checked_in_ms is not None:
                said += f" (in since {self._clock(seat.checked_in_ms)})"
            seats.append(said if seat.active else f"{seat.number} given back")
        line = f"{self._name(registration.id)}: {registration.status}"
        if registration.hold_deadline_ms is not None:
            line += f" until {self._clock(registration.hold_deadline_ms)} (hold {registration.hold_number})"
        if registration.external_ref is not None:
            line += f" by {registration.external_ref}"
        return f"{line}, {', '.join(seats)}"

    def _numbers(self) -> list[str]:
        state = self.room.of(self.event)
        pools = [f"{key} {pool.taken}/{pool.capacity}" for key, pool in state.pools.items()]
        line = sorted(entry for _, entries in state.waiting.lines() for entry in entries)
        waiting = ", ".join(self._name(registration) for _, registration in line)
        return [f"= {', '.join(pools)}" + (f"; waiting: {waiting}" if waiting else "")]

    def _name(self, registration: str) -> str:
        names = [name for name, known in self.registrations.items() if known == registration]
        return names[-1] if names else registration

    def _named(self, text: str) -> str:
        for name, registration in self.registrations.items():
            text = text.replace(registration, name)
        return text

    def _clock(self, ms: int) -> str:
        return f"{(ms - NOW_MS) / 1000:.10g}s"


def _changed(spec: EventSpec, settings: dict[str, str]) -> EventSpec:
    """The specification with these settings; a plain number is a pool's capacity, `a:b:price` a category."""
    changes: dict[str, Any] = {}
    pools = {pool.key: pool for pool in spec.pools}
    categories = {each.key: each for each in spec.categories}
    for key, value in settings.items():
        if key == "waitlist":
            mode, _, size = value.partition(":")
            changes[key] = None if mode == "none" else Waitlist(int(size), WaitlistMode(mode))
        elif key == "holds":
            ttl, _, by = value.partition(":")
            changes[key] = None if ttl == "none" else Holds(int(ttl), by != "organizer")
        elif key == "codes":
            codes = (each.partition(":") for each in value.split(","))
            changes["access_codes"] = tuple(AccessCode(code, uses=int(uses)) for code, _, uses in codes)
        elif key == "one_per_email":
            changes[key] = value == "yes"
        elif key in ("starts", "ends"):
            changes[f"{key}_local"] = value
        elif key == "reminders":
            changes[key] = tuple(int(each) for each in value.split(",") if each)
        elif key in ("seats_per_person", "seats_per_registration"):
            changes[key] = int(value)
        elif value.isdecimal():
            pools[key] = PoolSpec(key, int(value))
        else:
            drawn, _, price = value.partition(":")
            minor = round(float(price or 0) * 100)
            categories[key] = category(key, *drawn.split("+"), price_minor=minor)
    if not categories:
        categories["std"] = category("std", *list(pools)[:1])
    return replace(spec, pools=tuple(pools.values()), categories=tuple(categories.values()), **changes)
