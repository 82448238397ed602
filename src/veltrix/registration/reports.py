"""What comes back: reports that a mail was not delivered (RFC 3464), or not wanted (ARF, RFC 5965).

A report is somebody else's text, and may be made to harm. So it is cut once along its outermost boundary,
by one pass over bytes, instead of being parsed to all depths; headers are read by the standard library, and
all of it is bounded (`domain/limits.py`). What cannot be used is refused with the reason.
"""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from enum import StrEnum
from typing import Final

from veltrix.domain import limits
from veltrix.domain.bounces import ENHANCED, is_hard

_HEADERS: Final = BytesHeaderParser(policy=compat32)
_LINE_ENDS: Final = re.compile(rb"\r\n?")
_BOUNDARY_MAX_CHARS: Final = 70  # RFC 2046, 5.1.1
_PARTS_MAX: Final = 8
_SAME_FIELDS_MAX: Final = 4
_MACHINE: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_FEEDBACK: Final = "message/feedback-report"
_RETURNED: Final = frozenset(
    {"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"}
)
# Where the envelope sender stands that the report came back to: ours carry a token of the notice.
_ADDRESSES: Final = (
    *("to", "delivered-to", "x-original-to", "envelope-to"),
    *("return-path", "original-mail-from", "original-envelope-id"),
)
_TOKEN: Final = re.compile(r"[+=-](b1[a-z2-7]{42})@", re.IGNORECASE)
_MESSAGE_ID: Final = re.compile(r"<(ntc_[0-9a-f]{32})@")
_REPLY_CODE: Final = re.compile(r"(?:^|[;\s])([2-5]\d\d)(?=[\s-])")
_NOT_UNWANTED: Final = frozenset({"not-spam", "virus", "dmarc", "auth-failure"})


