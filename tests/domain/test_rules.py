"""Single rules that deserve a test of their own: what the machine found, and what it cannot see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.domain.asking import ENDS_S
from tests.domain.room import Room, category, event_spec, kinds, sealed, with_capacity
from veltrix.domain import commands as ask
from veltrix.domain import limits
from veltrix.domain.commands import Actor, Envelope
from veltrix.domain.decider import RulesUnknown, judge, refuse_record
from veltrix.domain.event import (
    AccessCode,
    EventStatus,
    Holds,
    PoolSpec,
    Text,
    Waitlist,
    WaitlistMode,
)
from veltrix.domain.facts import FactKind
from veltrix.domain.outcomes import Outcome, Refusal
from veltrix.domain.registration import RegistrationStatus


@pytest.fixture
def room() -> Room:
    """An empty partition."""
    return Room()


@pytest.mark.parametrize(
    "body",
    [
        ask.OpenEvent(),
        ask.Cancel("reg_1"),
        ask.Register("person", sealed("cmd_1"), ("std",), 1),
        ask.CheckIn(1, 1, "scan"),
        ask.ContinuePromotions(),
    ],
    ids=lambda body: type(body).__name__,
)
def test_a_command_that_names_no_event_is_refused(room: Room, body: ask.Command):
    """A record that lacks the event it needs is an ordinary refusal, not a defect that is quarantined."""
    assert room.ask(body, "").decision.refusal is Refusal.UNKNOWN_EVENT


def test_somebody_elses_event_is_unknown_and_stays_as_it_is(room: Room):
    """A command of another organizer leads to nothing, not even to promotions that are due."""
    event = room.create(event_spec(1, waitlist=Waitlist(200)))
    for _ in range(100):
        room.register(event)
    room.ask(ask.ChangeEvent(with_capacity(room.event(event).spec, main=100), 2), event)
    judgement = room.ask(ask.CloseEvent(), event, organizer="org_2")
    assert judgement.decision.refusal is Refusal.UNKNOWN_EVENT
    assert judgement.facts == []
    assert not judgement.more


def test_limits_hold_for_an_event_that_was_made_in_the_same_batch(room: Room):
    """Nothing can be loaded of what is not committed: then what is not in the state is nowhere."""
    event = room.create(event_spec(one_per_email=True))
    seat = room.registration(room.registered(event, person="ann")).seats[0]
    assert room.register(event, person="ann").decision.refusal is Refusal.ALREADY_REGISTERED
    assert room.ask(ask.CheckIn(seat.number, 1, "scan"), event).decision.refusal is None


def test_whom_a_command_concerns_must_be_loaded(room: Room):
    """A limit is never judged on a guess: a person who was not loaded is a defect, not a newcomer."""
    event = room.create(event_spec(one_per_email=True))
    room.of(event).whole = False
    with pytest.raises(AssertionError, match="is loaded before"):
        room.register(event, person="ann")


def test_a_registrant_must_prove_to_be_the_holder(room: Room):
    """Without the holder version of a link, a registrant touches nothing; an organizer needs none."""
    event = room.create(event_spec())
    registration = room.registered(event)
    alone = room.ask(ask.Cancel(registration), event, actor=Actor.REGISTRANT)
    assert alone.decision.refusal is Refusal.LINK_REPLACED
    assert room.ask(ask.Cancel(registration), event).decision.refusal is None


def test_taking_the_waitlist_away_lets_nobody_overtake(room: Room):
    """Who waits goes first also after the organizer gave up the waitlist, however many are due."""
    event = room.create(event_spec(1, waitlist=Waitlist(300)))
    for _ in range(200):
        room.register(event)
    spec = replace(with_capacity(room.event(event).spec, main=500), waitlist=None)
    assert room.ask(ask.ChangeEvent(spec, 2), event).more
    assert room.register(event).decision.refusal is Refusal.FULL
    while room.ask(ask.ContinuePromotions(), event, actor=Actor.SYSTEM).more:
        pass
    assert room.register(event).decision.refusal is None


def test_a_draft_cannot_end(room: Room):
    """What was never published never took place."""
    event = room.create(event_spec(), opened=False)
    room.later(ENDS_S)
    assert room.ask(ask.EndEvent(), event).decision.refusal is Refusal.NOT_OPEN
    room.ask(ask.OpenEvent(), event)
    assert kinds(room.ask(ask.EndEvent(), event)) == [FactKind.EVENT_ENDED]
    assert kinds(room.ask(ask.EndEvent(), event)) == []


def test_an_event_ends_at_its_end_and_not_a_millisecond_before(room: Room):
    """The end is judged by log time."""
    event = room.create(event_spec())
    room.now_ms = room.event(event).spec.ends_ms() - 1
    assert room.ask(ask.EndEvent(), event).decision.refusal is Refusal.NOT_ENDED_YET
    room.now_ms += 1
    assert room.ask(ask.EndEvent(), event).decision.refusal is None
    assert room.event(event).status is EventStatus.ENDED


def test_a_cancelled_seat_does_not_keep_the_others_from_changing_hands(room: Room):
    """Only an active seat that was checked in stands in the way of a transfer."""
    event = room.create(event_spec())
    registration = room.registered(event, "std", "std")
    gone = room.registration(registration).seats[0].number
    room.ask(ask.CheckIn(gone, 1, "scan"), event)
    room.ask(ask.Cancel(registration, gone), event)
    transferred = room.ask(ask.Transfer(registration, "bob", sealed("cmd_1")), event)
    assert kinds(transferred) == [FactKind.REGISTRATION_TRANSFERRED]


@pytest.mark.parametrize("whole", [True, False])
def test_a_transfer_says_what_was_before(room: Room, whole: bool):
    """Both holders are told of a transfer, of all or of one seat, so its fact carries what was before."""
    event = room.create(event_spec())
    registration = room.registered(event, person="ann")
    before = room.registration(registration)
    seat = None if whole else before.seats[0].number
    [fact] = room.ask(ask.Transfer(registration, "bob", sealed("cmd_1"), seat), event).facts
    assert (fact.person, fact.previous, fact.seat) == ("bob", before, seat)
    after = room.registration(registration)
    assert (after.person, after.holder) == (("bob", 2) if whole else ("ann", 1))
    assert after.seats[0].holder == 2


def test_an_extension_is_no_longer_than_the_longest_hold(room: Room):
    """However much time is asked for, a deadline stays a time that people and machines can read."""
    event = room.create(event_spec(holds=Holds(60)))
    registration = room.registered(event)
    room.ask(ask.ExtendHold(registration, 10**15), event)
    deadline_ms = room.registration(registration).hold_deadline_ms
    assert deadline_ms == room.now_ms + limits.HOLD_TTL_MAX_S * 1000


def test_an_extension_never_shortens(room: Room):
    """The deadline moves to the later of the two; an expiry of the hold before it has no effect."""
    event = room.create(event_spec(holds=Holds(60)))
    registration = room.registered(event)
    deadline_ms = room.registration(registration).hold_deadline_ms
    room.ask(ask.ExtendHold(registration, 10), event)
    assert room.registration(registration).hold_deadline_ms == deadline_ms
    room.later(60)
    assert kinds(room.ask(ask.ExpireHold(registration, 1), event, actor=Actor.SYSTEM)) == []
    assert room.registration(registration).status is RegistrationStatus.HELD


def test_a_hold_stands_until_its_deadline_and_not_a_millisecond_longer(room: Room):
    """Expiry is refused while log time is before the deadline, and done at it."""
    event = room.create(event_spec(holds=Holds(60)))
    registration = room.registered(event)
    room.now_ms += 59_999
    early = room.ask(ask.ExpireHold(registration, 1), event, actor=Actor.SYSTEM)
    assert early.decision.refusal is Refusal.HOLD_NOT_DUE
    room.now_ms += 1
    due = room.ask(ask.ExpireHold(registration, 1), event, actor=Actor.SYSTEM)
    assert kinds(due) == [FactKind.REGISTRATION_EXPIRED]


def test_a_use_of_an_access_code_comes_back_with_the_seats(room: Room):
    """Uses count active registrations: a cancelled one leaves its use to somebody else."""
    event = room.create(event_spec(access_codes=(AccessCode("code", uses=1),)))
    first = room.registered(event, access_code="code")
    assert room.register(event, access_code="code").decision.refusal is Refusal.ACCESS_CODE_USED_UP
    room.ask(ask.Cancel(first), event)
    assert room.register(event, access_code="code").decision.refusal is None


def test_a_party_that_could_never_fit_does_not_wait(room: Room):
    """Who needs more than the whole house is told at once that it is full."""
    event = room.create(event_spec(1, waitlist=Waitlist(5)))
    assert room.register(event, "std", "std").decision.refusal is Refusal.FULL


def test_a_party_is_decided_all_or_nothing(room: Room):
    """Where one pool of a mixed party is short, no seat of the other is taken."""
    pools = (PoolSpec("main", 5), PoolSpec("kitchen", 1))
    spec = event_spec(pools=pools, categories=(category("std"), category("veg", "main", "kitchen")))
    event = room.create(spec)
    assert room.register(event, "std", "veg", "veg").decision.refusal is Refusal.FULL
    assert [pool.taken for pool in room.of(event).pools.values()] == [0, 0]
    room.registered(event, "std", "veg")
    assert [pool.taken for pool in room.of(event).pools.values()] == [2, 1]


def test_a_newcomer_may_pass_whom_nothing_can_seat_only_where_the_event_skips(room: Room):
    """`skip`: a newcomer takes what no waiting party can use. `strict`: nobody passes."""
    for mode, refusal in ((WaitlistMode.SKIP, None), (WaitlistMode.STRICT, Refusal.WAITLIST_FULL)):
        event = room.create(event_spec(3, slug=mode, waitlist=Waitlist(1, mode)))
        room.registered(event, "std", "std")
        room.registered(event, "std", "std")
        assert room.statuses(event) == ["confirmed", "waitlisted"]
        assert room.register(event).decision.refusal is refusal


def strict_event_with_an_idle_seat(room: Room) -> str:
    """Three seats of which two are taken; a party of two waits, and so does somebody who came after it."""
    event = room.create(event_spec(3, waitlist=Waitlist(5)))
    room.registered(event, "std", "std", person="ann")
    room.registered(event, "std", "std", person="bob")
    assert kinds(room.register(event, person="cyd")) == [FactKind.REGISTRATION_WAITLISTED]
    return event


def test_where_the_event_is_strict_a_free_seat_waits_too(room: Room):
    """A newcomer who queues is not seated in the same breath, nor by whatever command comes next."""
    event = strict_event_with_an_idle_seat(room)
    assert kinds(room.register(event, person="dan")) == [FactKind.REGISTRATION_WAITLISTED]
    assert kinds(room.ask(ask.ErasePerson("eva"), event)) == [FactKind.PERSON_ERASED]
    assert room.statuses(event) == ["confirmed", "waitlisted", "waitlisted", "waitlisted"]


def test_where_the_event_is_strict_what_is_freed_is_offered_to_all(room: Room):
    """Two seats free: the party of two comes first. Then one: whoever fits next."""
    event = strict_event_with_an_idle_seat(room)
    [ann, bob, cyd] = room.of(event).registrations
    seat = room.registration(ann).seats[0].number
    freed = room.ask(ask.Cancel(ann, seat), event)
    assert [(fact.kind, fact.registration and fact.registration.id) for fact in freed.facts[1:]] == [
        (FactKind.REGISTRATION_PROMOTED, bob)
    ]
    [last] = room.ask(ask.Cancel(ann), event).facts[1:]
    assert last.registration is not None
    assert (last.registration.id, last.skipped) == (cyd, ())


def test_where_the_event_is_strict_a_shorter_line_moves_up(room: Room):
    """When the party that stood in the way leaves the line, the seat that it could not use is offered."""
    event = strict_event_with_an_idle_seat(room)
    [_, bob, cyd] = room.of(event).registrations
    left = room.ask(ask.Cancel(bob), event)
    assert kinds(left) == [FactKind.REGISTRATION_CANCELLED, FactKind.REGISTRATION_PROMOTED]
    assert room.registration(cyd).status is RegistrationStatus.CONFIRMED


def test_where_the_event_is_strict_other_pools_go_on(room: Room):
    """Who waits for one pool stands in nobody's way who needs another."""
    pools = (PoolSpec("main", 1), PoolSpec("side", 5))
    spec = event_spec(pools=pools, categories=(category("std"), category("on_side", "side")))
    event = room.create(replace(spec, waitlist=Waitlist(5)))
    room.registered(event, "std")
    assert kinds(room.register(event, "std")) == [FactKind.REGISTRATION_WAITLISTED]
    assert kinds(room.register(event, "on_side")) == [FactKind.REGISTRATION_CONFIRMED]


