"""Reports of mail servers: what they say, and that no text however made does harm."""

from __future__ import annotations

import base64
import email.message
import email.policy
import time
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veltrix.domain import limits
from veltrix.domain.credentials import Signer
from veltrix.registration.reports import Fault, Report, Said, Unusable, read_report

NOTICE = "ntc_" + "cd" * 16
SIGNER = Signer(b"s" * 32)
TOKEN = SIGNER.bounce(NOTICE)


def status_part(*groups: dict[str, str]) -> email.message.Message:
    """What machines read of a delivery status: groups of fields."""
    text = "\n".join("".join(f"{k}: {v}\n" for k, v in group.items()) for group in groups)
    return email.message_from_string(f"Content-Type: message/delivery-status\n\n{text}")


def failed(status: str = "5.1.1", action: str = "failed", diagnostic: str = "") -> dict[str, str]:
    """The group of one recipient."""
    group = {"Final-Recipient": "rfc822; ada@example.org", "Action": action, "Status": status}
    return group | ({"Diagnostic-Code": diagnostic} if diagnostic else {})


def returned(message_id: str = f"<{NOTICE}@tickets.example>", *, whole: bool = True) -> MIMEBase:
    """The mail that came back, or its headers."""
    mail = MIMEText("Hello", "plain")
    mail["From"], mail["To"] = "no-reply@tickets.example", "ada@example.org"
    mail["Message-ID"] = message_id
    if whole:
        return MIMEMessage(mail)
    headers = MIMENonMultipart("text", "rfc822-headers")
    headers.set_payload("".join(f"{k}: {v}\n" for k, v in mail.items()) + "\n")
    return headers


def multipart(kind: str) -> MIMEMultipart:
    """An empty report of a kind."""
    report = MIMEMultipart("report")
    report.set_param("report-type", kind)
    return report


def dsn(*groups: dict[str, str], to: str = "no-reply@tickets.example", **more: Any) -> bytes:
    """A report as a mail server writes it, by the standard library."""
    report = multipart("delivery-status")
    report["From"], report["To"] = "MAILER-DAEMON@mx.example", to
    report["Subject"] = "Undelivered Mail Returned to Sender"
    report.attach(MIMEText("I am sorry to have to inform you …", "plain", "utf-8"))
    report.attach(status_part({"Reporting-MTA": "dns; mx.example"}, *groups))
    if more.get("back", True):
        report.attach(returned(whole=more.get("whole", True)))
    return report.as_bytes(policy=more.get("policy", email.policy.SMTP))


def arf(kind: str = "abuse") -> bytes:
    """A complaint as a mailbox provider sends it."""
    report = multipart("feedback-report")
    report["To"] = "abuse@tickets.example"
    report.attach(MIMEText("This is an email abuse report", "plain"))
    fields = f"Feedback-Type: {kind}\nUser-Agent: Some/1\nVersion: 1\nOriginal-Mail-From: <x@y>\n"
    report.attach(email.message_from_string(f"Content-Type: message/feedback-report\n\n{fields}"))
    report.attach(returned())
    return report.as_bytes()


@pytest.mark.parametrize(
    ("group", "said", "status"),
    [
        (failed("5.1.1"), Said.HARD, "5.1.1"),
        (failed("5.1.10"), Said.HARD, "5.1.10"),
        (failed("5.1.2 (bad destination system)"), Said.HARD, "5.1.2"),
        (failed("5.2.1"), Said.HARD, "5.2.1"),
        (failed("5.4.4"), Said.HARD, "5.4.4"),
        (failed("5.0.0", diagnostic="smtp; 550 5.1.1 no"), Said.HARD, "5.1.1"),
        (failed("5.0.0", diagnostic="smtp; 550-No such user here"), Said.HARD, "5.0.0"),
        (failed("5.0.0", diagnostic="smtp; 550 go away"), Said.SOFT, "5.0.0"),
        (failed("5.1.8"), Said.SOFT, "5.1.8"),
        (failed("5.2.2", diagnostic="smtp; 552 mailbox full"), Said.SOFT, "5.2.2"),
        (failed("5.7.1"), Said.SOFT, "5.7.1"),
        (failed("4.4.1"), Said.SOFT, "4.4.1"),
        (failed("4.4.1", "delayed"), Said.SOFT, "4.4.1"),
        (failed("2.1.5", "delivered"), Said.DELIVERED, "2.1.5"),
        (failed("2.0.0", "relayed (to mx)"), Said.DELIVERED, "2.0.0"),
    ],
)
def test_what_a_delivery_status_says(group, said, status):
    """Only what says that the mailbox does not exist is hard; full, refused for policy, or late is not."""
    assert read_report(dsn(group)) == Report(said, status, (), (NOTICE,))


