"""One person's way through the platform, from the request to the mail, for people to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from veltrix.load.mailbox import mails_of, promoted
from veltrix.load.plan import Request
from veltrix.load.report import LoadReport
from veltrix.promises.history import Attempt, Kind

_HEADERS: Final = ("From", "To", "Subject", "Date", "Message-ID", "Content-Language")
_MAIL_LINES: Final = 12
_LABEL_WIDTH: Final = 9


def tell_story(report: LoadReport, spool: Path, console: Console) -> None:
    """Print the way of somebody who was promoted from the waitlist, or of somebody who got seats at once."""
    attempt = chosen(report)
    if attempt is None:
        return
    request = next(each for script in report.scripts for each in script.requests() if each.key == attempt.key)
    console.print(Text.assemble("One person's way: ", (attempt.name, "bold"), f" <{attempt.email}>"))
    for label, line in (*_asking(request), *_answer(request, attempt, report), *_mails(spool, attempt)):
        console.print(Text.assemble((f"  {label:<{_LABEL_WIDTH}}", "dim"), line), soft_wrap=True)


def chosen(report: LoadReport) -> Attempt | None:
    """Somebody worth telling about: promoted if there is one, in a party, in a language many can read."""
    seated = [
        each
        for each in report.history.attempts
        if each.kind is Kind.REGISTER and each.answer is not None and each.answer.status == "confirmed"
    ]
    candidates = promoted(report.history) or seated
    return max(candidates, key=lambda each: (each.name.isascii(), len(each.categories)), default=None)


def _asking(request: Request) -> Iterator[tuple[str, str]]:
    head, _, body = request.payload.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    yield "asks", first.removesuffix(" HTTP/1.1")
    for field in fields:
        if field.lower().startswith(("idempotency-key", "prefer", "accept-language")):
            yield "", field
    yield "", json.dumps(json.loads(body), ensure_ascii=False)


def _answer(request: Request, attempt: Attempt, report: LoadReport) -> Iterator[tuple[str, str]]:
    answer = attempt.answer
    assert answer is not None
    body = json.loads(request.decided_body or request.body)
    latency_ms = ((attempt.received_ns or 0) - attempt.sent_ns) / 1e6
    yield "is told", f"{attempt.status_code} after {latency_ms:,.0f} ms: {answer.status}"
    seats = ", ".join(f"{seat.number} ({seat.category})" for seat in answer.seats)
    yield "", f"registration {answer.registration}, seats {seats}"
    if "waitlist_ahead" in body["registration"] and body["registration"]["waitlist_ahead"] is not None:
        yield "", f"{body['registration']['waitlist_ahead']:,} parties wait ahead"
    yield (
        "decided",
        f"at offset {answer.offset:,} of partition {answer.partition}: arrival {answer.arrival}, "
        f"rules version {body['decision'].get('rules_version', '?')}",
    )
    yield "link", str(body.get("url") or body.get("link"))
    if answer.status == "waitlisted":
        now = next(row for row in report.history.ledger or () if row.id == answer.registration)
        yield "later", f"somebody gave seats back, and the registration was promoted: {now.status}"


def _mails(spool: Path, attempt: Attempt) -> Iterator[tuple[str, str]]:
    for path in mails_of(spool, attempt.email):
        mail = message_from_bytes(path.read_bytes(), EmailMessage, policy=default)
        yield "is sent", str(path)
        for name in _HEADERS:
            if mail[name]:
                yield "", f"{name}: {mail[name]}"
        text = mail.get_body(("plain",))
        lines = text.get_content().splitlines() if text is not None else []
        for line in lines[:_MAIL_LINES]:
            yield "", f"| {line}"
        if len(lines) > _MAIL_LINES:
            yield "", "| …"