def test_prices_are_those_of_the_decision(room: Room):
    """A seat keeps the price it was decided at, and gets the other category's when it moves."""
    both = (category("std", price_minor=100), category("vip", price_minor=900))
    event = room.create(event_spec(categories=both))
    registration = room.registered(event)
    dearer = (replace(both[0], price_minor=500), replace(both[1], price_minor=1_000))
    room.ask(ask.ChangeEvent(replace(room.event(event).spec, categories=dearer), 2), event)
    [seat] = room.registration(registration).seats
    assert seat.price_minor == 100
    room.ask(ask.Move(registration, seat.number, "vip"), event)
    assert room.registration(registration).seats[0].price_minor == 1_000


def test_lowered_capacity_takes_nobodys_seat(room: Room):
    """Below what is taken nothing is free; each freed seat lowers the ceiling until capacity is reached."""
    event = room.create(event_spec(3))
    holders = [room.registered(event) for _ in range(3)]
    room.ask(ask.ChangeEvent(with_capacity(room.event(event).spec, main=1), 2), event)
    pool = room.of(event).pools["main"]
    seen = []
    for holder in holders:
        seen.append((pool.taken, pool.ceiling, pool.free))
        room.ask(ask.Cancel(holder), event)
    assert [*seen, (pool.taken, pool.ceiling, pool.free)] == [(3, 3, 0), (2, 2, 0), (1, 1, 0), (0, 1, 1)]


