"""Ids: derived from the command, ordered by time, carrying their partition."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from veltrix.domain.identifiers import (
    COMMAND,
    EVENT,
    NOTICE,
    REGISTRATION,
    arrival_number,
    command_id,
    entity_id,
    is_id,
    notice_id,
    partition_of,
    raw_of,
    split_arrival,
)

times = st.integers(0, 2**48 - 1)
partitions = st.integers(0, 2**16 - 1)
commands = st.text(max_size=8).map(lambda text: command_id([text]))
parts = st.lists(st.text(max_size=6), max_size=5)


@given(times, partitions, commands)
def test_an_id_carries_its_partition(time_ms: int, partition: int, command: str):
    """Whoever has an id knows where its commands go, and it has the shape of its kind only."""
    made = entity_id(EVENT, time_ms, partition, command)
    assert partition_of(made) == partition
    assert is_id(EVENT, made)
    assert not is_id(REGISTRATION, made)
    assert raw_of(made).hex() == made.removeprefix(EVENT)


@given(times, times, partitions, commands, commands)
def test_ids_are_ordered_by_time(early: int, late: int, partition: int, one: str, other: str):
    """Of two ids of a kind, the one decided earlier sorts first."""
    if early < late:
        assert entity_id(EVENT, early, partition, one) < entity_id(EVENT, late, partition, other)


@given(times, partitions, commands, commands)
def test_ids_derive_from_the_command(time_ms: int, partition: int, one: str, other: str):
    """The same command makes the same id again, another command another; so does another kind of thing."""
    made = entity_id(EVENT, time_ms, partition, one)
    assert made == entity_id(EVENT, time_ms, partition, one)
    assert (made == entity_id(EVENT, time_ms, partition, other)) == (one == other)
    assert made[4:] != entity_id(REGISTRATION, time_ms, partition, one)[4:]


@given(parts, parts)
@example(["ab", "c"], ["a", "bc"])
@example(["", "a"], ["a", ""])
@example([""], [])
def test_a_command_id_tells_lists_apart(one: list[str], other: list[str]):
    """Two different lists of parts have different ids, however their texts run together."""
    assert (command_id(one) == command_id(other)) == (one == other)
    assert is_id(COMMAND, command_id(one))


def test_ids_are_stable():
    """Ids are kept in ledgers and links: the way they are made never changes."""
    assert command_id(["org", "POST", "evt", "public", "key"]) == "cmd_c332c809a5e36a79dbb4722c27b52239"
    assert entity_id(EVENT, 1_800_000_000_000, 3, "cmd_1") == "evt_01a3185c500000030c4a4f5df0a84025"
    assert notice_id(3, 17, "a1", "email") == "ntc_efb356de142bcf9aaec6a1e4bb1fd1c7"


@given(st.text(max_size=40))
@example("evt_" + "0" * 31)
@example("evt_" + "0" * 33)
@example("evt_" + "A" * 32)
@example("evt_" + "0" * 31 + "\n")
@example("evt_" + "٣" * 32)
@example("evt_evt_" + "0" * 28)
def test_other_texts_are_no_ids(text: str):
    """Only 32 small hexadecimal digits after the prefix are an id."""
    assert not is_id(EVENT, text)


@given(
    st.integers(0, 2**15 - 1), st.integers(0, 2**48 - 1), st.integers(0, 2**15 - 1), st.integers(0, 2**48 - 1)
)
def test_arrival_numbers_sort_by_generation_then_offset(generation: int, offset: int, later: int, other: int):
    """An arrival number is (generation, offset) as one number of at most 63 bits, and comes apart again."""
    arrival = arrival_number(generation, offset)
    assert split_arrival(arrival) == (generation, offset)
    assert arrival < 2**63
    assert (arrival < arrival_number(later, other)) == ((generation, offset) < (later, other))


def test_a_notice_has_one_id():
    """A fact's notice to a recipient over a channel is one thing; anything else is another."""
    base = (3, 17, "a1", "email")
    made = notice_id(*base)
    assert made == notice_id(*base)
    assert is_id(NOTICE, made)
    others = [(4, 17, "a1", "email"), (3, 18, "a1", "email"), (3, 17, "b1", "email"), (3, 17, "a1", "sms")]
    assert len({made, *(notice_id(*each) for each in others)}) == 5
