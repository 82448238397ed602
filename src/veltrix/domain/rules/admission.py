"""Who may register: the reasons to say no before any seat is looked for, in the order of precedence."""

from __future__ import annotations

from veltrix.domain.commands import Register
from veltrix.domain.event import Category, EventStatus
from veltrix.domain.outcomes import Decided, Refusal
from veltrix.domain.rules.context import Context, refused


def closed_to(context: Context) -> Decided | None:
    """Why the event takes no registrations now. An organizer is not bound by windows."""
    event = context.event.event
    status = event.status
    if status is not EventStatus.OPEN:
        if status is EventStatus.CANCELLED:
            return refused(Refusal.EVENT_CANCELLED, "the event is cancelled")
        if status is EventStatus.ENDED:
            return refused(Refusal.EVENT_ENDED, "the event has ended")
        return refused(Refusal.NOT_OPEN, f"the event is {status}")
    windows = event.spec.windows
    if not context.by_registrant or not windows:
        return None
    if any(window.contains(context.now_ms) for window in windows):
        return None
    if any(window.opens_ms is not None and window.opens_ms > context.now_ms for window in windows):
        return refused(Refusal.WINDOW_NOT_OPEN_YET, "registration has not opened yet")
    return refused(Refusal.WINDOW_OVER, "registration is over")


def access_refused(context: Context, body: Register) -> Decided | None:
    """Why the access code does not open registration. An organizer needs none."""
    codes = context.event.event.spec.access_codes
    if not codes or not context.by_registrant:
        return None
    if body.access_code is None:
        return refused(Refusal.ACCESS_CODE_REQUIRED, "registration needs an access code")
    code = next((code for code in codes if code.hash == body.access_code), None)
    if code is None:
        return refused(Refusal.ACCESS_CODE_INVALID, "the access code is unknown")
    if code.categories and not set(body.categories) <= set(code.categories):
        return refused(Refusal.ACCESS_CODE_INVALID, "the access code is not for these categories")
    if code.uses is not None and context.event.code_uses.get(code.hash, 0) >= code.uses:
        return refused(Refusal.ACCESS_CODE_USED_UP, f"the access code was used {code.uses} times")
    return None


def form_refused(context: Context, version: int) -> Decided | None:
    """Why answers to this form version are not accepted."""
    form = context.event.event.spec.form
    if not form.min_version <= version <= form.version:
        return refused(
            Refusal.FORM_VERSION_OUTDATED,
            f"answers are to form version {version}; {form.min_version} to {form.version} are accepted",
        )
    return None


def party_refused(context: Context, body: Register) -> Decided | None:
    """Why these seats cannot be asked for together, whatever is free."""
    spec = context.event.event.spec
    off_sale: str | None = None
    for key in body.categories:
        category = spec.category(key)
        if category is None:
            return refused(Refusal.UNKNOWN_CATEGORY, f"there is no category {key!r}")
        if context.by_registrant and not on_sale(context, category):
            off_sale = key
    if off_sale is not None:
        return refused(Refusal.CATEGORY_NOT_ON_SALE, f"category {off_sale!r} is not on sale now")
    if not 1 <= len(body.categories) <= spec.seats_per_registration:
        return refused(
            Refusal.PARTY_TOO_LARGE,
            f"{len(body.categories)} seats; 1 to {spec.seats_per_registration} are allowed",
        )
    return None


def person_refused(context: Context, person: str, seats: int) -> Decided | None:
    """Why this person cannot have so many seats more."""
    spec = context.event.event.spec
    if not spec.limits_people:
        return None
    has = context.event.person(person)
    if spec.one_per_email and has.registrations:
        return refused(Refusal.ALREADY_REGISTERED, "this e-mail address has a registration")
    if spec.seats_per_person is not None and has.seats + seats > spec.seats_per_person:
        return refused(
            Refusal.SEATS_PER_PERSON, f"{has.seats} seats are held; {spec.seats_per_person} are allowed"
        )
    return None


def on_sale(context: Context, category: Category) -> bool:
    """Whether the category's own window is open."""
    return category.window is None or category.window.contains(context.now_ms)
