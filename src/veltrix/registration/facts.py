"""Facts by cursor: for who was away, or does without webhooks. The same CloudEvents, gapless a partition."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from veltrix.domain import limits
from veltrix.domain.facts import FactKind
from veltrix.public import CloudEvent, public_fact
from veltrix.registration.calls import Answer, Call, json_answer
from veltrix.registration.core import Core
from veltrix.registration.cursors import page_size
from veltrix.registration.problems import Problem

_VERSION: Final = 1
_NUMBER_MAX: Final = 2**63 - 1


class FactPage(msgspec.Struct):
    """Facts in the order of their partition's sequence; between partitions there is none. `after` is where
    the next page begins; with `more` it can be asked for at once, else when you like."""

    items: list[CloudEvent]
    after: str
    more: bool


@dataclass(slots=True)
class Place:
    """How far somebody has read: of each partition the last sequence number, and which comes first next.

    Partitions take turns, so that none waits behind one that is always busy.
    """

    turn: int = 0
    seqs: list[int] = field(default_factory=list)

    def of(self, partition: int) -> int:
        """The last sequence number that was read of a partition."""
        return self.seqs[partition] if partition < len(self.seqs) else 0

    def move(self, partition: int, seq: int) -> None:
        """Everything up to `seq` was read."""
        self.seqs.extend([0] * (partition + 1 - len(self.seqs)))
        self.seqs[partition] = seq


class Facts:
    """The handler of facts."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def listed(self, call: Call) -> Answer:
        """The organizer's facts after a place. A page looks at a bounded number, and may be empty so."""
        query = call.query("after", "limit")
        limit = page_size(query)
        place = read_place(query.get("after"))
        partitions = self._core.ports.log.identity.partitions
        if len(place.seqs) > partitions:
            raise Problem("bad_cursor")
        items: list[CloudEvent] = []
        more, looked_at, turn = False, 0, place.turn
        place.turn = (turn + 1) % partitions
        for step in range(partitions):
            partition = (turn + step) % partitions
            if len(items) >= limit or looked_at >= limits.FACTS_SCANNED_MAX:
                place.turn, more = partition, True
                break
            seen, rest = await self._read(call, partition, place, items, limit, looked_at)
            looked_at += seen
            more = more or rest
        return json_answer(FactPage(items, write_place(place), more))

    async def _read(
        self, call: Call, partition: int, place: Place, items: list[CloudEvent], limit: int, looked_at: int
    ) -> tuple[int, bool]:
        """Read on in a partition; how many facts were looked at, and whether there are more.

        Only published facts are shown: what is committed but not yet acknowledged by every replica is not.
        """
        queries, organizer = self._core.ports.queries, call.organizer_key.organizer
        head = await queries.head(partition)
        last = 0 if head is None else head.relayed_seq
        seen = 0
        while place.of(partition) < last:
            most = min(
                limits.RELAY_PAGE, last - place.of(partition), limits.FACTS_SCANNED_MAX - looked_at - seen
            )
            if most <= 0 or len(items) >= limit:
                return seen, True
            page = await queries.facts(partition, place.of(partition), most)
            if not page:
                return seen, False
            for numbered in page:
                if len(items) >= limit:
                    return seen, True
                seen += 1
                place.move(partition, numbered.seq)
                fact = numbered.fact
                if fact.organizer == organizer and fact.kind is not FactKind.RULES_ADOPTED:
                    items.append(public_fact(numbered, self._core.settings.base_url))
        return seen, False


def write_place(place: Place) -> str:
    """A place as a cursor: opaque, short, and good for as long as the log is."""
    numbers = [_VERSION, place.turn, *place.seqs]
    return base64.urlsafe_b64encode(b"".join(map(_packed, numbers))).decode().rstrip("=")


def read_place(text: str | None) -> Place:
    """The place of a cursor; the beginning without one, or with an empty one. Raises `Problem` bad_cursor."""
    if not text:
        return Place()
    try:
        if len(text) > limits.FACTS_CURSOR_MAX_CHARS or not text.isascii():
            raise ValueError(text[:64])
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, turn, *seqs = _unpacked(raw)
    except (ValueError, binascii.Error):
        raise Problem("bad_cursor") from None
    if version != _VERSION or turn >= limits.PARTITIONS_MAX or len(seqs) > limits.PARTITIONS_MAX:
        raise Problem("bad_cursor")
    return Place(turn, seqs)


def _packed(number: int) -> bytes:
    """A number in groups of seven bits, the lowest first (LEB128)."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _unpacked(raw: bytes) -> Iterator[int]:
    number, shift = 0, 0
    for byte in raw:
        number |= (byte & 0x7F) << shift
        shift += 7
        if number > _NUMBER_MAX:
            raise ValueError("a number is too large")
        if not byte & 0x80:
            yield number
            number, shift = 0, 0
    if shift:
        raise ValueError("the last number breaks off")
