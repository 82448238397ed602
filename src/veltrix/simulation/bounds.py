"""Bounds as tight as a run likes: what needs thousands in the real world happens here with a handful."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Final

from veltrix.domain import limits

TIGHT: Final[dict[str, tuple[float, ...]]] = {
    "PROMOTIONS_PER_DECISION": (2, 5),
    "UNDECIDED_SHARE_ONE_EVENT": (8 / limits.UNDECIDED_MAX, 20 / limits.UNDECIDED_MAX),
    "UNDECIDED_SHARE_REGISTRATIONS": (25 / limits.UNDECIDED_MAX,),
}
"""By name, what a run may draw in the place of the real bound."""


def draw_bounds(random: Random) -> dict[str, float]:
    """A random half of them, as tight as drawn."""
    return {name: random.choice(tight) for name, tight in TIGHT.items() if random.random() < 0.5}


@contextmanager
def bounded(bounds: Mapping[str, float]) -> Generator[None]:
    """For the time of a run, its audit included: decisions depend on these."""
    real = {name: getattr(limits, name) for name in bounds}
    try:
        for name, bound in bounds.items():
            setattr(limits, name, bound)
        yield
    finally:
        for name, bound in real.items():
            setattr(limits, name, bound)
