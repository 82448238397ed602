"""The ledger, looked at after every write: what must hold at each step and not just at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from veltrix.ports.ledger import Head, Term


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool's numbers as the ledger has them."""

    event: str
    key: str
    capacity: int
    taken: int
    ceiling: int


@dataclass(slots=True)
class Steps:
    """Follows a ledger write by write. Each method yields what became wrong with that write."""

    first: int = 0
    heads: dict[int, Head] = field(default_factory=dict)
    ceilings: dict[tuple[str, str], int] = field(default_factory=dict)

    def head(self, head: Head, decisions: int, facts: int) -> Iterator[str]:
        """A partition's head, and how many decisions and facts stand behind it."""
        where = f"partition {head.partition}"
        before = self.heads.get(head.partition)
        self.heads[head.partition] = head
        if before is not None:
            if head.term < before.term:
                yield f"{where}: the term went back from {before.term} to {head.term}"
            elif head.term == before.term and head.owner != before.owner:
                yield f"{where}: {before.owner} and {head.owner} are owners under one term, {head.term}"
            for name in ("next_offset", "next_seq", "relayed_seq", "log_time_ms"):
                was, now = getattr(before, name), getattr(head, name)
                if now < was:
                    yield f"{where}: {name} went back from {was} to {now}"
        if decisions != head.next_offset - self.first:
            yield f"{where}: {decisions} decisions at offset {head.next_offset}: not one transaction"
        if facts != head.next_seq - 1:
            yield f"{where}: {facts} facts at sequence {head.next_seq}: not one transaction"
        if head.relayed_seq >= head.next_seq:
            yield f"{where}: facts are published up to {head.relayed_seq}, and {head.next_seq - 1} exist"

    def pools(self, pools: Iterable[Pool]) -> Iterator[str]:
        """Every pool after a write: none above its ceiling, and no ceiling raised for what was given."""
        for pool in pools:
            key = pool.event, pool.key
            before = self.ceilings.get(key, pool.capacity)
            most = max(pool.capacity, min(before, pool.taken))
            self.ceilings[key] = most
            if not 0 <= pool.taken <= most:
                yield f"pool {pool.key} of {pool.event}: {pool.taken} taken, {most} allowed"
                self.ceilings[key] = max(most, pool.taken)  # said once
            elif pool.ceiling != most:
                yield f"pool {pool.key} of {pool.event}: its ceiling is {pool.ceiling}, not {most}"

    def committed(self, partition: int, term: Term) -> Iterator[str]:
        """A batch was written under a term: it must be the newest one that the ledger has."""
        head = self.heads.get(partition)
        if head is not None and term != head.term:
            yield f"partition {partition}: a batch was written under {term}, while {head.term} owns it"

    def published(self, partition: int, seq: int) -> Iterator[str]:
        """A fact leaves processing: it must be committed."""
        head = self.heads.get(partition)
        if head is None or seq >= head.next_seq:
            known = 0 if head is None else head.next_seq - 1
            yield f"partition {partition}: fact {seq} was published, {known} are committed"

    def replied(self, partition: int, offset: int) -> Iterator[str]:
        """A reply leaves processing: what it says must be committed."""
        head = self.heads.get(partition)
        if head is None or offset >= head.next_offset:
            known = 0 if head is None else head.next_offset
            yield f"partition {partition}: offset {offset} was answered, decided is what is below {known}"

    def relayed(self, partition: int, seq: int, published: int) -> Iterator[str]:
        """The relay's position moves: only past what the topic has."""
        if seq > published:
            yield f"partition {partition}: marked as published up to {seq}, the topic has {published}"
