"""Domain values <-> versioned bytes.

Commands are JSON objects with a version `v`; facts are CloudEvents 1.0 in structured JSON mode, with
the version in their type. A reader accepts every version it knows and refuses the others by name;
golden files under `tests/golden` keep old versions readable. Bytes are canonical: the same value is
always the same bytes, so that a replay can be compared byte by byte.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import msgspec

from veltrix.domain import limits
from veltrix.domain.commands import KIND_OF, KINDS, Actor, ChangeEvent, Command, CreateEvent, Envelope
from veltrix.domain.event import Event, EventSpec
from veltrix.domain.facts import Fact, FactKind, NumberedFact, Skipped
from veltrix.domain.identifiers import COMMAND
from veltrix.domain.outcomes import Refusal
from veltrix.domain.registration import Registration

COMMAND_VERSION: Final = 1
FACT_VERSION: Final = 1
NUMBER_MAX: Final = 2**53 - 1
"""The largest whole number of a command: what JSON carries everywhere, and 64-bit columns hold."""

_NUMBER_CHARS: Final = 19
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TYPE_OF: Final = {kind: f"veltrix.{kind}.v{FACT_VERSION}" for kind in FactKind}
_KIND_OF_TYPE: Final = {written: kind for kind, written in _TYPE_OF.items()}


class WireError(ValueError):
    """Bytes that are no value of ours; `refusal` says which kind of wrong they are."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal


class _CommandOut(msgspec.Struct):
    v: int
    kind: str
    id: str
    organizer: str
    event: str
    actor: Actor
    stamp_ms: int | None
    fingerprint: str
    holder: int | None
    body: Command


class _Version(msgspec.Struct):
    v: int


class _Head(msgspec.Struct):
    v: int
    kind: str = ""


class _FactData(msgspec.Struct, omit_defaults=True):
    organizer: str
    event: str
    registration: Registration | None = None
    event_after: Event | None = None
    seat: int | None = None
    person: str | None = None
    previous: Registration | None = None
    reason: str | None = None
    scan_id: str | None = None
    skipped: tuple[Skipped, ...] = ()
    rules_version: int | None = None


class _CloudEvent(msgspec.Struct, omit_defaults=True):
    specversion: str
    id: str
    source: str
    type: str
    time: str
    sequence: str
    offset: str
    command: str
    data: _FactData
    subject: str = ""
    traceparent: str = ""
    datacontenttype: str = ""


_encoder = msgspec.json.Encoder(order="deterministic")
_version_decoder = msgspec.json.Decoder(_Version)
_head_decoder = msgspec.json.Decoder(_Head)


def _command_decoder(kind: str, command: type[Command]) -> msgspec.json.Decoder[Any]:
    """One pass over the bytes of a command of this kind: half the time of head first and body then."""
    fields = [
        (field.name, command if field.name == "body" else field.type)
        for field in msgspec.structs.fields(_CommandOut)
    ]
    return msgspec.json.Decoder(msgspec.defstruct(f"_{kind}", fields))


_command_decoders = {kind: _command_decoder(kind, command) for kind, command in KINDS.items()}


def _numbers_of(command: type[Command]) -> Callable[[Any], tuple[int | None, ...]]:
    """What gets the whole numbers of a command of this type, as it was read."""
    names = ["stamp_ms", "holder"]
    for field in dataclasses.fields(command):
        if field.type in ("int", "int | None"):
            names.append(f"body.{field.name}")
        elif field.type == "Box":
            names.append(f"body.{field.name}.form_version")
    return attrgetter(*names)


_KINDS_WRITTEN: Final = {kind.encode(): kind for kind in KINDS}
_numbers = {kind: _numbers_of(command) for kind, command in KINDS.items()}
_CANONICAL_HEAD: Final = f'{{"v":{COMMAND_VERSION},"kind":"'.encode()
# Fields that specifications and events got later. They stand at the end and are left out where they are not
# set: what was written before is written as it was, and a replay still comes to the same bytes. No text can
# hold these bytes, because a quotation mark inside of one is escaped.
_LATER: Final = ((b',"reminders":null}', b"}"), (b',"reminded_ms":null}', b"}"))
_is_command_id = re.compile(COMMAND + "[0-9a-f]{32}").fullmatch
_has_nul = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000").search
_fact_decoder = msgspec.json.Decoder(_CloudEvent)
_spec_decoder = msgspec.json.Decoder(EventSpec)


def encode_command(envelope: Envelope) -> bytes:
    """A command as bytes for the log."""
    body = envelope.body
    written = _encoder.encode(
        _CommandOut(
            COMMAND_VERSION,
            KIND_OF[type(body)],
            envelope.id,
            envelope.organizer,
            envelope.event,
            envelope.actor,
            envelope.stamp_ms,
            envelope.fingerprint,
            envelope.holder,
            body,
        )
    )
    return _as_before(written) if isinstance(body, CreateEvent | ChangeEvent) else written


