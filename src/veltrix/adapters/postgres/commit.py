"""A batch as the parameters of `ledger.commit_batch`: scalars, then each table as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from veltrix.adapters.postgres.rows import (
    columns,
    decision_row,
    encode_plain,
    event_row,
    registration_row,
    seat_rows,
)
from veltrix.domain.event import Event
from veltrix.domain.registration import Registration
from veltrix.ports.ledger import Changes
from veltrix.wire import encode_fact

_DECISION: Final = 17
_REGISTRATION: Final = 11
_SEAT: Final = 9
_EVENT: Final = 14
PARAMETERS: Final = 13 + _DECISION + 1 + _REGISTRATION + 1 + _SEAT + _EVENT + 3 + 4 + 2
COMMIT: Final = f"SELECT ledger.commit_batch({', '.join(f'${number + 1}' for number in range(PARAMETERS))})"


def parameters_of(changes: Changes, written: Mapping[str, Event], now_ms: int | None) -> list[Any]:
    """What `COMMIT` takes. `written` has events as the table has them: what is identical is not sent again.

    Without `now_ms` the server's clock says when a hold's full time begins.
    """
    registrations = sorted(changes.registrations, key=_changed)
    fresh = sum(each.version == 1 for each in registrations)
    strict = _strict_events(changes)
    changed = [row.event for row in changes.events if written.get(row.event.id) is not row.event]
    return [
        changes.partition,
        changes.term.epoch,
        changes.term.revision,
        changes.old_offset,
        changes.new_offset,
        changes.log_time_ms,
        changes.rules_version,
        changes.next_seq,
        changes.last_hash,
        _wrong(changes),
        now_ms,
        fresh,
        sum(len(each.seats) for each in registrations[:fresh]),
        *columns([decision_row(decision) for decision in changes.decisions], _DECISION),
        [encode_fact(fact) for fact in changes.facts],
        *columns([registration_row(each, strict[each.event]) for each in registrations], _REGISTRATION),
        list(strict),
        *columns(_seats(registrations), _SEAT),
        *columns([event_row(event) for event in changed], _EVENT),
        *columns([(row.event.id, row.next_seat, encode_plain(row.code_uses)) for row in changes.events], 3),
        *columns([(row.event, row.pool, row.capacity, row.taken) for row in changes.pools], 4),
        *columns(changes.pools_removed, 2),
    ]


def _changed(registration: Registration) -> bool:
    """Whether it may be in the table already."""
    return registration.version > 1


def _wrong(changes: Changes) -> str | None:
    """What contradicts itself; a fenced owner learns of its fence first, so the server is told."""
    partition = changes.partition
    offsets = [each.offset for each in changes.decisions if each.partition == partition]
    if offsets != list(range(changes.old_offset, changes.new_offset)):
        return (
            f"decisions of partition {partition} are not one for each offset from "
            f"{changes.old_offset} to {changes.new_offset}"
        )
    first = changes.next_seq - len(changes.facts)
    if [each.seq for each in changes.facts if each.partition == partition] != list(
        range(first, changes.next_seq)
    ):
        return f"facts of partition {partition} do not go on without a gap"
    return None


def _strict_events(changes: Changes) -> dict[str, bool]:
    """For each event of these registrations: whether one an e-mail was allowed, as far as the batch says.

    What the event allowed before the batch, the server adds.
    """
    strict = {registration.event: True for registration in changes.registrations}
    after = [row.event for row in changes.events]
    after += [each.fact.event_after for each in changes.facts if each.fact.event_after is not None]
    for event in after:
        if event.id in strict and not event.spec.one_per_email:
            strict[event.id] = False
    return strict


def _seats(registrations: Iterable[Registration]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for registration in registrations:
        rows += seat_rows(registration)
    return rows
