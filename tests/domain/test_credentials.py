"""Links, ticket codes and receipts: computed, checked, and dead as soon as they change hands."""

from __future__ import annotations

import base64
import hashlib
import hmac

from hypothesis import example, given
from hypothesis import strategies as st

from veltrix.domain.credentials import LINK_PREFIX, RECEIPT_PREFIX, TICKET_PREFIX, Link, Signer, Ticket
from veltrix.domain.identifiers import COMMAND, EVENT, REGISTRATION, command_id, entity_id

secrets = st.binary(min_size=32, max_size=100)
registrations = st.binary(min_size=16, max_size=16).map(lambda raw: REGISTRATION + raw.hex())
events = st.binary(min_size=16, max_size=16).map(lambda raw: EVENT + raw.hex())
commands = st.text(max_size=5).map(lambda text: command_id([text]))
holders = st.integers(1, 2**32 - 1)
numbers = st.integers(1, 2**32 - 1)
SIGNER = Signer(b"s" * 32)
REG = entity_id(REGISTRATION, 1_800_000_000_000, 3, "cmd_1")
EVT = entity_id(EVENT, 1_800_000_000_000, 3, "cmd_1")
CMD = command_id(["one"])


def checked_link(signer: Signer, text: str, holder: int) -> str | None:
    """The registration that a link opens for the holder of that version, if any."""
    link = signer.read_link(text)
    return link.registration if link is not None and signer.link_holds(link, holder) else None


def checked_ticket(signer: Signer, text: str, event: str, holder: int) -> int | None:
    """The seat that a ticket code opens for the holder of that version, if any."""
    ticket = signer.read_ticket(text)
    return ticket.seat if ticket is not None and signer.ticket_holds(ticket, event, holder) else None


@given(secrets, registrations, holders)
def test_a_link_opens_its_registration(secret: bytes, registration: str, holder: int):
    """What was made for the present holder names the registration and holds."""
    signer = Signer(secret)
    assert checked_link(signer, signer.link(registration, holder), holder) == registration


@given(secrets, events, numbers, holders)
def test_a_ticket_opens_its_seat(secret: bytes, event: str, seat: int, holder: int):
    """What was made for the present holder names the seat and holds."""
    signer = Signer(secret)
    assert checked_ticket(signer, signer.ticket(event, seat, holder), event, holder) == seat


@given(secrets, commands, st.integers(0, 4_095), st.integers(0, 2**63 - 1))
def test_a_receipt_tells_where_the_command_stands(secret: bytes, command: str, partition: int, offset: int):
    """What was made at the append is read back whole."""
    signer = Signer(secret)
    assert signer.read_receipt(signer.receipt(command, partition, offset)) == (command, partition, offset)


@given(registrations, events, numbers, holders, holders)
def test_the_old_holders_strings_die(registration: str, event: str, seat: int, old: int, new: int):
    """A string made for one holder version holds for no other."""
    link, ticket = SIGNER.link(registration, old), SIGNER.ticket(event, seat, old)
    assert (checked_link(SIGNER, link, new) is not None) == (old == new)
    assert (checked_ticket(SIGNER, ticket, event, new) is not None) == (old == new)


@given(registrations, registrations, events, events, numbers)
def test_a_string_opens_nothing_else(one: str, other: str, event: str, elsewhere: str, seat: int):
    """The tag of one registration or seat does not hold for another."""
    link = SIGNER.read_link(SIGNER.link(one, 1))
    ticket = SIGNER.read_ticket(SIGNER.ticket(event, seat, 1))
    assert link is not None
    assert ticket is not None
    assert SIGNER.link_holds(Link(other, link.tag), 1) == (one == other)
    assert SIGNER.ticket_holds(ticket, elsewhere, 1) == (event == elsewhere)
    assert not SIGNER.ticket_holds(Ticket(seat % (2**32 - 1) + 1, ticket.tag), event, 1) or seat == 2**32 - 1


@given(secrets, secrets)
def test_another_secret_opens_nothing(mine: bytes, theirs: bytes):
    """Whoever has not the secret can make no string that holds."""
    ours, forger = Signer(mine), Signer(theirs)
    same = mine.ljust(64, b"\0") == theirs.ljust(64, b"\0")  # HMAC pads a short key with zeros
    assert (checked_link(ours, forger.link(REG, 1), 1) is not None) == same
    assert (checked_ticket(ours, forger.ticket(EVT, 1, 1), EVT, 1) is not None) == same
    assert (ours.read_receipt(forger.receipt(CMD, 0, 1)) is not None) == same


ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
chars = st.characters(exclude_categories=["Cs"]) | st.sampled_from(ALPHABET + "0189=-_ \n\0")


