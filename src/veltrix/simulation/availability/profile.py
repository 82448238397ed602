"""What a deployment is, to the model: its failures with their rates and sources, and how it behaves then."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec

_HERE: Final = Path(__file__).parent
FAILURES_MAX: Final = 100
REPAIR_MAX_H: Final = 24 * 365.0

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Spread = tuple[NotNegative, NotNegative, NotNegative]
"""Minimum, median and maximum."""


class Malformed(Exception):
    """A profile cannot be used; the message names the field, the fault and the remedy."""


class Stops(StrEnum):
    """What people notice of a failure until it has been recovered from."""

    NOTHING = "nothing"
    INTAKE = "intake"
    DECIDING = "deciding"
    TELLING = "telling"


class Failure(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Something that fails by itself, again and again.

    `every_days` is the mean time between failures of one unit. `recovery_s` is how long it is felt;
    `repair_h` how long the unit is away: with fewer than `needs` of its `group` left, intake stops until
    enough are back. `loses_s`: what was acknowledged so shortly before is gone. `repeats_s`: what was worked
    on so shortly before is worked on again.
    """

    cause: str
    every_days: Positive
    source: str
    stops: Stops
    recovery_s: Spread
    units: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    repair_h: Spread = (0.0, 0.0, 0.0)
    group: str = ""
    needs: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    loses_s: NotNegative = 0.0
    repeats_s: NotNegative = 0.0


class Behaviour(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How the platform behaves while something is down.

    `held_s`: how long it tries to accept before it answers that it cannot; 0 where it has no time-out, and
    the client's `patience_s` ends it. `dedupe`: a repeated request, or one worked on twice, has one effect.
    `decided_late`: the share of commands that take over a second though nothing failed; `decided_per_s`: how
    fast a backlog goes down. `executed_late`: the share of given-up requests that take effect after all.
    """

    held_s: NotNegative
    patience_s: Positive
    dedupe: bool
    decided_late: Share
    decided_per_s: Positive
    executed_late: Share = 0.0
    attempts_max: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3


class WhatIf(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One thing that is different: other failures besides, or recoveries that take so many times as long."""

    title: str
    slower: Positive = 1.0
    failure: list[Failure] = []


class Profile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A whole profile, as its file has it."""

    title: str
    commands_per_s: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    behaviour: Behaviour
    failure: Annotated[list[Failure], msgspec.Meta(max_length=FAILURES_MAX)]
    what_if: list[WhatIf] = []


def shipped() -> list[str]:
    """The names of the profiles that come with Veltrix."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def load(name: str) -> Profile:
    """A shipped profile by its name, or one by its file. Raises `Malformed`."""
    path = _HERE / f"{name}.toml" if name in shipped() else Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Malformed(
            f"the profile {name} cannot be read: {reason}; name a file, or one of {', '.join(shipped())}"
        ) from None
    try:
        profile = msgspec.convert(tomllib.loads(text), Profile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Malformed(
            f"{name}: {error}; correct it there (docs/simulation.md says what fields mean)"
        ) from None
    for failure in [*profile.failure, *(each for one in profile.what_if for each in one.failure)]:
        _check(name, failure)
    return profile


def _check(name: str, failure: Failure) -> None:
    for field, spread in (("recovery_s", failure.recovery_s), ("repair_h", failure.repair_h)):
        least, median, most = spread
        if not least <= median <= most:
            raise Malformed(
                f"{name}: {field} of “{failure.cause}” is {list(spread)}; write minimum, median, maximum"
            )
    if failure.repair_h[2] > REPAIR_MAX_H:
        raise Malformed(f"{name}: repair_h of “{failure.cause}” is above a year; give hours")
    if failure.needs and not failure.group:
        raise Malformed(f"{name}: “{failure.cause}” has needs but no group; name the group that is counted")
    if failure.needs > failure.units:
        raise Malformed(f"{name}: “{failure.cause}” needs {failure.needs} of {failure.units}; lower needs")
