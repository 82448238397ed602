"""What Veltrix promises, as checks on a run that is over: from what was seen to complaints."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator

from veltrix.adapters.memory import MemoryLedger, MemoryNotices
from veltrix.audit import audit
from veltrix.domain.facts import NumberedFact
from veltrix.domain.notices import addressees
from veltrix.ports.notices import NoticeStatus
from veltrix.simulation.cluster import Cluster
from veltrix.simulation.faults import FickleMailbox
from veltrix.simulation.workload import Said

_OVER = (NoticeStatus.ACCEPTED, NoticeStatus.REFUSED, NoticeStatus.SUPPRESSED, NoticeStatus.DEAD)


async def everything(cluster: Cluster, history: list[Said], mailbox: FickleMailbox) -> list[str]:
    """All complaints about a run that has converged."""
    ledger, notices = cluster.engines.ledger, cluster.engines.notices
    facts = [fact async for fact in _facts(cluster)]
    complaints = [*cluster.loop.defects, *cluster.defects]
    complaints += answered(history)
    complaints += same_answers(history)
    complaints += real_time_order(history)
    complaints += await answers_stand(ledger, history)
    complaints += await pools_add_up(cluster, sorted({said.event for said in history}))
    complaints += terms_only_grow(cluster)
    complaints += await told_once(notices, facts, mailbox)
    report = await audit(cluster.engines.log, ledger, lambda done, total: None)
    if not report.passed:
        complaints.append(f"audit: {report.reason}: {report.difference}")
    if report.quarantined:
        complaints.append(f"{report.quarantined} commands were quarantined")
    return complaints


def answered(history: list[Said]) -> Iterator[str]:
    """Everybody has a decision once all is well."""
    for said in history:
        if not said.settled:
            yield f"unanswered: {said.kind} {said.key}, last answer {said.status}"
        elif said.status is not None and said.status >= 500:
            yield f"{said.status} for {said.kind} {said.key}: {said.answer}"


def same_answers(history: list[Said]) -> Iterator[str]:
    """Same key and same body: the same answer. Another body under the key: refused, or it was the first."""
    by_key: dict[str, list[Said]] = defaultdict(list)
    for said in history:
        by_key[said.key].append(said)
    for key, all_said in by_key.items():
        accepted = {
            str(said.answer.get("registration", {}).get("id")) for said in all_said if said.status == 201
        }
        if len(accepted) > 1:
            yield f"key {key} made several registrations: {sorted(accepted)}"
        places = defaultdict(set)
        for said in all_said:
            if said.place is not None:
                places[repr(said.body)].add((said.place, said.status))
        for found in places.values():
            if len(found) > 1:
                yield f"key {key} has several answers to one body: {sorted(found)}"


def real_time_order(history: list[Said]) -> Iterator[str]:
    """Whoever was answered before another one asked stands before that one."""
    first: dict[str, Said] = {}
    for said in history:
        first.setdefault(said.key, said)
    placed = [
        said
        for said in first.values()
        if said.kind == "register" and said.tries == 1 and said.place is not None
    ]
    for event in sorted({said.event for said in placed}):
        ours = sorted((said for said in placed if said.event == event), key=lambda said: said.sent_s)
        heard = sorted(ours, key=lambda said: said.heard_s)
        latest, index = -1, 0
        for said in ours:
            while index < len(heard) and heard[index].heard_s < said.sent_s:
                place = heard[index].place
                assert place is not None
                latest = max(latest, place[1])
                index += 1
            assert said.place is not None
            if said.place[1] < latest:
                yield f"{said.key} stands at {said.place[1]}, before {latest}, which was answered earlier"


async def answers_stand(ledger: MemoryLedger, history: list[Said]) -> list[str]:
    """What was answered is in the ledger, and no seat number went to two."""
    complaints: list[str] = []
    seats: dict[tuple[str, int], str] = {}
    for said in history:
        if said.kind != "register" or said.status != 201:
            continue
        answered_with = said.answer["registration"]
        found = await ledger.registration(answered_with["id"])
        if found is None:
            complaints.append(f"registration {answered_with['id']} was acknowledged and is not there")
            continue
        numbers = [seat["number"] for seat in answered_with["seats"]]
        if numbers != [seat.number for seat in found.seats]:
            complaints.append(f"registration {found.id} was answered other seats than it has")
        for number in numbers:
            owner = seats.setdefault((said.event, number), found.id)
            if owner != found.id:
                complaints.append(f"seat {number} of {said.event} went to {owner} and {found.id}")
    return complaints


async def pools_add_up(cluster: Cluster, events: list[str]) -> list[str]:
    """In every pool taken = the seats of those who hold or have confirmed, and never beyond its ceiling."""
    complaints: list[str] = []
    seated: Counter[str] = Counter()
    async for table, row in cluster.engines.ledger.rows():
        if table == "seats" and row[3] in ("held", "confirmed"):
            seated[str(row[0])] += 1
    for event in events:
        view = await cluster.engines.ledger.event(event)
        if view is None:
            complaints.append(f"event {event} is gone")
            continue
        complaints += [
            f"pool {pool.key} of {event}: taken {pool.taken} of {pool.capacity}, seated {seated[event]}"
            for pool in view.pools
            if pool.taken != seated[event] or pool.taken > pool.capacity
        ]
    return complaints


def terms_only_grow(cluster: Cluster) -> Iterator[str]:
    """No batch was committed under an older term than the one before it."""
    last: dict[int, object] = {}
    for partition, term in cluster.committed:
        before = last.get(partition)
        if before is not None and term < before:  # type: ignore[operator]  # terms compare
            yield f"partition {partition}: a batch under {term} after one under {before}"
        last[partition] = term


async def told_once(notices: MemoryNotices, facts: list[NumberedFact], mailbox: FickleMailbox) -> list[str]:
    """Each fact that concerns people led to one notice for each, which came to its end; a message came twice
    only where the answer to it was lost."""
    complaints: list[str] = []
    expected: Counter[tuple[int, int, str | None]] = Counter(
        (fact.partition, fact.seq, told.recipient)
        for fact in facts
        for told in addressees(fact.fact)
        if told.recipient is not None
    )
    found: Counter[tuple[int, int, str | None]] = Counter()
    for registration in sorted({fact.fact.registration.id for fact in facts if fact.fact.registration}):
        for notice, status, attempts, detail in await notices.of_registration(registration):
            found[notice.partition, notice.seq, notice.recipient] += 1
            if status not in _OVER:
                complaints.append(f"notice {notice.id} is still {status} after {attempts}: {detail}")
            elif status is NoticeStatus.ACCEPTED and not mailbox.arrived[notice.id]:
                complaints.append(f"notice {notice.id} is accepted and never arrived")
    complaints += [f"notice {notice} came again after it was over" for notice in mailbox.needless]
    complaints += [
        f"fact {key[0]}-{key[1]}: {expected[key]} to tell, {found[key]} notices"
        for key in expected | found
        if expected[key] != found[key]
    ]
    return complaints


async def _facts(cluster: Cluster) -> AsyncIterator[NumberedFact]:
    for partition in range(cluster.partitions):
        for fact in await cluster.engines.ledger.facts(partition, 0, 10**9):
            yield fact