@given(st.integers(0, 200), chars)
@example(2, "ı")
@example(5, "ſ")
@example(5, "K")
def test_any_other_character_anywhere_is_noticed(at: int, char: str):
    """One character replaced makes a string that does not hold, but for the same letter in the other case."""
    for text, check in (
        (SIGNER.link(REG, 1), lambda text: checked_link(SIGNER, text, 1) == REG),
        (SIGNER.ticket(EVT, 7, 1), lambda text: checked_ticket(SIGNER, text, EVT, 1) == 7),
        (SIGNER.receipt(CMD, 0, 7), lambda text: SIGNER.read_receipt(text) is not None),
    ):
        index = at % len(text)
        changed = text[:index] + char + text[index + 1 :]
        same = char.isascii() and char.lower() == text[index].lower()
        assert check(changed) == same, f"{changed!r}"


def every_spelling_of(letter: str) -> list[str]:
    """All characters that some case mapping of Unicode turns into this letter."""
    return [
        chr(code)
        for code in range(128, 0x1_0000)
        if letter in (chr(code).upper(), chr(code).lower(), chr(code).casefold())
    ]


def test_only_ascii_letters_are_letters():
    """A dotless i or a long s, which Unicode's case mappings turn into I and S, is not a second spelling."""
    strings = [SIGNER.link(entity_id(REGISTRATION, 0, 0, str(n)), 1) for n in range(20)]
    odd = {letter: every_spelling_of(letter) for letter in "iskISK"}
    assert {"ı", "ſ"} <= {char for spellings in odd.values() for char in spellings}
    tried = 0
    for text in strings:
        for letter, spellings in odd.items():
            for char in spellings:
                if letter in text:
                    tried += 1
                    assert SIGNER.read_link(text.replace(letter, char, 1)) is None
    assert tried > 10


@given(registrations, events, numbers, holders)
def test_letter_case_does_not_matter(registration: str, event: str, seat: int, holder: int):
    """People read them aloud: upper, lower and mixed case are the same string."""
    link, ticket = SIGNER.link(registration, holder), SIGNER.ticket(event, seat, holder)
    for change in (str.upper, str.lower, str.swapcase):
        assert checked_link(SIGNER, change(link), holder) == registration
        assert checked_ticket(SIGNER, change(ticket), event, holder) == seat


@given(registrations, holders)
def test_a_string_has_one_spelling(registration: str, holder: int):
    """The bits that the last character carries beyond the payload must be zero: no second spelling holds."""
    link = SIGNER.link(registration, holder)
    holding = [char for char in ALPHABET if checked_link(SIGNER, link[:-1] + char, holder)]
    assert holding == [link[-1]]


@given(st.text(max_size=80))
@example("r1")
@example("r1" + "a" * 41)
@example("r1" + "a" * 43)
@example("r1" + "=" * 42)
@example("r1" + "1" * 42)
@example("T1" + "a" * 23)
@example("d1" + "a" * 10_000)
def test_anything_else_is_none_of_ours(text: str):
    """Whatever text comes, it is read without raising, and does not hold."""
    assert checked_link(SIGNER, text, 1) is None
    assert checked_ticket(SIGNER, text, EVT, 1) is None
    assert SIGNER.read_receipt(text) is None


def test_the_three_kinds_are_told_apart():
    """A prefix tells the kind, and a tag made for one purpose holds for no other."""
    link, ticket, receipt = SIGNER.link(REG, 1), SIGNER.ticket(EVT, 1, 1), SIGNER.receipt(CMD, 0, 1)
    assert (link[:2], ticket[:2], receipt[:2]) == (LINK_PREFIX, TICKET_PREFIX, RECEIPT_PREFIX)
    assert SIGNER.read_ticket(link) is None
    assert SIGNER.read_link(receipt) is None
    assert SIGNER.read_receipt(ticket) is None
    assert link[2:] == link[2:].lower()
    assert ticket[2:] == ticket[2:].upper()


@given(secrets, registrations, holders)
def test_the_tag_is_80_bits_of_hmac_sha256(secret: bytes, registration: str, holder: int):
    """The prepared hashes give what the standard library's HMAC gives, and base32 is RFC 4648's."""
    raw = bytes.fromhex(registration.removeprefix(REGISTRATION))
    message = b"link\0" + raw + holder.to_bytes(4, "big")
    tag = hmac.digest(secret, message, hashlib.sha256)[:10]
    written = base64.b32encode(raw + tag).decode().rstrip("=").lower()
    assert Signer(secret).link(registration, holder) == LINK_PREFIX + written


@given(commands)
def test_a_receipt_names_a_command(command: str):
    """The command's id comes back with its prefix."""
    receipt = SIGNER.read_receipt(SIGNER.receipt(command, 1, 2))
    assert receipt is not None
    assert receipt.command.startswith(COMMAND)
