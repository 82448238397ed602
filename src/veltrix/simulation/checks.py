"""What Veltrix promises, checked on a run that is over: gathers what was seen, and asks the promises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from veltrix.audit import audit
from veltrix.domain.facts import FactKind, NumberedFact
from veltrix.domain.identifiers import command_id, split_arrival
from veltrix.domain.outcomes import Decision
from veltrix.domain.registration import Registration
from veltrix.ports.queries import EventView
from veltrix.promises import answers
from veltrix.promises.books import Book, check_book, continued
from veltrix.promises.history import History, PoolRow, Row, Seat, Terms
from veltrix.promises.seats import check_seats
from veltrix.promises.told import Standing, all_over, delivered, one_notice_each
from veltrix.registration.directory import PUBLIC, REGISTER
from veltrix.sealing import BoxBroken, open_box
from veltrix.simulation.cluster import Cluster
from veltrix.simulation.exchanges import Exchange, attempts_of, link_in, registrations_of
from veltrix.simulation.faults import FickleMailbox
from veltrix.simulation.witness import Witness

_PLAIN: Final = frozenset(
    {
        FactKind.EVENT_CREATED,
        FactKind.EVENT_OPENED,
        FactKind.REGISTRATION_CONFIRMED,
        FactKind.REGISTRATION_WAITLISTED,
        FactKind.REGISTRATION_REFUSED,
        FactKind.REGISTRATION_PROMOTED,
        FactKind.REGISTRATION_CANCELLED,
    }
)
"""What the naive clerk knows; of an event with anything else it says nothing."""
_READABLE: Final = _PLAIN | {FactKind.REGISTRATION_HELD, FactKind.REGISTRATION_EXPIRED}
"""What may happen to a registration for its answer and its row still to be compared."""
_TURNED_AWAY: Final = frozenset({"overloaded", "event_busy"})


@dataclass(frozen=True, slots=True)
class Seen:
    """A run that is over, as far as checks need it."""

    cluster: Cluster
    exchanges: Sequence[Exchange]
    mailbox: FickleMailbox
    witness: Witness
    books: Mapping[int, Book]

    @property
    def facts(self) -> Iterator[NumberedFact]:
        """The facts of all partitions."""
        for book in self.books.values():
            yield from book.facts


async def everything(
    cluster: Cluster, exchanges: Sequence[Exchange], mailbox: FickleMailbox, witness: Witness
) -> list[str]:
    """All complaints about a run that has converged."""
    tables: Any = cluster.engines.ledger
    books = {
        number: Book(number, partition.decisions, partition.facts)
        for number, partition in sorted(tables._tables.partitions.items())
    }
    seen = Seen(cluster, exchanges, mailbox, witness, books)
    complaints = [*witness.complaints, *cluster.loop.defects, *cluster.defects]
    for book in books.values():
        complaints += check_book(book)
        complaints += check_seats(book.facts, continued(book))
    complaints += await _answers(seen)
    complaints += acknowledged(seen)
    complaints += reads_stand(exchanges)
    complaints += await _notices(seen)
    return [*complaints, *await _audit(cluster)]


async def _audit(cluster: Cluster) -> list[str]:
    """Whether the ledger is what the log leads to."""
    try:
        report = await audit(cluster.engines.log, cluster.engines.ledger, lambda done, total: None)
    except Exception as error:  # replay runs the real code, with whatever is wrong with it
        return [f"audit: {type(error).__name__}: {error}"]
    return [] if report.passed else [f"audit: {report.reason}: {report.difference}"]


async def _answers(seen: Seen) -> list[str]:
    """What was answered, judged by the checks that judge a load on a real platform, event by event."""
    complaints: list[str] = []
    cancels = [exchange for exchange in seen.exchanges if exchange.cancelled_link]
    for event, asked in registrations_of(seen.exchanges).items():
        view = await seen.cluster.engines.ledger.event(event)
        if view is None:
            complaints.append(f"event {event} is gone")
            continue
        facts = [fact for fact in seen.facts if fact.fact.event == event]
        history = await _history(seen, view, facts, asked, cancels)
        for finding in answers.check(history):
            complaints += [f"{finding.check}: {example}" for example in finding.examples]
    return complaints


async def _history(
    seen: Seen,
    view: EventView,
    facts: Sequence[NumberedFact],
    asked: Sequence[Exchange],
    cancels: Sequence[Exchange],
) -> History:
    """The history of one event, without its rows where more happened than answers can be compared with."""
    spec, kinds = view.event.spec, {fact.fact.kind for fact in facts}
    capacities: dict[str, set[int]] = defaultdict(set)
    for fact in facts:
        for pool in fact.fact.event_after.spec.pools if fact.fact.event_after is not None else ():
            capacities[pool.key].add(pool.capacity)
    steady = all(len(different) == 1 for different in capacities.values())
    terms = Terms(
        event=view.event.id,
        capacities={key: max(different) for key, different in capacities.items()},
        categories={category.key: category.pools for category in spec.categories},
        one_per_email=spec.one_per_email,
        waitlist=None if spec.waitlist is None else spec.waitlist.size,
        strict=spec.waitlist is not None and spec.waitlist.mode.value == "strict",
        holds=spec.holds is not None,
        exclusive=kinds <= _PLAIN and steady,
    )
    rows, pools = None, None
    if kinds <= _READABLE and steady:
        rows = tuple([await _row(seen, registration) for registration in _last(facts)])
        pools = tuple(PoolRow(pool.key, pool.capacity, pool.taken, pool.free) for pool in view.pools)
    return History(terms, attempts_of(asked, cancels), rows, pools)


def _last(facts: Sequence[NumberedFact]) -> list[Registration]:
    """Each registration after its last fact."""
    last: dict[str, Registration] = {}
    for fact in facts:
        registration = fact.fact.registration
        if registration is not None and fact.fact.kind is not FactKind.REGISTRATION_REFUSED:
            last[registration.id] = registration
    return list(last.values())


async def _row(seen: Seen, registration: Registration) -> Row:
    """A registration as an export shows it, its box opened."""
    keys = await seen.cluster.engines.vault.keys([registration.box.key_id])
    try:
        person = open_box(registration.box, registration.event, keys.get(registration.box.key_id))
    except BoxBroken:
        person = None
    generation, offset = split_arrival(registration.arrival)
    return Row(
        registration.id,
        f"{generation}.{offset}",
        registration.status.value,
        tuple(Seat(seat.number, seat.category, seat.active) for seat in registration.seats),
        "" if person is None else person.email,
        "" if person is None else person.name,
    )


def acknowledged(seen: Seen) -> Iterator[str]:
    """A command that was acknowledged stands where it was said to, and one that was turned away nowhere."""
    decisions: dict[str, Decision] = {}
    by_offset: dict[tuple[int, int], Decision] = {}
    for book in seen.books.values():
        for decision in book.decisions:
            by_offset[decision.partition, decision.offset] = decision
            decisions.setdefault(decision.command, decision)
    organizers = {fact.fact.event: fact.fact.organizer for fact in seen.facts}
    untried: dict[str, float] = {}
    by_key: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in seen.exchanges:
        by_key[exchange.key].append(exchange)
    for exchange in seen.exchanges:
        event = exchange.event
        if event is None or not exchange.public:
            continue
        command = command_id((organizers.get(event, ""), REGISTER, event, PUBLIC, exchange.key))
        answer = exchange.answer if isinstance(exchange.answer, dict) else {}
        if exchange.status == 202 and answer.get("decision"):
            place = answer["decision"]["partition"], answer["decision"]["offset"]
            stands = by_offset.get(place)
            if stands is None or stands.command != command:
                yield f"{exchange.key} was acknowledged at {place}, where {stands and stands.command} stands"
        turned_away = str(answer.get("type", "")).rpartition(":")[2] in _TURNED_AWAY
        if not turned_away:
            untried.setdefault(command, exchange.sent_s)
        elif command not in untried and command in decisions:
            again = by_key[exchange.key]
            yield from _appended_all_the_same(seen, exchange, again, command, decisions[command])


def _appended_all_the_same(
    seen: Seen, turned_away: Exchange, same_key: Sequence[Exchange], command: str, decision: Decision
) -> Iterator[str]:
    """It was turned away: unless it was asked again since, it is not in the log."""
    appended_s = seen.witness.appended_s[decision.partition, decision.offset]
    asked_again = any(turned_away.sent_s < other.sent_s <= appended_s for other in same_key)
    if not asked_again:
        yield f"{turned_away.key} was turned away at {turned_away.heard_s} s, and {command} was appended"


def reads_stand(exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Who was told of a registration can read it; what one process reads never goes back; and a strong read
    is no older than anything that anybody has heard before."""
    made: dict[str, float] = {}
    heard: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for exchange in exchanges:
        link = link_in(exchange)
        if link is not None and exchange.heard_s is not None:
            made[link] = min(exchange.heard_s, made.get(link, exchange.heard_s))
    looks = [
        (*_looked_at(exchange), exchange)
        for exchange in sorted(exchanges, key=lambda each: each.heard_s or 0.0)
        if exchange.method == "GET" and exchange.heard_s is not None
    ]
    for link, strong, look in looks:
        if link not in made or look.heard_s is None:
            continue
        if look.status == 404 and look.sent_s > made[link]:
            yield f"{link} was told at {made[link]:.3f} s, and not found at {look.sent_s:.3f} s"
        if look.status != 200:
            continue
        version = look.answer["registration"]["version"]
        wide = link if strong else f"{link} by {look.client} at {look.host}"
        newest = max((known for at_s, known in heard[wide] if at_s <= look.sent_s), default=0)
        if version < newest:
            how = "a strong read" if strong else look.host
            yield f"{how} gave version {version} of {link} at {look.sent_s:.3f} s, after {newest}"
        for place in (link, f"{link} by {look.client} at {look.host}"):
            heard[place].append((look.heard_s, version))


def _looked_at(exchange: Exchange) -> tuple[str, bool]:
    """The link that is read, and whether the read is to be linearizable."""
    path, _, query = exchange.path.partition("?")
    return path.removeprefix("/v1/registrations/"), "consistency=strong" in query


async def _notices(seen: Seen) -> list[str]:
    """Who was told, and how often."""
    notices = seen.cluster.engines.notices
    standings = [
        Standing(notice, status, seen.witness.claims[notice.id], detail)
        for registration in sorted(
            {fact.fact.registration.id for fact in seen.facts if fact.fact.registration is not None}
        )
        for notice, status, _, detail in await notices.of_registration(registration)
    ]
    complaints = [*one_notice_each(seen.facts, standings), *all_over(standings)]
    complaints += delivered(standings, seen.mailbox.arrived)
    complaints += [f"notice {notice} came again after it was over" for notice in seen.mailbox.needless]
    return complaints
