"""Times and prices as people write them, in the languages that texts exist in.

Small tables instead of a locale library: two languages need no more, and a mail is written in a few
microseconds. A third language needs a row in each table here and a folder of templates.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

LANGUAGES: Final = ("en", "de")
NO_BREAK: Final = "\u00a0"

_WEEKDAYS: Final = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "de": ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
}
_MONTHS: Final = {
    "en": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
    "de": (
        "Januar", "Februar", "März", "April", "Mai", "Juni",
        "Juli", "August", "September", "Oktober", "November", "Dezember",
    ),
}  # fmt: skip

# ISO 4217: the currencies whose minor unit is not a hundredth, by digits.
_DIGITS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_MINOR_DIGITS: Final = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}
# Only signs that mean one currency wherever they are read.
_SIGNS: Final = {"EUR": "€", "GBP": "£"}
_FREE: Final = {"en": "free", "de": "kostenlos"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))


def language_of(*tags: str) -> str:
    """The language of the first BCP 47 tag that there are texts for, else English."""
    for tag in tags:
        language = tag.replace("_", "-").partition("-")[0].lower()
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def money(minor: int, currency: str, language: str) -> str:
    """An amount in minor units, e.g. `€1,234.50` or `1.234,50 €`; zero is said in words."""
    if minor == 0:
        return _FREE[language]
    return amount(minor, currency, language)


def amount(minor: int, currency: str, language: str) -> str:
    """As `money`, with zero as a number."""
    digits = _MINOR_DIGITS.get(currency, 2)
    whole, rest = divmod(abs(minor), 10**digits)
    group, point = (",", ".") if language == "en" else (".", ",")
    number = f"{whole:,}".replace(",", group)
    if digits:
        number += f"{point}{rest:0{digits}d}"
    sign = _SIGNS.get(currency)
    minus = "-" if minor < 0 else ""
    if language == "en":
        return f"{minus}{sign}{number}" if sign else f"{minus}{currency}{NO_BREAK}{number}"
    return f"{minus}{number}{NO_BREAK}{sign or currency}"


@lru_cache(maxsize=2_048)
def minute(ms: int, zone: str, language: str) -> str:
    """An instant to the minute in a time zone, with its offset: it may be read in another zone."""
    moment = (_EPOCH + timedelta(milliseconds=ms)).astimezone(ZoneInfo(zone))
    return f"{_day(moment, language)}, {_clock(moment, language)} ({_offset(moment)})"


def span(starts_local: str, ends_local: str, language: str) -> str:
    """The time of an event in its own zone: the day once, where it is one day."""
    starts, ends = datetime.fromisoformat(starts_local), datetime.fromisoformat(ends_local)
    if starts.date() == ends.date():
        clock = f"{starts:%H:%M}–{ends:%H:%M}" + (f"{NO_BREAK}Uhr" if language == "de" else "")
        return f"{_day(starts, language)}, {clock}"
    return (
        f"{_day(starts, language)}, {_clock(starts, language)} – {_day(ends, language)}, "
        f"{_clock(ends, language)}"
    )


def zone_label(starts_local: str, zone: str) -> str:
    """The zone's name and its offset at the start, e.g. `Europe/Berlin, UTC+02:00`."""
    moment = datetime.fromisoformat(starts_local).replace(tzinfo=ZoneInfo(zone))
    offset = _offset(moment)
    name = zone.replace("_", " ")
    return offset if name in ("UTC", "Etc/UTC") else f"{name}, {offset}"


def _day(moment: datetime, language: str) -> str:
    weekday = _WEEKDAYS[language][moment.weekday()]
    month = _MONTHS[language][moment.month - 1]
    dot = "." if language == "de" else ""
    return f"{weekday}, {moment.day}{dot}{NO_BREAK}{month} {moment.year}"


def _clock(moment: datetime, language: str) -> str:
    return f"{moment:%H:%M}" + (f"{NO_BREAK}Uhr" if language == "de" else "")


def _offset(moment: datetime) -> str:
    offset = moment.utcoffset() or timedelta()
    if not offset:
        return "UTC"
    minutes = round(abs(offset).total_seconds() / 60)
    return f"UTC{'-' if offset < timedelta() else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