def test_unknown_rules_stop_the_owner(room: Room):
    """A partition under rules that this code lacks, or that is to adopt them, is not decided here."""
    with pytest.raises(RulesUnknown):
        room.ask(ask.AdoptRules(99))
    room.state.rules_version = 99
    with pytest.raises(RulesUnknown):
        room.ask(ask.CreateEvent(event_spec(), "key_hash"))


def test_adopted_rules_are_recorded(room: Room):
    """Each decision records the version that decided; the adoption itself is the old version's last."""
    judgement = room.ask(ask.AdoptRules(1))
    assert kinds(judgement) == [FactKind.RULES_ADOPTED]
    assert judgement.decision.rules_version == room.state.rules_version == 1


def test_what_was_quarantined_keeps_its_key(room: Room):
    """Every decision keeps its key id, so that erasing the person destroys it: also of a repeated command."""
    envelope = room.envelope(ask.Register("ann", sealed("cmd_" + "1" * 32), ("std",), 1), "evt_1")
    first = refuse_record(room.state, 0, Refusal.QUARANTINED, "raised", envelope).decision
    again = refuse_record(room.state, 1, Refusal.QUARANTINED, "raised", envelope).decision
    for decision in (first, again):
        assert decision.outcome is Outcome.QUARANTINED
        assert (decision.key_id, decision.person, decision.event) == ("key_" + "1" * 32, "ann", "evt_1")
    assert (first.command, again.command) == (envelope.id, "")


