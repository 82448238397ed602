"""What makes a specification unsound: each fault by an example that has it alone."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.domain.room import category, event_spec, text
from tests.wire.examples import SPEC
from veltrix.domain import limits, soundness
from veltrix.domain.event import (
    AccessCode,
    EventSpec,
    Form,
    Holds,
    PoolSpec,
    Question,
    QuestionKind,
    Text,
    Waitlist,
    Window,
)
from veltrix.domain.soundness import Fault, check_change, check_spec

SOUND = event_spec(form=Form(2, 1, (Question("meal", text("Meal")),)))
LONG = "x" * (limits.TEXT_MAX_CHARS + 1)
POOL = SOUND.pools[0]
STD = SOUND.categories[0]
CHOICE = Question("size", text("Size"), QuestionKind.CHOICE, choices={"xl": text("XL")})
YEAR_10000_MS = 253_402_300_800_000


def of_category(**changes: Any) -> dict[str, Any]:
    """The change of a specification that changes its category."""
    return {"categories": (replace(STD, **changes),)}


def of_form(*questions: Question, **changes: Any) -> dict[str, Any]:
    """The change of a specification that changes its form."""
    return {"form": replace(SOUND.form, questions=questions or SOUND.form.questions, **changes)}


UNSOUND: list[tuple[dict[str, Any], str, str]] = [
    ({"slug": ""}, "slug", "is no slug"),
    ({"slug": "Conf"}, "slug", "is no slug"),
    ({"slug": "conf\n"}, "slug", "is no slug"),
    ({"slug": "-conf"}, "slug", "is no slug"),
    ({"slug": "c" * 65}, "slug", "is no slug"),
    ({"title": Text("en", {})}, "title", "is empty"),
    ({"title": Text("de", {"en": "Conference"})}, "title.default", "has no text"),
    ({"title": Text("en", {"en": " \t"})}, "title.values.en", "is blank"),
    ({"title": Text("en", {"en": LONG})}, "title.values.en", "has 201 characters"),
    ({"title": Text("english!", {"english!": "x"})}, "title.values", "is no language tag"),
    ({"title": Text("en", {f"en-{n}": "x" for n in range(31)} | {"en": "x"})}, "title", "has 32 languages"),
    ({"description": Text("en", {"en": ""})}, "description.values.en", "is blank"),
    ({"description": text("x" * 10_001)}, "description.values.en", "has 10001 characters"),
    ({"venue": Text("en", {"en": ""})}, "venue.values.en", "is blank"),
    ({"time_zone": "Europe/Atlantis"}, "time_zone", "is unknown"),
    ({"time_zone": ""}, "time_zone", "is unknown"),
    ({"time_zone": "../../etc/passwd"}, "time_zone", "is unknown"),
    ({"time_zone": "a\0b"}, "time_zone", "is unknown"),
    ({"time_zone": "x" * 5_000}, "time_zone", "is unknown"),
    ({"time_zone": "localtime"}, "time_zone", "is unknown"),
    ({"time_zone": "right/Europe/Berlin"}, "time_zone", "is unknown"),
    ({"starts_local": "2027-02-30T10:00"}, "starts_local", "is no local time"),
    ({"starts_local": "2027-05-01 10:00"}, "starts_local", "is no local time"),
    ({"starts_local": "2027-05-01T10:00Z"}, "starts_local", "is no local time"),
    ({"starts_local": "٢٠٢٧-05-01T10:00"}, "starts_local", "is no local time"),
    ({"starts_local": "1969-12-31T10:00"}, "starts_local", "is out of range"),
    ({"starts_local": "0001-01-01T00:00"}, "starts_local", "is no local time"),
    ({"ends_local": "9999-12-31T23:59:59", "time_zone": "Etc/GMT+12"}, "ends_local", "is no local time"),
    ({"ends_local": "tomorrow"}, "ends_local", "is no local time"),
    ({"ends_local": "2027-05-01T10:00"}, "ends_local", "is not after the start"),
    ({"windows": (Window(),) * 21}, "windows", "has 21 entries"),
    ({"windows": (Window(), Window(10, 10))}, "windows.1", "closes before it opens"),
    ({"windows": (Window(-1, None),)}, "windows.0", "is out of range"),
    ({"windows": (Window(None, YEAR_10000_MS),)}, "windows.0", "is out of range"),
    ({"pools": (POOL, *(PoolSpec(f"p{n}", 1) for n in range(50)))}, "pools", "has 51 entries"),
    ({"pools": (POOL, POOL)}, "pools", "has a key twice"),
    ({"pools": (POOL, PoolSpec("Main", 1))}, "pools", "is no key"),
    ({"pools": (PoolSpec("main", -1),)}, "pools.main.capacity", "is -1"),
    ({"pools": (PoolSpec("main", 10_000_001),)}, "pools.main.capacity", "is 10000001"),
    ({"categories": ()}, "categories", "has 0 entries"),
    ({"categories": tuple(category(f"c{n}") for n in range(51))}, "categories", "has 51 entries"),
    ({"categories": (STD, STD)}, "categories", "has a key twice"),
    (of_category(key="Std"), "categories", "is no key"),
    (of_category(title=text("")), "categories.std.title.values.en", "is blank"),
    (of_category(pools=()), "categories.std.pools", "names 0"),
    (of_category(pools=("main", "main")), "categories.std.pools", "names a pool twice"),
    (of_category(pools=("side",)), "categories.std.pools", "is no pool of this event"),
    (of_category(price_minor=-1), "categories.std.price_minor", "is -1"),
    (of_category(price_minor=10**12 + 1), "categories.std.price_minor", "is 1000000000001"),
    (of_category(currency="eur"), "categories.std.currency", "is no code"),
    (of_category(currency="EURO"), "categories.std.currency", "is no code"),
    (of_category(window=Window(2, 1)), "categories.std.window", "closes before it opens"),
    (of_form(min_version=0), "form.min_version", "is 0"),
    (of_form(min_version=3), "form.min_version", "is 3"),
    (of_form(*(Question(f"q{n}", text("x")) for n in range(51))), "form.questions", "has 51"),
    (of_form(CHOICE, CHOICE), "form.questions", "has a key twice"),
    (of_form(replace(CHOICE, key="A b")), "form.questions", "is no key"),
    (of_form(replace(CHOICE, label=text(" "))), "form.questions.size.label.values.en", "is blank"),
    (of_form(replace(CHOICE, choices={})), "form.questions.size.choices", "do not fit the kind"),
    (of_form(replace(CHOICE, kind=QuestionKind.TEXT)), "form.questions.size.choices", "do not fit the kind"),
    (
        of_form(replace(CHOICE, choices={str(n): text("x") for n in range(51)})),
        "form.questions.size.choices",
        "has 51",
    ),
    (of_form(replace(CHOICE, choices={"": text("x")})), "form.questions.size.choices", "is no key"),
    (of_form(replace(CHOICE, choices={"x" * 65: text("x")})), "form.questions.size.choices", "is no key"),
    (
        of_form(replace(CHOICE, choices={"xl": text("")})),
        "form.questions.size.choices.xl.values.en",
        "is blank",
    ),
    ({"seats_per_registration": 0}, "seats_per_registration", "is 0"),
    ({"seats_per_registration": 51}, "seats_per_registration", "is 51"),
    ({"seats_per_person": 0}, "seats_per_person", "is 0"),
    ({"reminders": (1, 2, 3, 4, 5, 6)}, "reminders", "has 6 entries"),
    ({"reminders": (24, 24)}, "reminders", "has a number twice"),
    ({"reminders": (24, 0)}, "reminders", "has 0"),
    ({"reminders": (2161,)}, "reminders", "has 2161"),
    ({"waitlist": Waitlist(0)}, "waitlist.size", "is 0"),
    ({"waitlist": Waitlist(50_001)}, "waitlist.size", "is 50001"),
    ({"holds": Holds(9)}, "holds.ttl_s", "is 9"),
    ({"holds": Holds(90 * 24 * 3600 + 1)}, "holds.ttl_s", "is 7776001"),
    ({"access_codes": tuple(AccessCode(str(n)) for n in range(1_001))}, "access_codes", "has 1001"),
    ({"access_codes": (AccessCode("c"), AccessCode("c", "again"))}, "access_codes", "has a code twice"),
    ({"access_codes": (AccessCode("c", LONG),)}, "access_codes.0.label", "has 201 characters"),
    ({"access_codes": (AccessCode("c", uses=0),)}, "access_codes.0.uses", "is 0"),
    (
        {"access_codes": (AccessCode("b"), AccessCode("c", categories=("vip",)))},
        "access_codes.1.categories",
        "is no category",
    ),
]
SEVERAL_POOLS = tuple(PoolSpec(f"p{n}", 1) for n in range(6))


@pytest.mark.parametrize(("changes", "field", "fault"), UNSOUND, ids=lambda each: str(each)[:60])
def test_a_fault_is_named_with_its_remedy(changes: dict[str, Any], field: str, fault: str):
    """An example with one thing wrong has that fault and no other, and is told what to do."""
    [found] = check_spec(replace(SOUND, **changes))
    assert found.field == field
    assert fault in found.fault
    assert found.remedy


def test_an_event_has_pools_and_categories():
    """Without either there is nothing to register for."""
    found = check_spec(replace(SOUND, pools=(), categories=()))
    assert [(each.field, each.fault) for each in found] == [
        ("pools", "has 0 entries"),
        ("categories", "has 0 entries"),
    ]


def test_a_category_has_few_pools():
    """A seat takes from at most so many pools."""
    spec = replace(SOUND, pools=SEVERAL_POOLS, categories=(category("std", *(p.key for p in SEVERAL_POOLS)),))
    assert [(each.field, each.fault) for each in check_spec(spec)] == [("categories.std.pools", "names 6")]


@pytest.mark.parametrize("spec", [SOUND, SPEC], ids=["small", "full"])
def test_a_sound_specification_has_no_fault(spec: EventSpec):
    """Neither the smallest nor one with every field set."""
    assert check_spec(spec) == []
    assert check_change(spec, spec, published=True) == []


def test_all_faults_are_told_at_once():
    """Whoever fills in a form wants to know everything that is wrong with it."""
    spec = replace(SOUND, slug="", seats_per_registration=0, waitlist=Waitlist(0))
    assert {each.field for each in check_spec(spec)} == {"slug", "seats_per_registration", "waitlist.size"}


OTHER = Question("diet", text("Diet"))
CHANGES: list[tuple[dict[str, Any], bool, str, str]] = [
    ({"slug": "other"}, False, "slug", "is fixed"),
    (of_form(version=1), False, "form.version", "must not fall"),
    (of_form(OTHER), False, "form.version", "must rise when questions change"),
    ({"pools": (PoolSpec("side", 1),), **of_category(pools=("side",))}, True, "pools", "is missing"),
    ({"categories": (category("vip"),)}, True, "categories", "is missing"),
    (
        {"pools": (POOL, PoolSpec("side", 1)), **of_category(pools=("main", "side"))},
        True,
        "categories.std.pools",
        "are fixed once published",
    ),
    (of_category(currency="CHF"), True, "categories.std.currency", "is fixed once published"),
]


@pytest.mark.parametrize(("changes", "published", "field", "fault"), CHANGES, ids=lambda each: str(each)[:60])
def test_a_change_that_takes_what_people_hold_is_named(
    changes: dict[str, Any], published: bool, field: str, fault: str
):
    """What people hold stays once an event is published; a draft is free but for its slug and its form."""
    found = check_change(SOUND, replace(SOUND, **changes), published=True)
    assert field in [each.field for each in found]
    assert any(fault in each.fault and each.remedy for each in found)
    in_draft = check_change(SOUND, replace(SOUND, **changes), published=False)
    assert (in_draft == []) == published


def test_a_change_is_checked_like_a_new_specification():
    """A change must also be sound by itself."""
    assert [each.field for each in check_change(SOUND, replace(SOUND, holds=Holds(1)), published=True)] == [
        "holds.ttl_s"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"pools": (PoolSpec("main", 0), PoolSpec("side", 5))},
        {"categories": (replace(STD, price_minor=5, window=Window(None, 1)), category("vip"))},
        of_form(OTHER, version=3),
        of_form(version=3, min_version=3),
        {"title": text("Renamed"), "starts_local": "2027-05-01T11:00"},
        {"waitlist": Waitlist(5), "holds": Holds(60), "one_per_email": True},
    ],
    ids=",".join,
)
def test_what_nobody_holds_may_change(changes: dict[str, Any]):
    """Capacities, prices, windows, texts, rules and more categories, also once published."""
    assert check_change(SOUND, replace(SOUND, **changes), published=True) == []


def test_every_fault_can_be_reached(monkeypatch: pytest.MonkeyPatch):
    """The tables above reach every place that names a fault."""
    reached: set[int] = set()

    def recorded(*parts: str) -> Fault:
        reached.add(sys._getframe(1).f_lineno)
        return Fault(*parts)

    monkeypatch.setattr(soundness, "Fault", recorded)
    checks: list[Callable[[], object]] = [
        *(lambda changes=row[0]: check_spec(replace(SOUND, **changes)) for row in UNSOUND),
        *(
            lambda changes=row[0]: check_change(SOUND, replace(SOUND, **changes), published=True)
            for row in CHANGES
        ),
    ]
    for check in checks:
        check()
    tree = ast.parse(inspect.getsource(soundness))
    written = {
        (node.lineno, node.end_lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Fault"
    }
    missed = [
        lines for lines in sorted(written) if not any(lines[0] <= line <= (lines[1] or 0) for line in reached)
    ]
    assert not missed