class Fault(StrEnum):
    """Why a report cannot be used."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NO_REPORT = "no_report"
    BROKEN = "broken"
    NO_STATUS = "no_status"
    TOO_MANY = "too_many"
    NO_NOTICE = "no_notice"


class Unusable(Exception):
    """A report cannot be used; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Said(StrEnum):
    """What a report says: `hard` and `complaint` end mail to an address; `soft` and `delivered` are noted."""

    HARD = "hard"
    SOFT = "soft"
    COMPLAINT = "complaint"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says, and of which notice: by `tokens` of the envelope sender, or by Message-ID."""

    said: Said
    status: str = ""
    tokens: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(slots=True)
class _Part:
    """A part: its headers, and its content still encoded."""

    headers: Message
    content: bytes
    kind: str = field(init=False)

    def __post_init__(self) -> None:
        self.kind = _kind(self.headers)


def read_report(raw: bytes) -> Report:
    """A report as a mail server hands it over. Raises `Unusable`."""
    if len(raw) > limits.REPORT_MAX_BYTES:
        raise Unusable(Fault.TOO_LARGE)
    text = _LINE_ENDS.sub(b"\n", raw)
    if text.startswith(b"From "):  # the first line of a mailbox file, which some pipes put in front
        text = text.partition(b"\n")[2]
    if not text.strip():
        raise Unusable(Fault.EMPTY)
    whole = _part(text.lstrip(b"\n"))
    if whole.kind != "multipart/report":
        raise Unusable(Fault.NO_REPORT)
    parts = list(_parts(whole))
    returned = next((part for part in parts if part.kind in _RETURNED), None)
    quoted = _part(_decoded(returned)).headers if returned is not None else None
    for part in parts:
        if part.kind in _MACHINE:
            said, status = _delivery(_fields(part))
            return _named(said, status, whole.headers, quoted)
        if part.kind == _FEEDBACK:
            blocks = _fields(part)
            kind = _value(blocks[0], "feedback-type").lower() if blocks else ""
            said = Said.DELIVERED if kind in _NOT_UNWANTED else Said.COMPLAINT
            return _named(said, "", whole.headers, quoted, blocks)
    raise Unusable(Fault.NO_STATUS)


def _named(said: Said, status: str, *headers: Message | list[Message] | None) -> Report:
    """A report with all that may name its notice. Raises `Unusable` when nothing does."""
    tokens: list[str] = []
    notices: list[str] = []
    for each in headers:
        for block in each if isinstance(each, list) else [each]:
            if block is None:
                continue
            for name in _ADDRESSES:
                tokens += [found.lower() for found in _TOKEN.findall(_value(block, name))]
            for name in ("message-id", "in-reply-to"):
                notices += _MESSAGE_ID.findall(_value(block, name))
    if not tokens and not notices:
        raise Unusable(Fault.NO_NOTICE)
    return Report(said, status, tuple(dict.fromkeys(tokens)), tuple(dict.fromkeys(notices)))


def _delivery(blocks: list[Message]) -> tuple[Said, str]:
    """What a delivery status says of all its recipients together: hard only where it is so of each."""
    found = [_recipient(block) for block in blocks if block.get("action") is not None]
    if not found:
        raise Unusable(Fault.NO_STATUS)
    if all(said is Said.HARD for said, _ in found):
        return found[0]
    return next((each for each in found if each[0] is Said.SOFT), (Said.DELIVERED, found[0][1]))


def _recipient(block: Message) -> tuple[Said, str]:
    action = _value(block, "action").split(maxsplit=1)
    match = ENHANCED.search(_value(block, "status"))
    status = match.group() if match else ""
    if not action or action[0].lower() not in ("failed", "delayed"):
        return Said.DELIVERED, status
    if action[0].lower() == "delayed" or status.startswith("4."):
        return Said.SOFT, status
    diagnostic = _value(block, "diagnostic-code")
    if status in ("", "5.0.0"):  # the answer of the server that refused it may say more
        better = ENHANCED.search(diagnostic)
        status = better.group() if better else status
    code = _REPLY_CODE.search(diagnostic)
    hard = is_hard(status, int(code.group(1)) if code else None, diagnostic)
    return (Said.HARD if hard else Said.SOFT), status


def _fields(part: _Part) -> list[Message]:
    """The groups of fields of a part that machines read."""
    groups = [group for group in re.split(rb"\n[ \t]*\n", _decoded(part)) if group.strip()]
    if len(groups) > limits.REPORT_RECIPIENTS_MAX + 1:
        raise Unusable(Fault.TOO_MANY)
    return [_headers(group.strip(b"\n") + b"\n\n") for group in groups]


def _parts(whole: _Part) -> Iterator[_Part]:
    """The outermost parts of a multipart, the first few."""
    boundary = _parameter(whole.headers, "boundary")
    if not boundary or len(boundary) > _BOUNDARY_MAX_CHARS or not boundary.isascii():
        raise Unusable(Fault.BROKEN)
    pieces = (b"\n" + whole.content).split(b"\n--" + boundary.encode(), _PARTS_MAX + 1)
    for piece in pieces[1 : _PARTS_MAX + 1]:
        if piece.startswith(b"--"):
            return
        yield _part(piece.partition(b"\n")[2])


def _part(text: bytes) -> _Part:
    """Headers and content, parted by the first empty line."""
    if text.startswith(b"\n"):
        return _Part(Message(), text[1:])
    head, _, content = text.partition(b"\n\n")
    return _Part(_headers(head + b"\n\n"), content)


def _headers(block: bytes) -> Message:
    if len(block) > limits.REPORT_HEADERS_MAX_BYTES:
        raise Unusable(Fault.TOO_LARGE)
    return _HEADERS.parsebytes(block)


def _decoded(part: _Part) -> bytes:
    """The content of a part, its transfer encoding undone."""
    encoding = _value(part.headers, "content-transfer-encoding").strip().lower()
    try:
        if encoding == "base64":
            return _LINE_ENDS.sub(b"\n", binascii.a2b_base64(part.content))
        if encoding == "quoted-printable":
            return _LINE_ENDS.sub(b"\n", quopri.decodestring(part.content))
    except binascii.Error:
        raise Unusable(Fault.BROKEN) from None
    return part.content


def _value(block: Message, name: str) -> str:
    """A header as one bounded line; empty when it is not there. Of several of a name, the first few."""
    found = block.get_all(name, [])[:_SAME_FIELDS_MAX]
    return " ".join(" ".join(str(each)[: limits.REPORT_FIELD_MAX_CHARS] for each in found).split())


def _kind(headers: Message) -> str:
    return _value(headers, "content-type").partition(";")[0].strip().lower() or "text/plain"


def _parameter(headers: Message, name: str) -> str:
    """A parameter of the content type; of a bounded one, for the standard library's search is quadratic."""
    short = Message()
    short["content-type"] = _value(headers, "content-type")
    found = short.get_param(name)
    return found.strip() if isinstance(found, str) else ""
