"""Boxes and keyed hashes."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from veltrix.sealing import (
    Attendee,
    BoxBroken,
    Consent,
    KeyedHashes,
    Person,
    canonical_email,
    open_box,
    seal,
)

KEY, NONCE = b"k" * 32, b"n" * 12
EVENT, COMMAND, KEY_ID = "evt_" + "0" * 32, "cmd_" + "1" * 32, "key_" + "2" * 32
ADA = Person(
    "Ada",
    "ada@example.org",
    "en",
    attendees=[None, Attendee("Byron")],
    answers={"diet": "none", "news": True},
    seat_answers=[{"size": "M"}, None],
    metadata={"campaign": "x"},
    consents=[Consent("terms", "1", None)],
)


def test_a_box_opens_with_its_key():
    """What was sealed is what is opened."""
    box = seal(ADA, KEY, NONCE, EVENT, COMMAND, KEY_ID, 3)
    assert open_box(box, EVENT, KEY) == ADA
    assert b"Ada" not in box.sealed


def test_without_its_key_nobody_reads_a_box():
    """A destroyed key leaves nothing to read, and that is no error."""
    assert open_box(seal(ADA, KEY, NONCE, EVENT, COMMAND, KEY_ID, 3), EVENT, None) is None


@pytest.mark.parametrize(
    "change",
    [
        {"command": "cmd_" + "9" * 32},
        {"key_id": "key_" + "9" * 32},
        {"form_version": 4},
        {"sealed": b""},
        {"sealed": b"\x01" * 10},
        {"sealed": b"\x02" + b"x" * 60},
    ],
)
def test_a_box_belongs_where_it_was_sealed(change):
    """A box that was moved to another command, key or form, or altered, does not open."""
    box = seal(ADA, KEY, NONCE, EVENT, COMMAND, KEY_ID, 3)
    with pytest.raises(BoxBroken):
        open_box(replace(box, **change), EVENT, KEY)


def test_a_box_belongs_to_one_event_and_key():
    """A box of another event, or under another key, does not open."""
    box = seal(ADA, KEY, NONCE, EVENT, COMMAND, KEY_ID, 3)
    with pytest.raises(BoxBroken):
        open_box(box, "evt_" + "9" * 32, KEY)
    with pytest.raises(BoxBroken):
        open_box(box, EVENT, b"x" * 32)


@given(st.integers(0, 200), st.integers(0, 7))
def test_no_bit_of_a_box_can_change(position, bit):
    """Whichever bit is turned, the box does not open."""
    box = seal(ADA, KEY, NONCE, EVENT, COMMAND, KEY_ID, 3)
    sealed = bytearray(box.sealed)
    sealed[position % len(sealed)] ^= 1 << bit
    with pytest.raises(BoxBroken):
        open_box(replace(box, sealed=bytes(sealed)), EVENT, KEY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.ORG", "ada@example.org"),
        ("  ada@example.org ", "ada@example.org"),
        ("straße@example.org", "STRASSE@example.org"),
        ("a\u0308nn@example.org", "änn@example.org"),
        ("ada@müller.example", "ada@xn--mller-kva.example"),
        ("ada@MÜLLER.example", "ada@müller.example"),
    ],
)
def test_one_address_has_one_canonical_form(one, other):
    """Letter case, surrounding space, composition and the domain's spelling do not make another person."""
    assert canonical_email(one) == canonical_email(other) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@localhost",
        "ada@@example.org",
        "a da@example.org",
        "ada@exa mple.org",
        "ada@example..org",
        "a..b@example.org",
        ".a@example.org",
        "a.@example.org",
        "ada@-example.org",
        "ada@example.org\nBcc: x@example.org",
        "ada@example.org\0",
        '"ada"@example.org',
        "ada<x>@example.org",
        "x" * 65 + "@example.org",
        "a@" + "b" * 300 + ".org",
        "a@\u2028b.org",
    ],
)
def test_what_is_no_address_is_refused(text):
    """Whatever cannot be mailed to, or would mean something in a mail's head, is no address."""
    assert canonical_email(text) is None


@given(
    st.one_of(
        st.emails(), st.text(max_size=40), st.from_regex(r"[^@ ]{1,10}@[a-zäöß.]{1,20}", fullmatch=True)
    )
)
@example("ΐ@example.org")
@example("İ@example.org")
def test_canonical_is_a_fixed_point(text):
    """The canonical form of a canonical address is itself: whoever compares them compares people."""
    canonical = canonical_email(text)
    if canonical is not None:
        assert canonical_email(canonical) == canonical
        assert canonical == canonical.strip()


def test_hashes_are_kept_apart():
    """Persons, codes and requests have hashes of their own domain, HMAC-SHA256 cut to 128 bits."""
    hashes = KeyedHashes(KEY)
    assert hashes.person("x") == hmac.digest(KEY, b"p\0x", hashlib.sha256).hex()[:32]
    assert len({hashes.person("x"), hashes.access_code("x"), hashes.request(b"x")}) == 3
    assert hashes.access_code(" Summer ") == hashes.access_code("SUMMER")
    assert KeyedHashes(b"x" * 32).person("x") != hashes.person("x")