def test_several_recipients_are_hard_together_or_not_at_all():
    """An address that forwards to several, one of which is gone, is not gone itself."""
    assert read_report(dsn(failed("5.1.1"), failed("5.1.2"))).said is Said.HARD
    assert read_report(dsn(failed("5.1.1"), failed("4.2.2"))).said is Said.SOFT
    assert read_report(dsn(failed("5.1.1"), failed("2.0.0", "delivered"))).said is Said.DELIVERED


@pytest.mark.parametrize("address", [f"bounces+{TOKEN}@t.example", f"Bounces+{TOKEN.upper()}@t.example"])
def test_the_envelope_sender_names_the_notice(address):
    """A report that came to the address that the mail was sent from needs nothing else, whatever its case."""
    report = read_report(dsn(failed(), to=address, back=False))
    assert report == Report(Said.HARD, "5.1.1", (TOKEN,), ())
    assert SIGNER.read_bounce(report.tokens[0]) == NOTICE


@pytest.mark.parametrize("policy", [email.policy.SMTP, email.policy.compat32], ids=["CRLF", "LF"])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("pipe", [b"", b"From MAILER-DAEMON Mon Jan  1 00:00:00 2027\n"])
def test_as_pipes_hand_it_over(policy, whole, pipe):
    """Line ends of either kind, whole mails or headers alone, with or without a mailbox file's first line."""
    assert read_report(pipe + dsn(failed(), whole=whole, policy=policy)).notices == (NOTICE,)


