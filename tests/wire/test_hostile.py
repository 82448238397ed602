"""Whatever stands on the log, reading it either gives a value or raises `WireError`."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wire.examples import ENVELOPES, FACTS
from veltrix.domain import limits
from veltrix.domain.commands import KINDS
from veltrix.domain.facts import FactKind
from veltrix.domain.outcomes import Refusal
from veltrix.wire import WireError, decode_command, decode_fact, encode_command, encode_fact

DEEP = b"[" * 50_000
INT_MAX = 2**53 - 1

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


def command_value(kind: str = "register") -> dict[str, Any]:
    """An example as a JSON object."""
    value: dict[str, Any] = json.loads(encode_command(ENVELOPES[kind]))
    return value


def refusal_of(value: object) -> Refusal:
    """Why a command is none."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(WireError) as caught:
        decode_command(raw)
    return caught.value.refusal


@given(st.binary(max_size=300))
@example(b"")
@example(b"\xff\xfe")
@example(DEEP)
@example(b'{"v":' + DEEP)
@example(b'{"v":1,"kind":"register","body":' + DEEP)
@example(b"NaN")
@example(b"\x00")
def test_random_bytes_are_no_value(raw: bytes):
    """Random bytes, deep nesting and the like raise `WireError` and nothing else."""
    for decode in (decode_command, decode_fact):
        with pytest.raises(WireError):
            decode(raw)


@given(kind=st.sampled_from(list(KINDS)), data=st.data())
def test_a_damaged_command_is_refused_or_read(kind: str, data: st.DataObject):
    """With bytes overwritten, cut out or put in, a command is a value or a `WireError`."""
    raw = damaged(encode_command(ENVELOPES[kind]), data)
    try:
        decoded = decode_command(raw)
    except WireError as error:
        assert error.refusal in (Refusal.MALFORMED, Refusal.UNKNOWN_VERSION)
    else:
        assert decode_command(encode_command(decoded)) == decoded


@given(kind=st.sampled_from(FactKind), data=st.data())
def test_a_damaged_fact_is_refused_or_read(kind: FactKind, data: st.DataObject):
    """The same for facts."""
    raw = damaged(encode_fact(FACTS[kind]), data)
    try:
        decoded = decode_fact(raw)
    except WireError as error:
        assert error.refusal in (Refusal.MALFORMED, Refusal.UNKNOWN_VERSION)
    else:
        assert decode_fact(encode_fact(decoded)) == decoded


def damaged(raw: bytes, data: st.DataObject) -> bytes:
    """The bytes with one stretch replaced."""
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 20)))
    return raw[:start] + data.draw(st.binary(max_size=8)) + raw[end:]


@given(kind=st.sampled_from(list(KINDS)), wrong=anything, data=st.data())
def test_a_field_of_another_type_is_refused_or_read(kind: str, wrong: Any, data: st.DataObject):
    """Any JSON in the place of any field is a value or a `WireError`."""
    value = command_value(kind)
    inner = data.draw(st.sampled_from([value, value["body"] or value]))
    inner[data.draw(st.sampled_from(sorted(inner)))] = wrong
    with suppress(WireError):
        decode_command(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"v": 2}, Refusal.UNKNOWN_VERSION),
        ({"v": 0}, Refusal.UNKNOWN_VERSION),
        ({"v": 2, "kind": 7, "body": None}, Refusal.UNKNOWN_VERSION),
        ({"kind": "dance"}, Refusal.UNKNOWN_VERSION),
        ({"kind": "dance", "actor": "nobody"}, Refusal.UNKNOWN_VERSION),
        ({"kind": 7}, Refusal.MALFORMED),
        ({"v": "1"}, Refusal.MALFORMED),
        ({"v": True}, Refusal.MALFORMED),
        ({"actor": "nobody"}, Refusal.MALFORMED),
        ({"body": None}, Refusal.MALFORMED),
        ({"body": {}}, Refusal.MALFORMED),
        ({"id": ""}, Refusal.MALFORMED),
        ({"id": "cmd_1"}, Refusal.MALFORMED),
        ({"id": "CMD_" + "0" * 32}, Refusal.MALFORMED),
        ({"id": "cmd_" + "0" * 31 + "\n"}, Refusal.MALFORMED),
        ({"stamp_ms": 1.5}, Refusal.MALFORMED),
        ({"stamp_ms": INT_MAX + 1}, Refusal.MALFORMED),
        ({"holder": 10**30}, Refusal.MALFORMED),
        ({"holder": -(10**30)}, Refusal.MALFORMED),
        ({"organizer": "org\x00"}, Refusal.MALFORMED),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(change: dict[str, Any], refusal: Refusal):
    """Another version or kind is unknown, before anything else is judged; the rest is malformed."""
    assert refusal_of({**command_value(), **change}) is refusal


NUMBERS = [
    ("register", "form_version"),
    ("change_answers", "form_version"),
    ("extend_hold", "ttl_s"),
    ("expire_hold", "hold_number"),
    ("cancel", "seat"),
    ("move", "seat"),
    ("transfer", "seat"),
    ("check_in", "seat"),
    ("check_in", "holder"),
    ("check_in", "scanned_at_ms"),
    ("change_event", "if_version"),
    ("adopt_rules", "version"),
]


