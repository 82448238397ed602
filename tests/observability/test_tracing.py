"""W3C trace context, as the standard's own text and test suite have it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veltrix.observability.tracing import Traceparent, make, parse

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
    ],
)
def test_valid_headers_are_read(header, sampled):
    """Version 00, and as much of later versions as it knows, is read; only the sampled flag counts."""
    assert parse(header) == Traceparent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01 ",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-0X",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
    ],
)
def test_invalid_headers_are_ignored(header):
    """What the standard calls invalid is no trace at all."""
    assert parse(header) is None


@given(st.binary(min_size=24, max_size=24), st.booleans())
def test_what_is_made_can_be_read(entropy, sampled):
    """Any 24 bytes, zeros too, make a valid header that reads as what was made."""
    made = make(entropy, sampled)
    assert parse(made.header) == made


@given(st.text(max_size=80))
def test_no_header_breaks_the_reader(header):
    """Any text is read or ignored."""
    found = parse(header)
    assert found is None or parse(found.header) == found