def test_a_transfer_encoding_is_undone():
    """Some servers encode what machines read."""
    raw = dsn(failed())
    fields = b"Reporting-MTA: dns; mx\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    head, _, rest = raw.partition(b"Content-Type: message/delivery-status\r\n")
    _, _, tail = rest.partition(b"\r\n--")
    encoded = b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(fields)
    made = head + b"Content-Type: message/delivery-status\r\n" + encoded + b"\r\n--" + tail
    assert read_report(made) == Report(Said.HARD, "5.1.1", (), (NOTICE,))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("abuse", Said.COMPLAINT),
        ("opt-out", Said.COMPLAINT),
        ("not-spam", Said.DELIVERED),
        ("virus", Said.DELIVERED),
    ],
)
def test_a_complaint_is_one_unless_it_says_the_contrary(kind, said):
    """ARF: whoever pressed the spam button does not want our mail; one that is no spam is no complaint."""
    report = read_report(arf(kind))
    assert (report.said, report.notices) == (said, (NOTICE,))


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", Fault.EMPTY),
        (b"\r\n\r\n", Fault.EMPTY),
        (dsn(failed()).replace(b"Hello", b"Hello\r\n" * (limits.REPORT_MAX_BYTES // 6)), Fault.TOO_LARGE),
        (b"a" * (limits.REPORT_HEADERS_MAX_BYTES + 10), Fault.TOO_LARGE),
        (b"Subject: hello\r\n\r\nYour mail could not be delivered\r\n", Fault.NO_REPORT),
        (b"Content-Type: multipart/report\r\n\r\n--x\r\n", Fault.BROKEN),
        (b"Content-Type: multipart/report; boundary=" + b"b" * 71 + b"\r\n\r\n", Fault.BROKEN),
        (b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b--\r\n", Fault.NO_STATUS),
        (dsn(), Fault.NO_STATUS),
        (dsn(*[failed()] * (limits.REPORT_RECIPIENTS_MAX + 1)), Fault.TOO_MANY),
        (dsn(failed(), back=False), Fault.NO_NOTICE),
    ],
)
def test_what_cannot_be_used_says_why(raw, fault):
    """Each kind of useless report is refused with its reason."""
    with pytest.raises(Unusable) as caught:
        read_report(raw)
    assert caught.value.fault is fault


@given(raw=st.binary(max_size=2_000))
def test_no_bytes_do_harm(raw):
    """Whatever is handed over is a report, or refused."""
    with pytest.raises(Unusable):
        read_report(raw)


@given(data=st.data())
def test_no_damage_does_harm(data):
    """A report that was cut, doubled or changed anywhere is still a report of that notice, or refused."""
    whole = [dsn(failed()), arf(), dsn(failed(), to=f"b+{TOKEN}@t.example")]
    raw = bytearray(data.draw(st.sampled_from(whole)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        upto = at + data.draw(st.integers(0, 200))
        raw[at:upto] = data.draw(
            st.one_of(
                st.binary(max_size=50),
                st.sampled_from([b"\r\n\r\n", b"--", b"\0", b"\xff", b"Content-Type: multipart/report\r\n"]),
            )
        )
    try:
        report = read_report(bytes(raw))
    except Unusable:
        return
    assert report.tokens or report.notices
    assert all(len(token) == len(TOKEN) for token in report.tokens)


NESTED = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth) for depth in range(20_000)
)
HOSTILE = {
    "deeply nested": b"Content-Type: multipart/report; boundary=b0\n\n--b0\n" + NESTED,
    "many boundaries": b"Content-Type: multipart/report; boundary=b\n\n" + b"--b\n" * 200_000,
    "a quote that never ends": b'Content-Type: multipart/report; x="' + b";" * 60_000 + b"\n\n",
    "many headers": b"".join(b"a%d: b\n" % number for number in range(6_000)),
    "many continued lines": b"Content-Type: multipart/report;\n" + b" x\n" * 20_000,
    "many groups": dsn(failed()).replace(b"Action: failed", b"\n\n".join([b"a: b"] * 200_000))[:900_000],
    "encoded words": b"To: " + b"=?utf-8?b?" * 6_000 + b"\nContent-Type: multipart/report; boundary=b\n\n",
    "only line ends": b"\n" * 1_000_000,
    "only carriage returns": b"\r" * 1_000_000,
    "parameters of parameters": b"Content-Type: multipart/report"
    + b"".join(b"; boundary*%d*=x" % number for number in range(3_000))
    + b"\n\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_reports_cost_little(name):
    """What is made to cost time or stack is refused, within a small part of a second of work."""
    began_s = time.process_time()
    with pytest.raises(Unusable):
        read_report(HOSTILE[name])
    assert time.process_time() - began_s < 1.0


@given(
    status=st.from_regex(r"5\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True),
    text=st.text(st.characters(codec="ascii", min_codepoint=32, exclude_characters="\x7f"), max_size=200),
    notice=st.from_regex(r"ntc_[0-9a-f]{32}", fullmatch=True),
)
def test_every_report_of_a_server_is_read(status, text, notice):
    """Whatever a server says in words: the notice is found, and hard is only what the status calls so."""
    raw = dsn(failed(status, diagnostic=f"x; {text}")).replace(NOTICE.encode(), notice.encode())
    report = read_report(raw)
    assert report.notices == (notice,)
    if status.startswith("5.1.") and status not in ("5.1.7", "5.1.8"):
        assert report.said is Said.HARD
    if status.startswith(("5.2.2", "5.3.", "5.7.")):
        assert report.said is Said.SOFT


def test_a_report_in_the_report_is_not_believed():
    """Somebody who quotes a report in a mail of another kind says nothing."""
    wrapped = MIMEMultipart("mixed")
    wrapped.attach(MIMEMessage(email.message_from_bytes(dsn(failed()))))
    with pytest.raises(Unusable) as caught:
        read_report(wrapped.as_bytes())
    assert caught.value.fault is Fault.NO_REPORT