def test_a_reason_is_short_whatever_the_record_said(room: Room):
    """What a hostile record smuggles into its error does not fill the ledger."""
    decision = refuse_record(room.state, 0, Refusal.MALFORMED, "x" * 100_000).decision
    assert len(decision.detail) <= limits.DETAIL_MAX_CHARS


def test_a_repeated_command_has_its_first_decision(room: Room):
    """Same key and same body: a duplicate that names the first offset; other body: the key is reused."""
    event = room.create(event_spec())
    first = room.register(event, key="mine").decision
    envelope, _ = room.log[-1]
    again = room.judge(envelope).decision
    other = room.judge(replace(envelope, fingerprint="other")).decision
    assert (again.outcome, again.original, again.subject) == (Outcome.DUPLICATE, first.offset, first.subject)
    assert (other.outcome, other.original) == (Outcome.KEY_REUSED, first.offset)
    assert again.facts == other.facts == 0
    assert again.key_id is None, "the first decision keeps the key; this one must not offer it as unused"


def test_a_slug_is_an_organizers_own(room: Room):
    """Two organizers may use one slug; one organizer may not use it twice."""
    room.create(event_spec())
    assert room.ask(ask.CreateEvent(event_spec(), "key_hash")).decision.refusal is Refusal.SLUG_TAKEN
    room.create(event_spec(), organizer="org_2")


def test_calling_an_event_off_is_one_fact_and_the_end_of_it(room: Room):
    """Cancelling an event leaves its registrations as they are, and nobody can touch them any more."""
    event = room.create(event_spec())
    registrations = [room.registered(event) for _ in range(5)]
    assert kinds(room.ask(ask.CancelEvent(), event)) == [FactKind.EVENT_CANCELLED]
    assert kinds(room.ask(ask.CancelEvent(), event)) == []
    assert room.statuses(event) == ["confirmed"] * 5
    for body in (ask.Cancel(registrations[0]), ask.OpenEvent(), ask.CloseEvent(), ask.EndEvent()):
        assert room.ask(body, event).decision.refusal is Refusal.EVENT_CANCELLED


def test_a_change_names_what_it_changed(room: Room):
    """A consumer needs no history to tell what a change was; the same specification changes nothing."""
    event = room.create(event_spec())
    spec = replace(room.event(event).spec, venue=Text("en", {"en": "Hall"}), one_per_email=True)
    [fact] = room.ask(ask.ChangeEvent(spec, 2), event).facts
    assert fact.reason == "venue,one_per_email"
    assert room.ask(ask.ChangeEvent(spec, 3), event).facts == []
    assert room.event(event).version == 3


def test_ids_come_from_the_command_and_log_time(room: Room):
    """The same command at the same log time makes the same ids on every replay."""
    made = []
    for _ in range(2):
        room = Room()
        envelope: Envelope = room.envelope(ask.CreateEvent(event_spec(), "key_hash"))
        made.append(judge(room.state, envelope, 0, room.now_ms).decision.event)
    assert made[0] == made[1]
    assert made[0].startswith(f"evt_{room.now_ms:012x}0000")
