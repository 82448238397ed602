"""The rules against the naive model: whatever is asked in whatever order, both say the same."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, currently_in_test_context, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.domain.asking import Asker, Intent, any_intent, any_spec, of_kind
from tests.domain.naive import Claim, Happening, Naive
from tests.domain.room import Room
from veltrix.domain import limits
from veltrix.domain.commands import CreateEvent, Envelope, OpenEvent
from veltrix.domain.decider import NEWEST_RULES, Judgement
from veltrix.domain.facts import Fact, FactKind
from veltrix.domain.outcomes import Outcome
from veltrix.domain.registration import ACTIVE, Registration
from veltrix.domain.state import EventState, PartitionState, evolve

NEWLY_SEATED = (FactKind.REGISTRATION_CONFIRMED, FactKind.REGISTRATION_HELD)


def remark(text: str) -> None:
    """Show it with the steps of a failing example; where Hypothesis does not run the test, nowhere."""
    if currently_in_test_context():
        note(text)


class Evenings(RuleBasedStateMachine):
    """A partition with two events, judged by the rules and by the model at once."""

    promotions_max: ClassVar[int] = limits.PROMOTIONS_PER_DECISION

    def __init__(self) -> None:
        super().__init__()
        self.room = Room(PartitionState(0, rules_version=NEWEST_RULES))
        self.model = Naive(self.promotions_max)
        self.asker = Asker(self.room, [])
        self.replica = PartitionState(0)
        self.decided: set[str] = set()

    @initialize(random=st.randoms(use_true_random=True))
    def publish(self, random: Random) -> None:
        """Two events, open."""
        for slug in ("first", "second"):
            spec = any_spec(random, slug)
            remark(f"{spec}")
            judgement = self.decide(self.room.envelope(CreateEvent(spec, "key_hash")))
            assert judgement.decision.outcome is Outcome.ACCEPTED, judgement.decision.detail
            self.asker.events.append(judgement.decision.event)
            self.decide(self.room.envelope(OpenEvent(), judgement.decision.event))

    @rule(random=st.randoms(use_true_random=True))
    def rush(self, random: Random) -> None:
        """Some people want seats."""
        for _ in range(random.randint(1, 5)):
            self.act(of_kind("register", random))

    @rule(random=st.randoms(use_true_random=True))
    def go_on(self, random: Random) -> None:
        """Anything at all."""
        self.act(any_intent(random))

    def act(self, intent: Intent) -> None:
        """Do what is meant."""
        remark(f"{intent}")
        envelope = self.asker.envelope(intent)
        if envelope is not None:
            self.decide(envelope)

    def decide(self, envelope: Envelope) -> Judgement:
        """Let both decide, and compare what they say."""
        offset, seq = self.room.state.next_offset, self.room.state.next_seq
        judgement = self.room.judge(envelope)
        decision = judgement.decision
        expected = self.model.decide(envelope, offset, self.room.now_ms, decision.subject)
        assert (decision.outcome, decision.refusal) == (expected.outcome, expected.refusal)
        assert [said(fact) for fact in judgement.facts] == [
            (each.kind, each.subject, each.skipped) for each in expected.facts
        ]
        assert len(judgement.facts) <= limits.FACTS_PER_DECISION
        assert (decision.offset, decision.facts) == (offset, len(judgement.facts))
        assert self.room.state.next_offset == offset + 1
        assert self.room.state.next_seq == seq + len(judgement.facts)
        assert self.room.state.log_time_ms == decision.log_time_ms == self.model.now
        first = decision.outcome in (Outcome.ACCEPTED, Outcome.REFUSED)
        assert first == (envelope.id not in self.decided), "a command has one decision"
        self.decided.add(envelope.id)
        if envelope.event in self.model.events and first:
            ours = self.model.events[envelope.event].organizer == envelope.organizer
            assert judgement.more == (ours and self.model.owed)
        self._check_fairness(judgement)
        self._check_snapshots(judgement)
        return judgement

    def _check_fairness(self, judgement: Judgement) -> None:
        """Whoever sits down passes nobody who came earlier and needs no more."""
        for fact in judgement.facts:
            seated = fact.registration
            promoted = fact.kind is FactKind.REGISTRATION_PROMOTED
            if seated is None or not (promoted or (fact.kind in NEWLY_SEATED and seated.version == 1)):
                continue
            event = self.model.events[fact.event]
            mine = event.find(seated.id)
            assert mine is not None
            for other in event.line():
                if other.arrival < mine.arrival:
                    assert event.needs(other) - event.needs(mine), f"{mine.id} passed {other.id}"

    def _check_snapshots(self, judgement: Judgement) -> None:
        """A fact carries the state after it: folding facts alone makes the same state."""
        for fact in judgement.facts:
            evolve(self.replica, fact)
            if fact.event_after is not None:
                assert self._replica(fact.event).event == fact.event_after
            if fact.registration is not None and fact.kind is not FactKind.REGISTRATION_REFUSED:
                assert self._replica(fact.event).registrations[fact.registration.id] == fact.registration
        for event_id in self.room.state.events:
            assert contents(self.room.of(event_id)) == contents(self._replica(event_id))

    def _replica(self, event: str) -> EventState:
        found = self.replica.events[event]
        assert found is not None
        return found

    @invariant()
    def everything_is_accounted_for(self) -> None:
        """What the state keeps count of is what the model finds by recounting."""
        for event, happening in self.model.events.items():
            state = self.room.of(event)
            assert (state.event.status, state.event.version) == (happening.status, happening.version)
            check_seats(state, happening)
            check_registrations(state, happening)
            check_line(state, happening)
            check_people_and_codes(state, happening)


def check_seats(state: EventState, happening: Happening) -> None:
    """Taken = held + confirmed, recounted; free = max(0, capacity - taken); never above the ceiling."""
    for key, pool in state.pools.items():
        taken = happening.taken(key)
        assert pool.taken == taken
        assert pool.free == max(0, happening.capacity(key) - taken)
        assert pool.taken <= pool.ceiling == max(pool.capacity, taken)


def check_registrations(state: EventState, happening: Happening) -> None:
    """Each registration stands as the model has it."""
    assert set(state.registrations) == {claim.id for claim in happening.claims}
    for claim in happening.claims:
        found = state.registrations[claim.id]
        assert found is not None
        assert shape(found) == model_shape(claim)


def check_line(state: EventState, happening: Happening) -> None:
    """The waiting line is the waitlisted registrations, by need, in arrival order."""
    waiting = happening.line()
    assert len(state.waiting) == len(waiting)
    expected: dict[Any, list[tuple[int, str]]] = {}
    for claim in waiting:
        need = tuple(sorted(happening.needs(claim).items()))
        expected.setdefault(need, []).append((claim.arrival, claim.id))
        assert claim.id in state.waiting
        assert state.waiting.waits_for(need)
    assert {need: list(line) for need, line in state.waiting.lines()} == expected


def check_people_and_codes(state: EventState, happening: Happening) -> None:
    """What limits read is what a recount gives."""
    for person, has in state.people.items():
        theirs = happening.of_person(person)
        assert has.registrations == len(theirs)
        assert has.seats == sum(len(claim.going()) for claim in theirs)
    used = Counter(claim.code for claim in happening.claims if claim.status in ACTIVE and claim.code)
    assert +Counter(state.code_uses) == used


def said(fact: Fact) -> tuple[FactKind, str, tuple[tuple[str, str, int, int], ...]]:
    """A fact as the model says it."""
    subject = fact.registration.id if fact.registration is not None else fact.event
    skipped = tuple((each.registration, each.pool, each.needs, each.free) for each in fact.skipped)
    return fact.kind, subject, skipped


def contents(state: EventState) -> tuple[object, ...]:
    """All that an event's state holds, comparable."""
    lines = {need: list(line) for need, line in state.waiting.lines()}
    return (
        state.event,
        state.pools,
        state.next_seat,
        +Counter(state.code_uses),
        lines,
        state.registrations,
    )


