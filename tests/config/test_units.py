"""Amounts with units: what is understood, what is refused, and that what is shown can be read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veltrix.config import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250 ms", 0.25),
        ("5 s", 5.0),
        ("5s", 5.0),
        ("2 min", 120.0),
        ("1 h", 3600.0),
        ("1.5 s", 1.5),
        (" 1 d ", 86_400.0),
    ],
)
def test_durations_are_read(text, seconds):
    """A number and a unit are a duration, with or without a space between."""
    assert units.parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "5 seconds",
        "5 S",
        "5 m",
        "-5 s",
        "+5 s",
        "5e3 s",
        "inf s",
        "nan s",
        "1 000 s",
        "٥ s",
        "5 s 3 ms",
        "9" * 13 + " s",
    ],
)
def test_what_is_no_duration_is_refused(text):
    """No unit, an unknown unit, a sign, other digits or too many of them: refused."""
    with pytest.raises(units.WrongAmount):
        units.parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "size"), [("64 KiB", 65_536), ("1 MiB", 1_048_576), ("10 kB", 10_000), ("512B", 512)]
)
def test_sizes_are_read(text, size):
    """Binary and decimal units are told apart."""
    assert units.parse_size_bytes(text) == size


@pytest.mark.parametrize("text", ["64", "64 K", "64 kib", "0.5 B", "1 Mb", "-1 KiB"])
def test_what_is_no_size_is_refused(text):
    """An ambiguous unit, or half a byte, is refused."""
    with pytest.raises(units.WrongAmount):
        units.parse_size_bytes(text)


@given(st.integers(0, 10**9))
def test_durations_survive_being_shown(milliseconds):
    """What is shown of a duration reads as the same duration."""
    seconds = milliseconds / 1000
    assert units.parse_duration_s(units.show_duration(seconds)) == seconds


@given(st.integers(0, 2**40))
def test_sizes_survive_being_shown(size):
    """What is shown of a size reads as the same size."""
    if len(str(size)) <= 12:
        assert units.parse_size_bytes(units.show_size(size)) == size
