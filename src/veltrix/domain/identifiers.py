"""Ids: opaque, typed by a prefix, ordered by time, and derived from the command that made the thing.

An entity's id is `prefix + hex(time 48 bit | partition 16 bit | hash 64 bit)`: the time is the log
time of the decision, the partition routes later commands without a look-up, and the hash is taken
from the command id, so that replaying a command names the same thing again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

EVENT: Final = "evt_"
REGISTRATION: Final = "reg_"
COMMAND: Final = "cmd_"
KEY: Final = "key_"
NOTICE: Final = "ntc_"
ENDPOINT: Final = "ep_"
SIGNING: Final = "sgn_"

_HEX_CHARS: Final = 32
_GENERATION_SHIFT: Final = 48
_FIRST_SHIFT: Final = 40


def command_id(parts: Iterable[str]) -> str:
    """The id of a command: a hash of organizer, route, event, credential and Idempotency-Key.

    Each part is length-prefixed, so that no two different lists of parts hash alike by concatenation.
    """
    digest = hashlib.blake2b(digest_size=16, person=b"veltrix-command")
    for part in parts:
        digest.update(_prefixed(part))
    return COMMAND + digest.hexdigest()


class CommandIds:
    """Ids of commands that differ in their last part only: `of(key)` is `command_id((*parts, key))`."""

    __slots__ = ("_digest",)

    def __init__(self, parts: Iterable[str]) -> None:
        self._digest = hashlib.blake2b(digest_size=16, person=b"veltrix-command")
        for part in parts:
            self._digest.update(_prefixed(part))

    def of(self, key: str) -> str:
        """The id of the command under this key."""
        digest = self._digest.copy()
        digest.update(_prefixed(key))
        return COMMAND + digest.hexdigest()


def _prefixed(part: str) -> bytes:
    raw = part.encode()
    return len(raw).to_bytes(4, "big") + raw


def entity_id(prefix: str, time_ms: int, partition: int, command: str) -> str:
    """The id of what `command` makes when it is decided at `time_ms` (log time) on `partition`."""
    digest = hashlib.blake2b(command.encode(), digest_size=8, person=prefix.encode()).hexdigest()
    return f"{prefix}{time_ms:012x}{partition:04x}{digest}"


def is_id(prefix: str, value: str) -> bool:
    """Whether `value` has the shape of an id with this prefix (it may still name nothing)."""
    body = value.removeprefix(prefix)
    return (
        value.startswith(prefix)
        and len(body) == _HEX_CHARS
        and all(char in "0123456789abcdef" for char in body)
    )


def partition_of(entity: str) -> int:
    """The partition that an event's or registration's id carries; the id's shape must be valid."""
    return int(entity[16:20], 16)


def raw_of(entity: str) -> bytes:
    """The 16 bytes behind an id."""
    return bytes.fromhex(entity[4:])


def arrival_number(generation: int, offset: int) -> int:
    """(log generation, offset) as one sortable integer, the arrival number of a command."""
    return (generation << _GENERATION_SHIFT) | offset


def split_arrival(arrival: int) -> tuple[int, int]:
    """The (generation, offset) behind an arrival number."""
    return arrival >> _GENERATION_SHIFT, arrival & ((1 << _GENERATION_SHIFT) - 1)


def first_offset(generation: int) -> int:
    """The first offset of a log of this generation. Offsets go on rising when a log is replaced by another,
    so that a ledger that outlives its log never sees one twice."""
    return generation << _FIRST_SHIFT


def generation_of(offset: int) -> int:
    """The generation of the log that an offset is of."""
    return offset >> _FIRST_SHIFT


def notice_id(partition: int, seq: int, recipient: str, channel: str) -> str:
    """The id of the one notice of a fact to a recipient over a channel; every attempt carries it."""
    text = f"{partition}/{seq}/{recipient}/{channel}"
    return NOTICE + hashlib.blake2b(text.encode(), digest_size=16, person=b"veltrix-notice").hexdigest()
