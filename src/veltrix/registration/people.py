"""Opening boxes: whose registration it is, as far as the keys still exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from veltrix.domain.registration import Box, Registration
from veltrix.observability.logging import get_logger
from veltrix.ports.vault import Vault
from veltrix.sealing import BoxBroken, Person, open_box

_log = get_logger("registration")


@dataclass(slots=True)
class Opened:
    """The personal data of one registration; None was erased. `seats`: those that were handed on alone."""

    person: Person | None
    form_version: int
    seats: dict[int, Person | None] = field(default_factory=dict)


async def open_boxes(vault: Vault, registrations: Sequence[Registration]) -> list[Opened]:
    """The personal data of registrations, in their order, with one look into the vault."""
    wanted = [box.key_id for registration in registrations for box in _boxes(registration)]
    keys = await vault.keys(wanted) if wanted else {}
    return [
        Opened(
            _open(registration.box, registration.event, keys),
            registration.box.form_version,
            {
                seat.number: _open(seat.box, registration.event, keys)
                for seat in registration.seats
                if seat.box is not None
            },
        )
        for registration in registrations
    ]


async def open_each(vault: Vault, event: str, boxes: Sequence[Box | None]) -> list[Person | None]:
    """What these boxes of an event hold, in their order; None without one, or without its key."""
    wanted = [box.key_id for box in boxes if box is not None]
    keys = await vault.keys(wanted) if wanted else {}
    return [None if box is None else _open(box, event, keys) for box in boxes]


def _boxes(registration: Registration) -> list[Box]:
    return [registration.box, *(seat.box for seat in registration.seats if seat.box is not None)]


def _open(box: Box, event: str, keys: dict[str, bytes]) -> Person | None:
    try:
        return open_box(box, event, keys.get(box.key_id))
    except BoxBroken as error:
        # Whoever asks gets what an erased person gives; an operator has to look at the key store.
        _log.error("box_broken", key=box.key_id, error=str(error))
        return None
