"""Who was told: what people are owed, what lies in the spool, and how long the demo waits for it."""

from collections import Counter

import pytest

from veltrix.load.client import Response
from veltrix.load.mailbox import Owed, Spooled, address_of, mails_of, owed, promoted, untold, wait_for_notices
from veltrix.load.watch import Unwatched
from veltrix.promises.history import Answer, Attempt, History, Kind, Outcome, Row, Terms

TERMS = Terms("evt_1", {"house": 2}, {"standard": ("house",)}, exclusive=True)


def attempt(email: str, offset: int, status: str, kind: Kind = Kind.REGISTER, refusal: str = "") -> Attempt:
    """A decided request of somebody; registrations are called after the person."""
    name = email.partition("@")[0]
    registration = "" if refusal else f"reg_{name}"
    answer = Answer(0, offset, registration, status, f"0.{offset}", (), refusal)
    outcome = Outcome.REFUSED if refusal else Outcome.ACCEPTED
    return Attempt(
        number=offset,
        person=offset,
        kind=kind,
        key=f"{email}/{offset}",
        email=email,
        name=name,
        categories=("standard",),
        sent_ns=offset,
        outcome=outcome,
        answer=answer,
        target=registration if kind is Kind.CANCEL else "",
    )


def seen(*attempts: Attempt, **statuses: str) -> History:
    """A history that ended with these statuses in the ledger."""
    rows = tuple(Row(f"reg_{name}", "", status, ()) for name, status in statuses.items())
    return History(TERMS, attempts, rows)


def test_each_decision_is_owed_one_mail():
    """A seat, a wait, a promotion and a cancellation are one mail each; a refusal is none."""
    history = seen(
        attempt("anna@example.org", 1, "confirmed"),
        attempt("Bert@example.org", 2, "waitlisted"),
        attempt("cleo@example.org", 3, "waitlisted"),
        attempt("dora@example.org", 4, "", refusal="full"),
        attempt("anna@example.org", 5, "cancelled", Kind.CANCEL),
        attempt("emil@example.org", 6, "waitlisted"),
        attempt("emil@example.org", 7, "cancelled", Kind.CANCEL),
        anna="cancelled",
        Bert="confirmed",
        cleo="waitlisted",
        emil="cancelled",
    )
    assert owed(history) == {
        "anna@example.org": Owed(2, 2),
        "bert@example.org": Owed(2, 2),
        "cleo@example.org": Owed(1, 1),
        "emil@example.org": Owed(2, 3),  # he may have been promoted before he cancelled
    }
    assert [each.email for each in promoted(history)] == ["Bert@example.org"]


@pytest.mark.parametrize(
    ("mails", "words"),
    [
        ({"anna@example.org": 1}, None),
        ({}, "anna@example.org was sent 0 mails and is owed 1"),
        ({"anna@example.org": 2}, "anna@example.org was sent 2 mails and is owed 1"),
        ({"anna@example.org": 1, "zoe@example.org": 1}, "zoe@example.org was sent mail and is owed none"),
    ],
)
def test_who_was_not_told_once_is_named(mails, words):
    """A mail too few, one too many, and one to a stranger are each found."""
    history = seen(attempt("anna@example.org", 1, "confirmed"), anna="confirmed")
    assert list(untold(history, Spooled(Counter(mails), 0.0))) == ([words] if words else [])


@pytest.mark.parametrize(
    "to",
    [
        "anna@example.org",
        "Anna Ruiz <anna@example.org>",
        '"Ruiz, Anna" <Anna@Example.org>',
        "=?utf-8?b?U2FiaW5lIEtyw7xnZXI=?=\r\n <anna@example.org>",
        "A name that is so long that it has to be broken somewhere in\r\n the middle\r\n <anna@example.org>",
    ],
)
def test_the_address_is_found_in_a_mail(tmp_path, to):
    """Whatever the name before it, and wherever the header is folded, the address is found."""
    (tmp_path / "ntc_1.eml").write_bytes(f"From: x@y.invalid\r\nTo: {to}\r\nDate: now\r\n\r\nTo: no".encode())
    assert address_of(tmp_path / "ntc_1.eml") == "anna@example.org"
    assert Spooled.read(tmp_path).by_address == {"anna@example.org": 1}
    assert mails_of(tmp_path, "Anna@example.org") == [tmp_path / "ntc_1.eml"]


class Pages:
    """Stands in for a platform: one metrics page after the other, the last for ever."""

    def __init__(self, *pages: tuple[int, int]) -> None:
        self.pages = list(pages)
        self.asked = 0

    async def ask(self, method: str, path: str) -> Response:
        """The next page: so many accepted, so many pending."""
        self.asked += 1
        accepted, pending = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        lines = [
            "# TYPE veltrix_notices gauge",
            f'veltrix_notices{{status="accepted"}} {accepted:.1f}',
            f'veltrix_notices{{status="pending"}} {pending:.1f}',
            'veltrix_notices_planned_total{kind="confirmed"} 99.0',
        ]
        return Response(200, {}, "\n".join([*lines, ""]).encode())


def test_what_was_never_answered_may_have_led_to_mail():
    """Somebody whose request was not answered may have been told or not; both are right."""
    lost = attempt("anna@example.org", 1, "confirmed")
    lost.answer, lost.outcome = None, Outcome.TIMED_OUT
    history = seen(lost)
    assert owed(history) == {"anna@example.org": Owed(0, 2)}
    for mails in ({}, {"anna@example.org": 1}, {"anna@example.org": 2}):
        assert list(untold(history, Spooled(Counter(mails), 0.0))) == []
    assert list(untold(history, Spooled(Counter({"anna@example.org": 3}), 0.0)))


async def test_waiting_ends_when_all_are_out(monkeypatch):
    """Neither enough notices with some still open, nor too few with none open, ends the wait."""
    monkeypatch.setattr("veltrix.load.mailbox._POLL_S", 0.0)
    pages = Pages((0, 0), (5, 0), (8, 3), (10, 1), (10, 0))
    counts = await wait_for_notices(pages, 10, Unwatched(), 60.0)  # type: ignore[arg-type] # a stand-in
    assert counts == {"accepted": 10, "pending": 0}
    assert pages.asked > 5


async def test_waiting_ends_at_its_time(monkeypatch):
    """A notice that never goes out does not keep the demo for ever; the counts show it."""
    monkeypatch.setattr("veltrix.load.mailbox._POLL_S", 0.0)
    counts = await wait_for_notices(Pages((9, 1)), 10, Unwatched(), 0.01)  # type: ignore[arg-type] # a stand-in
    assert counts["pending"] == 1
