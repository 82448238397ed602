"""Events as JSON: the shapes that organizers send and read."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from veltrix.domain import limits
from veltrix.domain.event import Event, EventSpec, QuestionKind, QuestionScope, Text, WaitlistMode, Window
from veltrix.ports.queries import EventView
from veltrix.registration.outputs import Price, time_of

Count = Annotated[int, Meta(ge=0, le=limits.CAPACITY_MAX)]
Key = Annotated[str, Meta(min_length=1, max_length=64)]
Instant = Annotated[str, Meta(max_length=40, examples=["2027-03-01T09:00:00Z"])]
Local = Annotated[str, Meta(max_length=20, examples=["2027-05-01T10:00"])]
Limit = Annotated[int, Meta(ge=1, le=1_000_000)]
Hours = Annotated[int, Meta(ge=1, le=limits.REMINDER_MAX_H)]
_LABEL_MAX: Final = 200
CODE_ID_CHARS: Final = 12


class TextIn(msgspec.Struct, forbid_unknown_fields=True):
    """One text in several languages, by BCP 47 tag; `default` names the one for everybody else."""

    default: Annotated[str, Meta(max_length=35)]
    values: Annotated[dict[str, str], Meta(max_length=limits.LANGUAGES_MAX)]


Words = TextIn | Annotated[str, Meta(max_length=limits.DESCRIPTION_MAX_CHARS)]


class PoolIn(msgspec.Struct, forbid_unknown_fields=True):
    """A named capacity, in seats."""

    key: Key
    capacity: Count


class PriceIn(msgspec.Struct, forbid_unknown_fields=True):
    """A price in minor units of an ISO 4217 currency."""

    amount_minor: Annotated[int, Meta(ge=0, le=limits.PRICE_MAX_MINOR)] = 0
    currency: Annotated[str, Meta(max_length=3)] = "EUR"


class CategoryIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A kind of ticket. Where the event has one pool only, `pools` may be left out."""

    key: Key
    title: Words | None = None
    pools: Annotated[list[Key], Meta(max_length=limits.POOLS_PER_CATEGORY_MAX)] = []
    price: PriceIn | None = None
    opens_at: Instant | None = None
    closes_at: Instant | None = None


class WindowIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A span of time in which registration is open."""

    opens_at: Instant | None = None
    closes_at: Instant | None = None


class WaitlistIn(msgspec.Struct, forbid_unknown_fields=True):
    """A waitlist: its size, and how newcomers and those who wait share what is free."""

    size: Annotated[int, Meta(ge=1, le=limits.WAITLIST_MAX)]
    mode: WaitlistMode = WaitlistMode.STRICT
    promote_after_close: bool = False


class HoldsIn(msgspec.Struct, forbid_unknown_fields=True):
    """Seats are held first, for `ttl_s` seconds."""

    ttl_s: Annotated[int, Meta(ge=limits.HOLD_TTL_MIN_S, le=limits.HOLD_TTL_MAX_S)]
    registrant_may_confirm: bool = True


class QuestionIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A question of the form."""

    key: Key
    label: Words
    kind: QuestionKind = QuestionKind.TEXT
    scope: QuestionScope = QuestionScope.REGISTRATION
    required: bool = False
    choices: Annotated[dict[Key, Words], Meta(max_length=limits.CHOICES_MAX)] = {}


class FormIn(msgspec.Struct, forbid_unknown_fields=True):
    """The questions, numbered: raise `version` whenever they change."""

    version: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1
    min_version: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1
    questions: Annotated[list[QuestionIn], Meta(max_length=limits.QUESTIONS_MAX)] = []


class AccessCodeIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A code that opens registration: its text when it is new, its `id` to keep one that exists."""

    code: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    id: Annotated[str, Meta(max_length=CODE_ID_CHARS)] | None = None
    label: Annotated[str, Meta(max_length=_LABEL_MAX)] = ""
    uses: Limit | None = None
    categories: Annotated[list[Key], Meta(max_length=limits.CATEGORIES_MAX)] = []


class EventIn(msgspec.Struct, forbid_unknown_fields=True):
    """An event as its organizer describes it. Local times are read in `time_zone`.

    `reminders` says how many hours before the start people are reminded: a day before where it is left out,
    never where it is empty.
    """

    slug: Annotated[str, Meta(min_length=1, max_length=limits.SLUG_MAX_CHARS, examples=["summer-party"])]
    title: Words
    time_zone: Annotated[str, Meta(min_length=1, max_length=64, examples=["Europe/Berlin"])]
    starts_at: Local
    ends_at: Local
    pools: Annotated[list[PoolIn], Meta(min_length=1, max_length=limits.POOLS_MAX)]
    categories: Annotated[list[CategoryIn], Meta(min_length=1, max_length=limits.CATEGORIES_MAX)]
    description: Words | None = None
    venue: Words | None = None
    windows: Annotated[list[WindowIn], Meta(max_length=limits.WINDOWS_MAX)] = []
    seats_per_registration: Annotated[int, Meta(ge=1, le=limits.SEATS_PER_REGISTRATION_MAX)] = 10
    seats_per_person: Limit | None = None
    one_per_email: bool = False
    waitlist: WaitlistIn | None = None
    holds: HoldsIn | None = None
    form: FormIn = msgspec.field(default_factory=FormIn)
    access_codes: Annotated[list[AccessCodeIn], Meta(max_length=limits.ACCESS_CODES_MAX)] = []
    reminders: Annotated[list[Hours], Meta(max_length=limits.REMINDERS_MAX)] | None = None


class TextOut(msgspec.Struct):
    """One text in several languages."""

    default: str
    values: dict[str, str]


class PoolOut(msgspec.Struct):
    """A named capacity, in seats."""

    key: str
    capacity: int


class CategoryOut(msgspec.Struct):
    """A kind of ticket."""

    key: str
    title: TextOut
    pools: list[str]
    price: Price
    opens_at: str | None
    closes_at: str | None


class WindowOut(msgspec.Struct):
    """A span of time in which registration is open."""

    opens_at: str | None
    closes_at: str | None


class WaitlistOut(msgspec.Struct):
    """A waitlist."""

    size: int
    mode: WaitlistMode
    promote_after_close: bool


class HoldsOut(msgspec.Struct):
    """Seats are held first, for `ttl_s` seconds."""

    ttl_s: int
    registrant_may_confirm: bool


class QuestionOut(msgspec.Struct):
    """A question of the form."""

    key: str
    label: TextOut
    kind: QuestionKind
    scope: QuestionScope
    required: bool
    choices: dict[str, TextOut]


class FormOut(msgspec.Struct):
    """The questions, numbered."""

    version: int
    min_version: int
    questions: list[QuestionOut]


class AccessCodeOut(msgspec.Struct):
    """A code that opens registration; its text is not kept. `used` is null where nobody counted yet."""

    id: str
    label: str
    uses: int | None
    used: int | None
    categories: list[str]


class EventOut(msgspec.Struct, kw_only=True):
    """An event. Access codes are shown to its organizer only."""

    id: str
    organizer: str
    slug: str
    status: str
    version: int
    title: TextOut
    description: TextOut | None
    venue: TextOut | None
    time_zone: str
    starts_at: str
    ends_at: str
    pools: list[PoolOut]
    categories: list[CategoryOut]
    windows: list[WindowOut]
    seats_per_registration: int
    seats_per_person: int | None
    one_per_email: bool
    waitlist: WaitlistOut | None
    holds: HoldsOut | None
    form: FormOut
    needs_access_code: bool
    reminders: list[int] | None
    created_at: str
    changed_at: str
    url: str
    access_codes: list[AccessCodeOut] | UnsetType = UNSET


class EventPage(msgspec.Struct):
    """A page of events."""

    items: list[EventOut]
    next_cursor: str | None


class PoolSeats(msgspec.Struct):
    """What is left of a pool, in seats."""

    key: str
    capacity: int
    taken: int
    free: int


class AsOf(msgspec.Struct):
    """All commands of the partition before `offset` are counted."""

    partition: int
    offset: int


class Seats(msgspec.Struct):
    """What is left of an event, and as of when. `waiting` counts registrations."""

    event: str
    as_of: AsOf
    pools: list[PoolSeats]
    waiting: int


def _text(text: Text) -> TextOut:
    return TextOut(text.default, dict(text.values))


def _opens(window: Window | None) -> str | None:
    return None if window is None or window.opens_ms is None else time_of(window.opens_ms)


def _closes(window: Window | None) -> str | None:
    return None if window is None or window.closes_ms is None else time_of(window.closes_ms)


def event_out(event: Event, url: str, codes: dict[str, int] | None = None, *, full: bool = False) -> EventOut:
    """An event as JSON; `full` adds what its organizer alone sees."""
    spec = event.spec
    made = EventOut(
        id=event.id,
        organizer=event.organizer,
        slug=spec.slug,
        status=event.status.value,
        version=event.version,
        title=_text(spec.title),
        description=None if spec.description is None else _text(spec.description),
        venue=None if spec.venue is None else _text(spec.venue),
        time_zone=spec.time_zone,
        starts_at=spec.starts_local,
        ends_at=spec.ends_local,
        pools=[PoolOut(pool.key, pool.capacity) for pool in spec.pools],
        categories=[
            CategoryOut(
                each.key,
                _text(each.title),
                list(each.pools),
                Price(each.price_minor, each.currency),
                _opens(each.window),
                _closes(each.window),
            )
            for each in spec.categories
        ],
        windows=[WindowOut(_opens(window), _closes(window)) for window in spec.windows],
        seats_per_registration=spec.seats_per_registration,
        seats_per_person=spec.seats_per_person,
        one_per_email=spec.one_per_email,
        waitlist=_waitlist(spec),
        holds=None if spec.holds is None else HoldsOut(spec.holds.ttl_s, spec.holds.registrant_may_confirm),
        form=_form(spec),
        needs_access_code=bool(spec.access_codes),
        reminders=None if spec.reminders is None else list(spec.reminders),
        created_at=time_of(event.created_ms),
        changed_at=time_of(event.changed_ms),
        url=url,
    )
    if full:
        made.access_codes = [
            AccessCodeOut(
                code.hash[:CODE_ID_CHARS],
                code.label,
                code.uses,
                None if codes is None else codes.get(code.hash, 0),
                list(code.categories),
            )
            for code in spec.access_codes
        ]
    return made


def _waitlist(spec: EventSpec) -> WaitlistOut | None:
    waitlist = spec.waitlist
    if waitlist is None:
        return None
    return WaitlistOut(waitlist.size, waitlist.mode, waitlist.promote_after_close)


def _form(spec: EventSpec) -> FormOut:
    questions = [
        QuestionOut(
            each.key,
            _text(each.label),
            each.kind,
            each.scope,
            each.required,
            {key: _text(text) for key, text in each.choices.items()},
        )
        for each in spec.form.questions
    ]
    return FormOut(spec.form.version, spec.form.min_version, questions)


def seats_of(view: EventView) -> Seats:
    """What is left of an event."""
    return Seats(
        view.event.id,
        AsOf(view.partition, view.next_offset),
        [PoolSeats(pool.key, pool.capacity, pool.taken, pool.free) for pool in view.pools],
        view.waiting,
    )


_WRITABLE: Final = frozenset(EventIn.__struct_fields__)


def editable(event: Event) -> dict[str, Any]:
    """The event as its organizer would send it today: what a merge patch is laid upon."""
    full: dict[str, Any] = msgspec.to_builtins(event_out(event, "", full=True))
    for code in full["access_codes"]:
        del code["used"]
    return {name: value for name, value in full.items() if name in _WRITABLE}


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
