"""Times and prices as people write them."""

from __future__ import annotations

import pytest

from veltrix.notification.formats import amount, language_of, minute, money, span, zone_label


@pytest.mark.parametrize(
    ("minor", "currency", "english", "german"),
    [
        (4900, "EUR", "€49.00", "49,00 €"),
        (123456789, "EUR", "€1,234,567.89", "1.234.567,89 €"),
        (5, "GBP", "£0.05", "0,05 £"),
        (4900, "USD", "USD 49.00", "49,00 USD"),
        (4900, "CHF", "CHF 49.00", "49,00 CHF"),
        (4900, "JPY", "JPY 4,900", "4.900 JPY"),
        (12345, "KWD", "KWD 12.345", "12,345 KWD"),
        (12345, "CLF", "CLF 1.2345", "1,2345 CLF"),
        (0, "EUR", "free", "kostenlos"),
        (-150, "EUR", "-€1.50", "-1,50 €"),
    ],
)
def test_prices(minor, currency, english, german):
    """Minor units become the currency's own decimals, with the language's marks; nothing is 'free'."""
    assert money(minor, currency, "en").replace("\u00a0", " ") == english
    assert money(minor, currency, "de").replace("\u00a0", " ") == german


def test_a_sum_of_nothing_is_a_number():
    """A total is an amount even where it is zero."""
    assert amount(0, "EUR", "en") == "€0.00"


@pytest.mark.parametrize(
    ("language", "starts", "ends", "expected"),
    [
        ("en", "2027-10-01T10:00", "2027-10-01T18:00", "Friday, 1 October 2027, 10:00–18:00"),
        ("de", "2027-10-01T10:00", "2027-10-01T18:00:00", "Freitag, 1. Oktober 2027, 10:00–18:00 Uhr"),
        (
            "en",
            "2027-12-31T21:30",
            "2028-01-01T03:00",
            "Friday, 31 December 2027, 21:30 – Saturday, 1 January 2028, 03:00",
        ),
        (
            "de",
            "2027-03-05T09:00",
            "2027-03-06T16:00",
            "Freitag, 5. März 2027, 09:00 Uhr – Samstag, 6. März 2027, 16:00 Uhr",
        ),
    ],
)
def test_the_time_of_an_event(language, starts, ends, expected):
    """One day is named once; an event over midnight names both."""
    assert span(starts, ends, language).replace("\u00a0", " ") == expected


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Europe/Berlin", "Sunday, 28 March 2027, 03:00 (UTC+02:00)"),
        ("UTC", "Sunday, 28 March 2027, 01:00 (UTC)"),
        ("America/New_York", "Saturday, 27 March 2027, 21:00 (UTC-04:00)"),
        ("Asia/Kolkata", "Sunday, 28 March 2027, 06:30 (UTC+05:30)"),
        ("America/St_Johns", "Saturday, 27 March 2027, 22:30 (UTC-02:30)"),
    ],
)
def test_a_deadline_says_its_offset(zone, expected):
    """An instant is told in the event's zone with the offset of that very instant (DST began just then)."""
    assert minute(1_806_195_659_999, zone, "en").replace("\u00a0", " ") == expected


def test_a_deadline_is_never_told_too_late():
    """Seconds are cut off, not rounded up."""
    assert "01:00 (UTC)" in minute(1_806_195_659_999, "UTC", "en")


def test_the_zone_of_an_event():
    """The zone is named as people know it, with the offset at the start."""
    assert zone_label("2027-07-01T10:00", "Europe/Berlin") == "Europe/Berlin, UTC+02:00"
    assert zone_label("2027-01-01T10:00", "America/New_York") == "America/New York, UTC-05:00"
    assert zone_label("2027-01-01T10:00", "UTC") == "UTC"


@pytest.mark.parametrize(
    ("tags", "language"),
    [(("de-CH",), "de"), (("DE",), "de"), (("fr", "de"), "de"), (("fr",), "en"), (("", "x"), "en")],
)
def test_the_language_of_a_locale(tags, language):
    """The first tag that there are texts for decides; English where none is."""
    assert language_of(*tags) == language