def decode_command(value: bytes) -> Envelope:
    """A command from bytes; raises `WireError` for garbage, an unknown version and an oversized record."""
    if len(value) > limits.RECORD_MAX_BYTES:
        raise WireError(Refusal.OVERSIZED, f"{len(value)} bytes; at most {limits.RECORD_MAX_BYTES} are read")
    kind = _kind_of(value)
    try:
        read = _command_decoders[kind].decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(Refusal.MALFORMED, f"no {kind}: {error}") from None
    if read.v != COMMAND_VERSION or read.kind != kind:
        raise WireError(Refusal.MALFORMED, "the version or the kind is given twice")
    if not _is_command_id(read.id):
        raise WireError(Refusal.MALFORMED, f"{read.id[:64]!r} is no id of a command")
    if b"\\" in value and _has_nul(value):
        raise WireError(Refusal.MALFORMED, "a text has a NUL, which not every store can hold")
    body = read.body
    numbers = _numbers[kind](read)
    if isinstance(body, CreateEvent | ChangeEvent):
        numbers += tuple(_numbers_in(msgspec.to_builtins(body.spec)))
    for number in numbers:
        if number is not None and not -NUMBER_MAX <= number <= NUMBER_MAX:
            raise WireError(
                Refusal.MALFORMED, "a number has more than 53 bits, which not every store can hold"
            )
    return Envelope(
        read.id,
        read.organizer,
        read.event,
        body,
        read.actor,
        read.stamp_ms,
        read.fingerprint,
        read.holder,
    )


def _kind_of(value: bytes) -> str:
    """The kind of a command of our version: another version may have other fields, so that comes first."""
    if value.startswith(_CANONICAL_HEAD):
        kind = _KINDS_WRITTEN.get(value[len(_CANONICAL_HEAD) : value.find(b'"', len(_CANONICAL_HEAD))])
        if kind is not None:
            return kind
    try:
        head = _head_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(_why(value), f"no command: {error}") from None
    if head.v != COMMAND_VERSION:
        raise WireError(Refusal.UNKNOWN_VERSION, f"version {head.v} is unknown; {COMMAND_VERSION} is read")
    if head.kind not in _command_decoders:
        raise WireError(Refusal.UNKNOWN_VERSION, f"kind {head.kind[:64]!r} is unknown")
    return head.kind


def _why(value: bytes) -> Refusal:
    """Another version may have other types too: then the version is what is unknown."""
    try:
        version = _version_decoder.decode(value).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refusal.MALFORMED
    return Refusal.MALFORMED if version == COMMAND_VERSION else Refusal.UNKNOWN_VERSION


def _numbers_in(value: object) -> Iterator[int]:
    """Every whole number inside of decoded JSON."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _numbers_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers_in(inner)


def encode_fact(numbered: NumberedFact) -> bytes:
    """A fact as a CloudEvent (structured mode, JSON)."""
    fact = numbered.fact
    registration = fact.registration
    written = _encoder.encode(
        _CloudEvent(
            specversion="1.0",
            id=f"{numbered.partition}-{numbered.seq}",
            source=f"/veltrix/partitions/{numbered.partition}",
            type=_TYPE_OF[fact.kind],
            time=rfc3339(numbered.log_time_ms),
            sequence=str(numbered.seq),
            offset=str(numbered.offset),
            command=numbered.command,
            subject=registration.id if registration is not None else fact.event,
            traceparent=numbered.trace,
            datacontenttype="application/json",
            data=_FactData(
                fact.organizer,
                fact.event,
                registration,
                fact.event_after,
                fact.seat,
                fact.person,
                fact.previous,
                fact.reason,
                fact.scan_id,
                fact.skipped,
                fact.rules_version,
            ),
        )
    )
    return written if fact.event_after is None else _as_before(written)


def decode_fact(value: bytes) -> NumberedFact:
    """A fact from bytes; raises `WireError` for garbage and unknown types."""
    try:
        event = _fact_decoder.decode(value)
        partition, _, seq = event.id.partition("-")
        numbers = _number(partition), _number(seq), _number(event.offset)
        log_time_ms = _instant(event.time)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise WireError(Refusal.MALFORMED, f"no fact: {error}") from None
    kind = _KIND_OF_TYPE.get(event.type)
    if event.specversion != "1.0" or kind is None:
        raise WireError(Refusal.UNKNOWN_VERSION, f"fact type {event.type[:64]!r} is unknown")
    if event.sequence != seq:
        raise WireError(Refusal.MALFORMED, f"fact {event.id!r} has the sequence {event.sequence[:64]!r}")
    data = event.data
    fact = Fact(
        kind,
        data.event,
        data.organizer,
        data.registration,
        data.event_after,
        data.seat,
        data.person,
        data.previous,
        data.reason,
        data.scan_id,
        data.skipped,
        data.rules_version,
    )
    return NumberedFact(*numbers, event.command, log_time_ms, event.traceparent, fact)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _NUMBER_CHARS):
        raise ValueError(f"{text[:64]!r} is no number")
    return int(text)


def _instant(text: str) -> int:
    """The ms since the epoch of what `rfc3339` writes, and of nothing else."""
    seconds, dot, rest = text.partition(".")
    if not dot or len(rest) != 4 or rest[3] != "Z":
        raise ValueError(f"{text[:64]!r} is no time in UTC with milliseconds")
    return _seconds(seconds) * 1000 + _number(rest[:3])


def encode_spec(spec: EventSpec) -> bytes:
    """A specification as canonical JSON."""
    return _as_before(_encoder.encode(spec))


def _as_before(written: bytes) -> bytes:
    for unset, nothing in _LATER:
        written = written.replace(unset, nothing)
    return written


def decode_spec(value: bytes | str) -> EventSpec:
    """A specification from `encode_spec`'s bytes."""
    return _spec_decoder.decode(value)


def rfc3339(ms: int) -> str:
    """An instant (ms since the epoch) as RFC 3339 in UTC with milliseconds."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    """Facts of one batch share their second or two: formatting it once saves a fifth of an encoding."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=256)
def _seconds(text: str) -> int:
    seconds = round((datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH).total_seconds())
    if _second(seconds) != text:
        raise ValueError(f"{text!r} is written otherwise")
    return seconds
