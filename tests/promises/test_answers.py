"""The checks over histories that are written down: what no server can easily be brought to do."""

from collections.abc import Iterator

from veltrix.domain import limits
from veltrix.promises.answers import against_the_clock, check, lost, overtaken, people_doubled
from veltrix.promises.clerk import unexplained
from veltrix.promises.history import Answer, Attempt, History, Kind, Outcome, Row, Seat, Terms

TERMS = Terms(
    "evt_1",
    {"house": 1_000, "students": 1},
    {"standard": ("house",), "student": ("house", "students")},
    waitlist=500,
    exclusive=True,
)


class Book:
    """Writes a history down, a request a line; each is answered before the next is sent."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    def ask(self, who: str, category: str, status: str, kind: Kind = Kind.REGISTER, **changes) -> Attempt:
        """Somebody asks and is told at once, at the next offset."""
        offset = len(self.attempts) + 1
        seats = (Seat(offset, category),) if kind is Kind.REGISTER else ()
        attempt = Attempt(
            number=offset,
            person=offset,
            kind=kind,
            key=f"key {offset}",
            email=f"{who}@example.org",
            name=who,
            categories=(category,),
            sent_ns=offset * 10,
            received_ns=offset * 10 + 5,
            outcome=Outcome.ACCEPTED,
            answer=Answer(0, offset, f"reg_{who}", status, f"0.{offset}", seats),
            target=f"reg_{who}" if kind is Kind.CANCEL else "",
        )
        for name, value in changes.items():
            setattr(attempt, name, value)
        self.attempts.append(attempt)
        return attempt

    def history(self, statuses: dict[str, str]) -> History:
        """All of it, with these statuses in the ledger and the answers' where none is given."""
        rows = [
            Row(
                each.answer.registration,
                each.answer.arrival,
                statuses.get(each.name, each.answer.status),
                each.answer.seats,
                each.email,
                each.name,
            )
            for each in self.attempts
            if each.kind is Kind.REGISTER and each.answer is not None
        ]
        return History(TERMS, tuple(self.attempts), tuple(rows))


def offers(waiting: int) -> tuple[Book, dict[str, str]]:
    """A student's seat is given back; another student and everyone behind were waiting for that."""
    book = Book()
    book.ask("first", "student", "confirmed")
    book.ask("second", "student", "waitlisted")
    names = [f"p{number}" for number in range(waiting - 1)]
    for name in names:
        book.ask(name, "standard", "waitlisted")
    book.ask("first", "student", "cancelled", Kind.CANCEL)
    return book, {"first": "cancelled", "second": "confirmed", **dict.fromkeys(names, "confirmed")}


def found(breaches: Iterator[str]) -> list[str]:
    """All of them."""
    return list(breaches)


def test_an_offer_is_followed_to_its_last_promotion():
    """Whoever should have been promoted and was not is found, and only they."""
    book, statuses = offers(limits.PROMOTIONS_PER_DECISION)
    assert found(unexplained(book.history(statuses))) == []
    (breach,) = unexplained(book.history({**statuses, "p3": "waitlisted"}))
    assert "reg_p3" in breach


def test_an_offer_beyond_one_decision_is_not_judged():
    """A larger offer goes on with a command that no client sees: what stands between is no breach."""
    book, statuses = offers(limits.PROMOTIONS_PER_DECISION + 1)
    assert found(unexplained(book.history({**statuses, "p3": "waitlisted"}))) == []


def test_an_answer_before_a_request_means_an_earlier_arrival():
    """Only what the clock proves is a breach: requests that overlap may arrive either way."""
    book = Book()
    book.ask("anna", "standard", "confirmed", sent_ns=10, received_ns=50)
    book.ask("bert", "standard", "confirmed", sent_ns=5, received_ns=40)
    assert found(against_the_clock(book.history({}))) == []
    book.ask("cleo", "standard", "confirmed", sent_ns=1, received_ns=4)
    (breach, *_) = against_the_clock(book.history({}))
    assert "cleo" in breach


def test_a_repeated_request_counts_from_its_first_sending():
    """A retry long after the answer proves nothing about when its command arrived."""
    book = Book()
    first = book.ask("anna", "standard", "confirmed")
    book.ask("bert", "standard", "confirmed")
    book.ask("anna", "standard", "", Kind.RETRY, key=first.key, answer=first.answer)
    assert found(against_the_clock(book.history({}))) == []


def test_overtaking_is_judged_only_where_everything_is_seen():
    """A later party may be better off once something was freed, or where others may have freed something."""
    book = Book()
    book.ask("anna", "standard", "waitlisted")
    book.ask("bert", "standard", "confirmed")
    statuses = {"anna": "confirmed"}
    assert len(found(overtaken(book.history(statuses)))) == 1
    book.attempts.insert(1, book.ask("dora", "student", "cancelled", Kind.CANCEL))
    book.attempts.pop()
    book.attempts[1].answer = Answer(0, 1, "reg_dora", "cancelled")
    assert found(overtaken(book.history(statuses))) == []


def test_whoever_still_waits_must_not_be_passed_at_all():
    """Freed or not: nobody of the same need has a seat while an earlier one waits at the end."""
    book = Book()
    book.ask("anna", "standard", "waitlisted")
    book.ask("bert", "standard", "waitlisted")
    (breach,) = overtaken(book.history({"bert": "confirmed"}))
    assert breach == "offset 2 has a seat, while offset 1 with the same need waits"


def test_what_was_not_answered_may_have_happened():
    """A registration without an answer may stand in the ledger once; it may not stand there twice."""
    book = Book()
    lost = book.ask("anna", "standard", "confirmed", outcome=Outcome.TIMED_OUT)
    once = book.history({})
    lost.answer = None
    unseen = History(TERMS, tuple(book.attempts), once.ledger)
    assert {each.check for each in check(unseen) if each.breaches} == {"unanswered"}
    twice = History(
        TERMS,
        tuple(book.attempts),
        (*(once.ledger or ()), Row("reg_other", "", "confirmed", (), "anna@example.org")),
    )
    (breach,) = people_doubled(twice)
    assert "2 registrations in the export, 1 asked for" in breach


def test_a_cancel_counts_by_its_decision_whenever_it_was_read():
    """A 202 that was followed only after the run is decided all the same: the person is not lost."""
    book = Book()
    book.ask("ada", "standard", "confirmed")
    cancel = book.ask("ada", "standard", "cancelled", Kind.CANCEL, outcome=Outcome.UNDECIDED)
    assert not list(lost(book.history({"ada": "cancelled"})))
    assert list(lost(book.history({"ada": "confirmed"})))
    cancel.answer = Answer(0, 2, refusal="not_active")
    assert list(lost(book.history({"ada": "cancelled"})))


def test_of_several_tries_to_cancel_each_counts():
    """One try whose answer was lost may have been carried out, whatever a later one was told."""
    book = Book()
    book.ask("ada", "standard", "confirmed")
    book.ask("ada", "standard", "", Kind.CANCEL, outcome=Outcome.TIMED_OUT, answer=None)
    book.ask("ada", "standard", "", Kind.CANCEL, answer=Answer(0, 3, refusal="not_active"))
    assert not list(lost(book.history({"ada": "cancelled"})))