@pytest.mark.parametrize(("kind", "field"), NUMBERS, ids=str)
def test_numbers_are_such_as_every_store_can_hold(kind: str, field: str):
    """A whole number beyond 53 bits is malformed: JSON elsewhere and 64-bit columns would not hold it."""
    value = command_value(kind)
    for number in (0, INT_MAX, -INT_MAX):
        value["body"][field] = number
        assert getattr(decode_command(json.dumps(value).encode()).body, field) == number
    for number in (INT_MAX + 1, -INT_MAX - 1, 10**30):
        value["body"][field] = number
        assert refusal_of(value) is Refusal.MALFORMED


def test_every_number_of_a_command_is_bounded():
    """The list above is complete."""
    found = {
        (kind, field)
        for kind in KINDS
        for field, value in command_value(kind)["body"].items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    assert found == set(NUMBERS)


@pytest.mark.parametrize("path", ["pools.0.capacity", "categories.1.window.opens_ms", "form.version"])
def test_numbers_inside_a_specification_are_bounded_too(path: str):
    """Also where they lie deep."""
    value = command_value("create_event")
    *where, last = path.split(".")
    inner = value["body"]["spec"]
    for step in where:
        inner = inner[int(step)] if step.isdecimal() else inner[step]
    inner[last] = "here"
    for digits in (16, 30, 5_000):
        raw = json.dumps(value).replace('"here"', "9" * digits).encode()
        assert refusal_of(raw) is Refusal.MALFORMED
    inner[last] = 1
    decode_command(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("person", "refused"),
    [("a\x00b", True), ("a\\u0000b", False), ("a\\\x00b", True), ("\\\\u0000", False), ("\x01", False)],
)
def test_a_text_with_a_nul_is_malformed(person: str, refused: bool):
    """NUL cannot be stored everywhere; a text that merely spells its escape can."""
    value = command_value()
    value["body"]["person"] = person
    raw = json.dumps(value).encode()
    if refused:
        assert refusal_of(raw) is Refusal.MALFORMED
    else:
        assert getattr(decode_command(raw).body, "person", None) == person


@pytest.mark.parametrize("escape", [rb"\ud800", rb"\udc00", rb"\ud800\ud800", rb"\ud83d"])
def test_half_a_character_is_malformed(escape: bytes):
    """A surrogate without its other half is no text, and could not be written again."""
    raw = encode_command(ENVELOPES["register"]).replace(b'"std"', b'"st' + escape + b'"')
    assert refusal_of(raw) is Refusal.MALFORMED


@pytest.mark.parametrize("again", [b'"v":2', b'"kind":"transfer"', b'"kind":"dance"'])
def test_a_version_or_kind_that_is_given_twice_is_malformed(again: bytes):
    """JSON with a key twice means what the reader likes; where it decides how to read, it means nothing."""
    raw = encode_command(ENVELOPES["register"])
    assert refusal_of(raw[:-1] + b"," + again + b"}") is Refusal.MALFORMED


def test_an_oversized_record_is_not_even_read():
    """One byte more than the bound is oversized, whatever the bytes say; at the bound it is read."""
    raw = encode_command(ENVELOPES["register"])
    assert decode_command(raw.ljust(limits.RECORD_MAX_BYTES)) == ENVELOPES["register"]
    assert refusal_of(raw.ljust(limits.RECORD_MAX_BYTES + 1)) is Refusal.OVERSIZED
    assert refusal_of(b"\xff" * (limits.RECORD_MAX_BYTES + 1)) is Refusal.OVERSIZED


FACT_DAMAGE: list[tuple[str, Any]] = [
    ("specversion", "2.0"),
    ("specversion", 1.0),
    ("type", "veltrix.registration.confirmed.v2"),
    ("type", "veltrix.registration.eaten.v1"),
    ("type", "other.registration.confirmed.v1"),
    ("type", "registration.confirmed.v1"),
    ("id", "3"),
    ("id", "3-x"),
    ("id", "3-1_0"),
    ("id", "3--1"),
    ("id", "+3-1"),
    ("id", "٣-2147483700"),
    ("id", "3-" + "9" * 5_000),
    ("sequence", "7"),
    ("offset", 7),
    ("offset", "-7"),
    ("offset", "7.0"),
    ("time", "2027-01-15T08:00:00.123"),
    ("time", "2027-01-15 08:00:00.123Z"),
    ("time", "2027-01-15T09:00:00.123+01:00"),
    ("time", "2027-02-30T08:00:00.123Z"),
    ("time", "0001-01-01T00:00:00.000Z"),
    ("time", "2027-01-15T08:00:00.1 3Z"),
    ("time", "yesterday"),
    ("data", None),
]


@pytest.mark.parametrize(("field", "wrong"), FACT_DAMAGE, ids=str)
def test_a_fact_says_one_thing_in_one_way(field: str, wrong: Any):
    """A fact whose envelope is of another version, contradicts itself or is written otherwise is none."""
    value = json.loads(encode_fact(FACTS[FactKind.REGISTRATION_CONFIRMED]))
    value[field] = wrong
    with pytest.raises(WireError):
        decode_fact(json.dumps(value).encode())
