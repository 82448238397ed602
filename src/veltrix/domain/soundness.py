"""What makes an event's specification sound, and which changes of one are allowed.

Each fault names the field, what is wrong with its value and the remedy. The edge asks so that people
learn everything at once; the decider asks again, because only it knows the state.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from zoneinfo import ZoneInfo

from veltrix.domain import limits
from veltrix.domain.event import Category, EventSpec, Form, QuestionKind, Text, Window, instant_ms


class Fault(NamedTuple):
    """What is wrong with a field, and what to do."""

    field: str
    fault: str
    remedy: str


_KEY = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_TAG = re.compile(r"[a-zA-Z]{2,8}(?:-[a-zA-Z0-9]{1,8})*")
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?")
_CURRENCY = re.compile(r"[A-Z]{3}")
# Names of the zone database that are no place: the machine's own zone, and clocks that count leap seconds.
_NO_PLACE = re.compile(r"localtime$|posixrules$|Factory$|posix/|right/")
_INSTANT_MAX_MS = 253_402_300_799_999
"""The end of the year 9999: what ISO 8601 and RFC 3339 can write."""


def check_spec(spec: EventSpec) -> list[Fault]:
    """Everything that is wrong with a specification by itself; empty when it is sound."""
    return [
        *_check_identity(spec),
        *_check_times(spec),
        *_check_capacity(spec),
        *_check_form(spec.form),
        *_check_rules(spec),
    ]


def check_change(old: EventSpec, new: EventSpec, *, published: bool) -> list[Fault]:
    """Everything that forbids changing `old` into `new`; a published event keeps what people hold."""
    faults = check_spec(new)
    if new.form.version < old.form.version:
        faults.append(Fault("form.version", "must not fall", f"use at least {old.form.version}"))
    if new.form.questions != old.form.questions and new.form.version == old.form.version:
        faults.append(Fault("form.version", "must rise when questions change", f"use {old.form.version + 1}"))
    if new.slug != old.slug:
        faults.append(Fault("slug", "is fixed when the event is created", f"keep {old.slug!r}"))
    if not published:
        return faults
    pools = {pool.key for pool in new.pools}
    faults.extend(
        Fault("pools", f"{pool.key!r} is missing", "keep it; set its capacity to 0 to stop its sale")
        for pool in old.pools
        if pool.key not in pools
    )
    for before in old.categories:
        after = new.category(before.key)
        if after is None:
            faults.append(
                Fault(
                    "categories", f"{before.key!r} is missing", "keep it; close its window to stop its sale"
                )
            )
            continue
        if after.pools != before.pools:
            faults.append(
                Fault(f"categories.{before.key}.pools", "are fixed once published", "add another category")
            )
        if after.currency != before.currency:
            faults.append(
                Fault(f"categories.{before.key}.currency", "is fixed once published", "add another category")
            )
    return faults


def _check_text(name: str, text: Text, most: int) -> Iterator[Fault]:
    if not text.values:
        yield Fault(name, "is empty", "give the text in at least one language")
        return
    if len(text.values) > limits.LANGUAGES_MAX:
        yield Fault(name, f"has {len(text.values)} languages", f"give at most {limits.LANGUAGES_MAX}")
    if text.default not in text.values:
        yield Fault(f"{name}.default", f"{text.default!r} has no text", "name one of the languages given")
    for tag, value in text.values.items():
        if not _TAG.fullmatch(tag):
            yield Fault(
                f"{name}.values", f"{tag!r} is no language tag", "use a BCP 47 tag such as 'en' or 'de-CH'"
            )
        if not value.strip():
            yield Fault(f"{name}.values.{tag}", "is blank", "give a text, or leave the language out")
        if len(value) > most:
            yield Fault(f"{name}.values.{tag}", f"has {len(value)} characters", f"use at most {most}")


def _check_identity(spec: EventSpec) -> Iterator[Fault]:
    if not _KEY.fullmatch(spec.slug) or len(spec.slug) > limits.SLUG_MAX_CHARS:
        yield Fault("slug", f"{spec.slug!r} is no slug", "use a-z, 0-9, '-' and '_', 1 to 64 characters")
    yield from _check_text("title", spec.title, limits.TEXT_MAX_CHARS)
    if spec.description is not None:
        yield from _check_text("description", spec.description, limits.DESCRIPTION_MAX_CHARS)
    if spec.venue is not None:
        yield from _check_text("venue", spec.venue, limits.TEXT_MAX_CHARS)


def _check_times(spec: EventSpec) -> Iterator[Fault]:
    try:
        if _NO_PLACE.match(spec.time_zone):
            raise ValueError(spec.time_zone)
        ZoneInfo(spec.time_zone)
    except (ValueError, OSError, KeyError):
        yield Fault("time_zone", f"{spec.time_zone!r} is unknown", "use an IANA zone such as 'Europe/Berlin'")
        return
    instants: dict[str, int] = {}
    for name, local in (("starts_local", spec.starts_local), ("ends_local", spec.ends_local)):
        try:
            if not _LOCAL.fullmatch(local):
                raise ValueError(local)
            instants[name] = instant_ms(local, spec.time_zone)
        except (ValueError, OverflowError):
            yield Fault(name, f"{local!r} is no local time", "use YYYY-MM-DDTHH:MM without an offset")
        else:
            if not 0 <= instants[name] <= _INSTANT_MAX_MS:
                yield Fault(name, f"{local!r} is out of range", "use a time from 1970 to 9999")
    if len(instants) == 2 and instants["ends_local"] <= instants["starts_local"]:
        yield Fault("ends_local", "is not after the start", "give a later end")
    if len(spec.windows) > limits.WINDOWS_MAX:
        yield Fault("windows", f"has {len(spec.windows)} entries", f"use at most {limits.WINDOWS_MAX}")
    for index, window in enumerate(spec.windows):
        yield from _check_window(f"windows.{index}", window)


def _check_window(name: str, window: Window) -> Iterator[Fault]:
    if not all(0 <= instant <= _INSTANT_MAX_MS for instant in (window.opens_ms or 0, window.closes_ms or 0)):
        yield Fault(name, "is out of range", "use times from 1970 to 9999")
    if window.opens_ms is not None and window.closes_ms is not None and window.closes_ms <= window.opens_ms:
        yield Fault(name, "closes before it opens", "give a later 'closes_at'")


def _check_capacity(spec: EventSpec) -> Iterator[Fault]:
    if not 1 <= len(spec.pools) <= limits.POOLS_MAX:
        yield Fault("pools", f"has {len(spec.pools)} entries", f"give 1 to {limits.POOLS_MAX}")
    keys = {pool.key for pool in spec.pools}
    if len(keys) != len(spec.pools):
        yield Fault("pools", "has a key twice", "give each pool a key of its own")
    for pool in spec.pools:
        if not _KEY.fullmatch(pool.key):
            yield Fault("pools", f"{pool.key!r} is no key", "use a-z, 0-9, '-' and '_', 1 to 64 characters")
        if not 0 <= pool.capacity <= limits.CAPACITY_MAX:
            yield Fault(
                f"pools.{pool.key}.capacity", f"is {pool.capacity}", f"use 0 to {limits.CAPACITY_MAX}"
            )
    if not 1 <= len(spec.categories) <= limits.CATEGORIES_MAX:
        yield Fault("categories", f"has {len(spec.categories)} entries", f"give 1 to {limits.CATEGORIES_MAX}")
    if len({category.key for category in spec.categories}) != len(spec.categories):
        yield Fault("categories", "has a key twice", "give each category a key of its own")
    for category in spec.categories:
        yield from _check_category(category, keys)


def _check_category(category: Category, pools: set[str]) -> Iterator[Fault]:
    name = f"categories.{category.key}"
    if not _KEY.fullmatch(category.key):
        yield Fault(
            "categories", f"{category.key!r} is no key", "use a-z, 0-9, '-' and '_', 1 to 64 characters"
        )
    yield from _check_text(f"{name}.title", category.title, limits.TEXT_MAX_CHARS)
    if not 1 <= len(category.pools) <= limits.POOLS_PER_CATEGORY_MAX:
        yield Fault(
            f"{name}.pools", f"names {len(category.pools)}", f"name 1 to {limits.POOLS_PER_CATEGORY_MAX}"
        )
    if len(set(category.pools)) != len(category.pools):
        yield Fault(f"{name}.pools", "names a pool twice", "name each pool once")
    for pool in category.pools:
        if pool not in pools:
            yield Fault(f"{name}.pools", f"{pool!r} is no pool of this event", "name one of 'pools'")
    if not 0 <= category.price_minor <= limits.PRICE_MAX_MINOR:
        yield Fault(f"{name}.price_minor", f"is {category.price_minor}", "use minor units, 0 or more")
    if not _CURRENCY.fullmatch(category.currency):
        yield Fault(
            f"{name}.currency", f"{category.currency!r} is no code", "use an ISO 4217 code such as 'EUR'"
        )
    if category.window is not None:
        yield from _check_window(f"{name}.window", category.window)


def _check_form(form: Form) -> Iterator[Fault]:
    if not 1 <= form.min_version <= form.version:
        yield Fault("form.min_version", f"is {form.min_version}", f"use 1 to {form.version} (form.version)")
    if len(form.questions) > limits.QUESTIONS_MAX:
        yield Fault("form.questions", f"has {len(form.questions)}", f"use at most {limits.QUESTIONS_MAX}")
    if len({question.key for question in form.questions}) != len(form.questions):
        yield Fault("form.questions", "has a key twice", "give each question a key of its own")
    for question in form.questions:
        name = f"form.questions.{question.key}"
        if not _KEY.fullmatch(question.key):
            yield Fault("form.questions", f"{question.key!r} is no key", "use a-z, 0-9, '-' and '_'")
        yield from _check_text(f"{name}.label", question.label, limits.TEXT_MAX_CHARS)
        if (question.kind is QuestionKind.CHOICE) != bool(question.choices):
            yield Fault(
                f"{name}.choices", "do not fit the kind", "give choices for 'choice', and only for it"
            )
        if len(question.choices) > limits.CHOICES_MAX:
            yield Fault(
                f"{name}.choices", f"has {len(question.choices)}", f"use at most {limits.CHOICES_MAX}"
            )
        for key, label in question.choices.items():
            if not 1 <= len(key) <= limits.SLUG_MAX_CHARS:
                yield Fault(f"{name}.choices", f"{key!r} is no key", "use 1 to 64 characters")
            yield from _check_text(f"{name}.choices.{key}", label, limits.TEXT_MAX_CHARS)


def _check_reminders(hours: tuple[int, ...]) -> Iterator[Fault]:
    if len(hours) > limits.REMINDERS_MAX:
        yield Fault("reminders", f"has {len(hours)} entries", f"use at most {limits.REMINDERS_MAX}")
    if len(set(hours)) != len(hours):
        yield Fault("reminders", "has a number twice", "give each number of hours once")
    for each in hours:
        if not 1 <= each <= limits.REMINDER_MAX_H:
            yield Fault(
                "reminders", f"has {each}", f"use 1 to {limits.REMINDER_MAX_H} hours before the start"
            )


def _check_rules(spec: EventSpec) -> Iterator[Fault]:
    if not 1 <= spec.seats_per_registration <= limits.SEATS_PER_REGISTRATION_MAX:
        yield Fault(
            "seats_per_registration",
            f"is {spec.seats_per_registration}",
            f"use 1 to {limits.SEATS_PER_REGISTRATION_MAX}",
        )
    if spec.seats_per_person is not None and spec.seats_per_person < 1:
        yield Fault("seats_per_person", f"is {spec.seats_per_person}", "use 1 or more, or leave it out")
    if spec.waitlist is not None and not 1 <= spec.waitlist.size <= limits.WAITLIST_MAX:
        yield Fault("waitlist.size", f"is {spec.waitlist.size}", f"use 1 to {limits.WAITLIST_MAX}")
    if spec.holds is not None and not limits.HOLD_TTL_MIN_S <= spec.holds.ttl_s <= limits.HOLD_TTL_MAX_S:
        yield Fault(
            "holds.ttl_s",
            f"is {spec.holds.ttl_s}",
            f"use {limits.HOLD_TTL_MIN_S} to {limits.HOLD_TTL_MAX_S} seconds",
        )
    if len(spec.access_codes) > limits.ACCESS_CODES_MAX:
        yield Fault("access_codes", f"has {len(spec.access_codes)}", f"use at most {limits.ACCESS_CODES_MAX}")
    if len({code.hash for code in spec.access_codes}) != len(spec.access_codes):
        yield Fault("access_codes", "has a code twice", "give each code once, with all its uses")
    yield from _check_reminders(spec.reminders or ())
    keys = {category.key for category in spec.categories}
    for index, code in enumerate(spec.access_codes):
        if len(code.label) > limits.TEXT_MAX_CHARS:
            yield Fault(
                f"access_codes.{index}.label",
                f"has {len(code.label)} characters",
                f"use at most {limits.TEXT_MAX_CHARS}",
            )
        if code.uses is not None and code.uses < 1:
            yield Fault(f"access_codes.{index}.uses", f"is {code.uses}", "use 1 or more, or leave it out")
        for key in code.categories:
            if key not in keys:
                yield Fault(
                    f"access_codes.{index}.categories", f"{key!r} is no category", "name one of 'categories'"
                )
