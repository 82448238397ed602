"""Request headers, also hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veltrix.registration import headers
from veltrix.registration.headers import HeaderFault, Preference
from veltrix.registration.rates import bare_address, forwarded_for

BARE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60).filter(
    lambda text: not text.startswith('"')
)
SHOWN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60).filter(
    str.strip
)


@given(BARE)
def test_a_key_means_the_same_bare_and_quoted(key):
    """The key in quotes (RFC 8941) is the key without them."""
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert headers.idempotency_key(key.encode()) == headers.idempotency_key(quoted.encode()) == key


@given(SHOWN, st.sampled_from(["", ";a=1", '; b="c"']))
def test_a_quoted_key_may_hold_any_printable_character(key, parameters):
    """An sf-string is read whole; parameters behind it do not belong to the key."""
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"' + parameters
    assert headers.idempotency_key(quoted.encode()) == key


@given(st.binary(max_size=400))
def test_any_bytes_are_a_key_or_a_fault(value):
    """No value of the header raises anything but the fault that names it."""
    try:
        key = headers.idempotency_key(value)
    except HeaderFault as fault:
        assert fault.code in ("key_shape", "key_length")
    else:
        assert 1 <= len(key) <= 256
        assert key.isprintable()


@pytest.mark.parametrize("value", [b"", b'""', b'"', b'"a', b"a b", b"k" * 257, b'"\xff"', b'"a\tb"', b'" "'])
def test_faulty_keys_are_refused(value):
    """What is empty, too long, unfinished or not printable is no key."""
    with pytest.raises(HeaderFault):
        headers.idempotency_key(value)


def test_a_strong_key_has_room_for_128_bits():
    """A UUID and 22 characters of base64 will do; 21 characters will not."""
    assert headers.is_strong("0193f6f2-6c34-7d1f-9d5a-3f6d5f1f0c11")
    assert headers.is_strong("x" * 22)
    assert not headers.is_strong("x" * 21)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"wait=5", Preference(5.0, b"wait=5")),
        (b'wait="5"', Preference(5.0, b"wait=5")),
        (b"respond-async", Preference(0.0, b"respond-async")),
        (b"respond-async, wait=3", Preference(3.0, b"respond-async, wait=3")),
        (b"wait=99999", Preference(60.0, b"wait=60")),
        (b"wait=0", Preference(0.0, b"wait=0")),
        (b"WAIT=2, wait=9", Preference(2.0, b"wait=2")),
        (b"return=minimal", Preference(None, b"")),
        (b"wait=-1", Preference(None, b"")),
        (b"wait=1e3", Preference(None, b"")),
        (b"wait", Preference(None, b"")),
        (b"", Preference(None, b"")),
        (b"x" * 500, Preference(None, b"")),
    ],
)
def test_preferences_are_read_or_ignored(value, expected):
    """What RFC 7240 allows is understood, and everything else is as if it were not there."""
    assert headers.preference(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"de", "de"),
        (b"de-AT, en;q=0.5", "de"),
        (b"fr, de;q=0.4, en;q=0.8", "en"),
        (b"fr", "en"),
        (b"en;q=0, de;q=0.1", "de"),
        (b"*", "en"),
        (b"de;q=x", "de"),
        (b"\xff\xfe", "en"),
        (b"," * 300, "en"),
    ],
)
def test_the_best_language_is_chosen(value, expected):
    """Accept-Language chooses among the catalogue's languages, English where nothing fits."""
    assert headers.language(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"de-CH, en;q=0.3", "de-CH"), (b"*", "en"), (b"!", "en"), (b"", "en"), (b"zh-Hant-TW", "zh-Hant-TW")],
)
def test_a_locale_comes_from_the_browser(value, expected):
    """Who gives no locale gets the first that the browser names, if it is one."""
    assert headers.preferred_locale(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), (b"*", None), (b'"3"', {3}), (b'W/"3", "v4"', {3, 4})],
)
def test_entity_tags_name_versions(value, expected):
    """If-Match names versions, or none in particular."""
    assert headers.if_match(value) == expected


@pytest.mark.parametrize("value", [b"3", b'"x"', b'"3', b"", b'"3", 4', b'"9999999999"'])
def test_faulty_entity_tags_are_refused(value):
    """A precondition that cannot be read must not pass for none."""
    with pytest.raises(HeaderFault):
        headers.if_match(value)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_other_headers(value):
    """Hostile bytes in any header are ignored or refused, and never raise anything else."""
    headers.preference(value)
    assert headers.language(value) in headers.LANGUAGES
    assert headers.preferred_locale(value)
    forwarded_for({b"forwarded": value})
    forwarded_for({b"x-forwarded-for": value})
    try:
        headers.if_match(value)
    except HeaderFault as fault:
        assert fault.code == "etag_shape"


@pytest.mark.parametrize(
    ("given_headers", "expected"),
    [
        ({b"x-forwarded-for": b"10.0.0.1, 10.0.0.2:80"}, ["10.0.0.1", "10.0.0.2"]),
        ({b"forwarded": b'for=10.0.0.1;proto=http, For="[2001:db8::1]:443"'}, ["10.0.0.1", "2001:db8::1"]),
        ({b"forwarded": b"for=unknown", b"x-forwarded-for": b"10.0.0.1"}, ["unknown"]),
        ({}, []),
    ],
)
def test_forwarding_headers_are_read(given_headers, expected):
    """Both forms name the addresses on the way, the client's first."""
    assert forwarded_for(given_headers) == expected


@given(st.text(max_size=200))
def test_addresses_stay_bounded(text):
    """Whatever stands for an address is short enough to be a key of the table."""
    assert len(bare_address(text)) <= 64
