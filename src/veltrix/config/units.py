"""Amounts with their units, as people write them: "250 ms", "2 min", "64 KiB"."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

DURATION_UNITS_S: Final[dict[str, Decimal]] = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
}
SIZE_UNITS_BYTES: Final[dict[str, Decimal]] = {
    "B": Decimal(1),
    "KiB": Decimal(1024),
    "MiB": Decimal(1024**2),
    "GiB": Decimal(1024**3),
    "kB": Decimal(1000),
    "MB": Decimal(1000**2),
    "GB": Decimal(1000**3),
}

# At most 12 digits: no amount that makes sense has more, and none can then cost time to convert.
_AMOUNT = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([A-Za-zµ]*)", re.ASCII)


class WrongAmount(ValueError):
    """The text is no amount with a known unit; the message says what is wrong with it."""


def _parse(text: str, units: dict[str, Decimal], what: str) -> Decimal:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise WrongAmount(f"is not {what}")
    number, unit = match.groups()
    if not unit:
        raise WrongAmount(f"has no unit ({', '.join(units)})")
    if unit not in units:
        raise WrongAmount(f"has the unknown unit {unit!r} (known are {', '.join(units)})")
    return Decimal(number) * units[unit]


def parse_duration_s(text: str) -> float:
    """Seconds in a duration such as "250 ms"; the space may be left out."""
    return float(_parse(text, DURATION_UNITS_S, "a duration"))


def parse_size_bytes(text: str) -> int:
    """Bytes in a size such as "64 KiB"; the space may be left out."""
    size = _parse(text, SIZE_UNITS_BYTES, "a size")
    if size != size.to_integral_value():
        raise WrongAmount("is not a whole number of bytes")
    return int(size)


def _show(amount: Decimal, units: dict[str, Decimal]) -> str:
    """In the largest unit that leaves a whole number, else in the smallest one."""
    smallest = min(units, key=units.__getitem__)
    for unit in sorted(units, key=units.__getitem__, reverse=True):
        count = amount / units[unit]
        if amount and count == count.to_integral_value():
            return f"{int(count)} {unit}"
    return f"{(amount / units[smallest]).normalize():f} {smallest}"


def show_duration(seconds: float) -> str:
    """A duration as it would be written in the configuration."""
    return "0 s" if seconds == 0 else _show(Decimal(str(seconds)), DURATION_UNITS_S)


def show_size(size_bytes: int) -> str:
    """A size as it would be written in the configuration."""
    binary = {unit: factor for unit, factor in SIZE_UNITS_BYTES.items() if unit == "B" or "i" in unit}
    return "0 B" if size_bytes == 0 else _show(Decimal(size_bytes), binary)