def shape(registration: Registration) -> tuple[object, ...]:
    """A registration as far as the model knows it."""
    return (
        registration.arrival,
        registration.status,
        registration.person,
        registration.box.key_id,
        registration.version,
        registration.holder,
        registration.hold_number,
        registration.hold_deadline_ms,
        registration.external_ref,
        [
            (seat.number, seat.category, seat.price_minor, seat.active, seat.holder, seat.checked_in_ms)
            for seat in registration.seats
        ],
    )


def model_shape(claim: Claim) -> tuple[object, ...]:
    """The same of the model."""
    return (
        claim.arrival,
        claim.status,
        claim.person,
        claim.key_id,
        claim.version,
        claim.holder,
        claim.holds,
        claim.deadline,
        claim.ref,
        [
            (place.number, place.category, place.price, place.active, place.holder, place.in_ms)
            for place in claim.places
        ],
    )


class BusyEvenings(Evenings):
    """The same where a decision has room for two promotions only, so that most need a continuation."""

    promotions_max = 2


# Explaining a failure traces every line for minutes; the shrunken steps say enough.
without_explaining = settings(phases=[phase for phase in Phase if phase is not Phase.explain])


class TestEvenings(Evenings.TestCase):  # type: ignore[misc, valid-type] # Hypothesis makes the class
    """See `Evenings`."""

    settings = without_explaining


class TestBusyEvenings(BusyEvenings.TestCase):  # type: ignore[misc, valid-type] # Hypothesis makes the class
    """See `BusyEvenings`."""

    settings = without_explaining

    @pytest.fixture(autouse=True)
    def _few_promotions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "PROMOTIONS_PER_DECISION", BusyEvenings.promotions_max)


@pytest.mark.parametrize("promotions_max", [limits.PROMOTIONS_PER_DECISION, 2])
@pytest.mark.parametrize("seed", range(30))
def test_long_evenings(monkeypatch: pytest.MonkeyPatch, promotions_max: int, seed: int):
    """Rules and model agree along random walks, which get further than Hypothesis' short and odd ones."""
    monkeypatch.setattr(limits, "PROMOTIONS_PER_DECISION", promotions_max)
    random = Random(seed)
    evening = Evenings() if promotions_max > 2 else BusyEvenings()
    evening.publish(random)
    for _ in range(120):
        evening.act(any_intent(random))
        evening.everything_is_accounted_for()
