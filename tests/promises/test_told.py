"""Who was told: each promise about notices is broken once, and the breach is named."""

from __future__ import annotations

from veltrix.domain.facts import Fact, FactKind, NumberedFact
from veltrix.domain.registration import Box, Registration, RegistrationStatus, Seat
from veltrix.ports.notices import Notice, NoticeStatus
from veltrix.promises.told import Standing, all_over, delivered, one_notice_each

REGISTRATION = Registration(
    "reg_1",
    "evt_1",
    1,
    RegistrationStatus.CONFIRMED,
    "hash",
    Box("key_1", "cmd_1", 1, b""),
    (Seat(1, "std", 0, "EUR"),),
    0,
    0,
)
FACT = NumberedFact(
    0,
    1,
    0,
    "cmd_1",
    0,
    "",
    Fact(FactKind.REGISTRATION_CONFIRMED, "evt_1", "acme", registration=REGISTRATION),
)


def standing(
    name: str = "ntc_1",
    status: NoticeStatus = NoticeStatus.ACCEPTED,
    attempts: int = 1,
    seq: int = 1,
    recipient: str = "hash",
) -> Standing:
    """A notice of the fact, and how it ended."""
    notice = Notice(name, "acme", "evt_1", 0, seq, "confirmed", "reg_1", recipient, "email", "key_1", 0)
    return Standing(notice, status, attempts, "because")


def test_one_notice_for_one_fact():
    """Exactly one for each whom it concerns; one that nobody owed is told as well."""
    assert list(one_notice_each([FACT], [standing()])) == []
    assert "1 to tell, 0 notices" in "\n".join(one_notice_each([FACT], []))
    twice = [standing(), standing("ntc_2")]
    assert "2 notices to one recipient" in "\n".join(one_notice_each([FACT], twice))
    other = [standing(), standing("ntc_2", recipient="other")]
    assert "1 to tell, 2 notices" in "\n".join(one_notice_each([FACT], other))
    assert "fact 0-9, which there is not" in "\n".join(one_notice_each([FACT], [standing(), standing(seq=9)]))


def test_every_notice_ends():
    """One that is still waiting, and one that was given up, are named."""
    assert list(all_over([standing(), standing(status=NoticeStatus.REFUSED)])) == []
    assert "is still unknown after 1 attempts: because" in "\n".join(
        all_over([standing(status=NoticeStatus.UNKNOWN)])
    )
    assert "was given up: because" in "\n".join(all_over([standing(status=NoticeStatus.DEAD)]))


def test_what_arrives_was_sent_and_owed():
    """Accepted means arrived; no message more than attempts; none without a notice."""
    assert list(delivered([standing()], {"ntc_1": 1})) == []
    assert list(delivered([standing(attempts=3)], {"ntc_1": 2})) == []
    assert "accepted and never arrived" in "\n".join(delivered([standing()], {}))
    assert "arrived 2 times in 1 attempts" in "\n".join(delivered([standing()], {"ntc_1": 2}))
    assert "ntc_9 arrived, which nobody owed" in "\n".join(delivered([standing()], {"ntc_1": 1, "ntc_9": 1}))
