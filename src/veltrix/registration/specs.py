"""From an event as JSON to a specification, with every fault named where its sender can find it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from veltrix.domain.event import (
    AccessCode,
    Category,
    EventSpec,
    Form,
    Holds,
    PoolSpec,
    Question,
    Text,
    Waitlist,
    Window,
)
from veltrix.domain.soundness import Fault
from veltrix.registration.bodies import check_texts, escaped, instant
from veltrix.registration.event_bodies import (
    CODE_ID_CHARS,
    AccessCodeIn,
    CategoryIn,
    EventIn,
    PriceIn,
    QuestionIn,
    TextIn,
    Words,
)
from veltrix.registration.problems import FaultAt
from veltrix.sealing import KeyedHashes

DEFAULT_LANGUAGE = "en"


def spec_of(
    body: EventIn, hashes: KeyedHashes, known: Sequence[AccessCode] = ()
) -> tuple[EventSpec, list[FaultAt]]:
    """The specification, and what cannot be read of it. `known`: access codes that may be kept."""
    faults: list[FaultAt] = []
    spec = EventSpec(
        slug=body.slug,
        title=_text("/title", body.title, faults),
        time_zone=body.time_zone,
        starts_local=body.starts_at,
        ends_local=body.ends_at,
        pools=tuple(PoolSpec(pool.key, pool.capacity) for pool in body.pools),
        categories=tuple(
            _category(f"/categories/{index}", category, body, faults)
            for index, category in enumerate(body.categories)
        ),
        description=None if body.description is None else _text("/description", body.description, faults),
        venue=None if body.venue is None else _text("/venue", body.venue, faults),
        windows=tuple(
            _window(f"/windows/{index}", window.opens_at, window.closes_at, faults) or Window()
            for index, window in enumerate(body.windows)
        ),
        seats_per_registration=body.seats_per_registration,
        seats_per_person=body.seats_per_person,
        one_per_email=body.one_per_email,
        waitlist=None
        if body.waitlist is None
        else Waitlist(body.waitlist.size, body.waitlist.mode, body.waitlist.promote_after_close),
        holds=None if body.holds is None else Holds(body.holds.ttl_s, body.holds.registrant_may_confirm),
        form=Form(
            body.form.version,
            body.form.min_version,
            tuple(
                _question(f"/form/questions/{index}", question, faults)
                for index, question in enumerate(body.form.questions)
            ),
        ),
        access_codes=tuple(_access_codes(body.access_codes, hashes, known, faults)),
        reminders=None if body.reminders is None else tuple(body.reminders),
    )
    return spec, faults


def pointers(faults: Iterable[Fault], body: EventIn) -> list[FaultAt]:
    """The domain's faults, each at the place in the JSON that it is about."""
    found = []
    for fault in faults:
        parts = fault.field.split(".")
        depth, keys = 1, [pool.key for pool in body.pools] if parts[0] == "pools" else []
        if parts[0] == "categories":
            keys = [category.key for category in body.categories]
        elif parts[:2] == ["form", "questions"]:
            depth, keys = 2, [question.key for question in body.form.questions]
        if len(parts) > depth and parts[depth] in keys:
            parts[depth] = str(keys.index(parts[depth]))
        pointer = "/" + "/".join(_RENAMED.get(part) or escaped(part) for part in parts)
        found.append(FaultAt(pointer, "domain", {"fault": fault.fault, "remedy": fault.remedy}))
    return found


_RENAMED = {
    "starts_local": "starts_at",
    "ends_local": "ends_at",
    "price_minor": "price/amount_minor",
    "currency": "price/currency",
    "window": "closes_at",
}


def _text(pointer: str, words: Words, faults: list[FaultAt]) -> Text:
    if isinstance(words, TextIn):
        faults.extend(check_texts(f"{pointer}/values", words.values))
        return Text(words.default, dict(words.values))
    faults.extend(FaultAt(pointer, fault.code) for fault in check_texts(pointer, {DEFAULT_LANGUAGE: words}))
    return Text(DEFAULT_LANGUAGE, {DEFAULT_LANGUAGE: words})


def _category(pointer: str, body: CategoryIn, event: EventIn, faults: list[FaultAt]) -> Category:
    pools = tuple(body.pools)
    if not pools and len(event.pools) == 1:
        pools = (event.pools[0].key,)
    price = body.price or PriceIn()
    title = body.title if body.title is not None else body.key
    return Category(
        body.key,
        _text(f"{pointer}/title", title, faults),
        pools,
        price.amount_minor,
        price.currency,
        _window(pointer, body.opens_at, body.closes_at, faults),
    )


def _window(
    pointer: str, opens_at: str | None, closes_at: str | None, faults: list[FaultAt]
) -> Window | None:
    edges: list[int | None] = []
    for name, text in (("opens_at", opens_at), ("closes_at", closes_at)):
        ms = None if text is None else instant(text)
        if text is not None and ms is None:
            faults.append(FaultAt(f"{pointer}/{name}", "no_time"))
        edges.append(ms)
    return None if edges == [None, None] else Window(*edges)


def _question(pointer: str, body: QuestionIn, faults: list[FaultAt]) -> Question:
    choices = {}
    for key, label in body.choices.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", key):
            faults.append(FaultAt(f"{pointer}/choices/{escaped(key)}", "no_key"))
        choices[key] = _text(f"{pointer}/choices/{escaped(key)}", label, faults)
    return Question(
        body.key, _text(f"{pointer}/label", body.label, faults), body.kind, body.scope, body.required, choices
    )


def _access_codes(
    bodies: list[AccessCodeIn], hashes: KeyedHashes, known: Sequence[AccessCode], faults: list[FaultAt]
) -> Iterable[AccessCode]:
    by_id = {code.hash[:CODE_ID_CHARS]: code.hash for code in known}
    for index, body in enumerate(bodies):
        if body.code is not None and body.code.strip():
            hashed: str | None = hashes.access_code(body.code)
        else:
            hashed = by_id.get(body.id or "")
        if hashed is None:
            faults.append(FaultAt(f"/access_codes/{index}", "unknown_code"))
        else:
            yield AccessCode(hashed, body.label, body.uses, tuple(body.categories))
